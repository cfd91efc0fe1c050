"""`Sweep`: the settings that determine a search for settings."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ..system.errors import unknown
from .tree import Tree, expand_paths, require

_RANGE_KEYS, _CHOICE_KEYS = {"low", "high", "log", "step", "when"}, {"choices", "when"}
# The measures of a trial, each with the direction in which it improves.
MEASURES: dict[str, Literal["maximize", "minimize"]] = {
    "score": "maximize",
    "own_minus_other": "maximize",
    "macs_fraction": "minimize",
}
# The best tenth of fewer complete trials is too small to show what good trials have in common.
LEAST_TRIALS = 20
# Names of measures in files of earlier versions, with their names today.
RENAMED = {"accuracy": "score"}
OBJECTIVES = (("score",), ("score", "macs_fraction"))
# Keys that a sweep sets itself.
_RESERVED = ("budgets", "methods", "seeds", "name")


@dataclass(frozen=True, kw_only=True)
class Sweep(Tree):
    """A search for the settings with which one method does best on validation persons.

    >>> Sweep(base="digits.yaml", space={"ppp.target_rate": {"low": 0.05, "high": 0.5}}, trials=20).method
    'ppp'

    - `name`: of the results folder and of the study.
    - `base`: the YAML file of the experiment that trials change. The path is relative to the current folder or to the
      sweep's own file. From its `settings`, only those of `method` hold.
    - `settings`: values of dotted keys of that experiment, the same for all trials.
    - `space`: the values to try for each dotted key: `{low: 0.1, high: 0.5}` or `{choices: [8, 16]}`. A range holds
      integers if `low` and `high` are integers. `log: true` samples it on a logarithmic scale, and `step` on a grid.
      With `when: {other.key: [8]}` the key is tried only if an earlier key with `choices` has one of these values.
    - `method`: the method to tune.
    - `budget`: the fraction of the full network's cost that the method stays within; it may be in the space.
    - `objectives`: `[score]`, with the person's own samples, or `[score, macs_fraction]`, for a Pareto front.
    - `constraints`: bounds for the best trial: the least `score`, the least `own_minus_other` (how much the score drops
      with another person's samples), and the largest `macs_fraction`.
    - `sampler`: how values are chosen: `tpe`, `gp`, `nsga2` or `random`.
    - `sampler_seed`: the sampler's seed.
    - `pruner`: `none` or `median`. `median` ends a trial whose best score so far, on some validation persons, is below
      the median of other trials after as many epochs. It also ends a trial whose mean score is below their median after
      as many seeds. It ignores constraints. It needs a method with gates, and one objective.
    - `trials`: the number of trials that finish or that the pruner ends.
    - `seeds`: the seeds of each trial's networks and persons.
    - `hours`: the time after which no trial starts. Finished trials are the result, and the same command resumes for as
      many hours again. 0: no limit.

    Raise `UserError` if a value is out of its range.
    """

    name: str = "sweep"
    base: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    space: dict[str, dict[str, Any]] = field(default_factory=dict)
    method: str = "ppp"
    budget: float = 0.1
    objectives: tuple[str, ...] = ("score",)
    constraints: dict[str, float] = field(default_factory=dict)
    sampler: Literal["tpe", "gp", "nsga2", "random"] = "tpe"
    sampler_seed: int = 0
    pruner: Literal["none", "median"] = "none"
    trials: int = 100
    seeds: tuple[int, ...] = (1000,)
    hours: float = 0.0

    def __post_init__(self) -> None:
        expand_paths(self, "base")
        constraints = {RENAMED.get(name, name): bound for name, bound in self.constraints.items()}
        object.__setattr__(self, "constraints", constraints)  # the dataclass is frozen
        object.__setattr__(self, "objectives", tuple(RENAMED.get(name, name) for name in self.objectives))
        require(self.trials >= 1, f"trials is {self.trials}: at least 1")
        require(self.hours >= 0, f"hours is {self.hours}: 0 (until all trials are done) or more")
        require(0 < self.budget <= 1, f"budget is {self.budget}: a fraction in (0, 1]")
        require(self.sampler_seed >= 0, f"sampler_seed is {self.sampler_seed}: 0 or more")
        for name, bound in self.constraints.items():
            if name not in MEASURES:
                raise unknown("constraint", name, MEASURES)
            require(math.isfinite(bound), f"constraints.{name} is {bound}: a number")
        for name in self.objectives:
            if name not in MEASURES:
                raise unknown("objective", name, MEASURES)
        ways = " or ".join(f"[{', '.join(names)}]" for names in OBJECTIVES)
        require(self.objectives in OBJECTIVES, f"objectives is [{', '.join(self.objectives)}]: {ways}")
        several = len(self.objectives) > 1
        require(
            not several or self.pruner == "none", f"pruner is {self.pruner} with several objectives: set pruner to none"
        )
        for key in (*self.settings, *self.space):
            require(key not in _RESERVED, f"{key} is set by the sweep itself: leave it out of settings and space")
        earlier: list[str] = []
        for key, entry in self.space.items():
            self._check(key, entry, earlier)
            earlier.append(key)
        self.check_lists("seeds")

    def _check(self, key: str, entry: dict[str, Any], earlier: list[str]) -> None:
        require(isinstance(key, str), f"space holds {key!r}: keys are dotted names")
        require(
            isinstance(entry, dict), f"space.{key} is {entry!r}: write {{low: ..., high: ...}} or {{choices: [...]}}"
        )
        for name in entry:
            if name not in _RANGE_KEYS | _CHOICE_KEYS:
                raise unknown(f"key of space.{key}", name, _RANGE_KEYS | _CHOICE_KEYS)
        if "choices" in entry:
            require(set(entry) <= _CHOICE_KEYS, f"space.{key} has choices and a range: give one of them")
            choices = entry["choices"]
            require(
                isinstance(choices, list) and len(choices) > 0, f"space.{key}.choices is {choices!r}: a list of values"
            )
            texts = [json.dumps(value, sort_keys=True, default=repr) for value in choices]
            repeated = next((value for at, value in enumerate(texts) if value in texts[:at]), None)
            require(repeated is None, f"space.{key}.choices holds {repeated} twice: name each once")
        else:
            require({"low", "high"} <= set(entry), f"space.{key} needs low and high, or choices")
            self._check_range(key, entry)
        self._check_when(key, entry.get("when", {}), earlier)

    def _check_when(self, key: str, when: Any, earlier: list[str]) -> None:
        valid = isinstance(when, dict) and all(isinstance(values, list) for values in when.values())
        require(valid, f"space.{key}.when is {when!r}: write {{other.key: [value, ...]}}")
        for other, values in when.items():
            if other not in earlier:
                raise unknown(f"key in space.{key}.when (it takes keys above it)", other, earlier)
            choices = self.space[other].get("choices")
            require(choices is not None, f"space.{key}.when names {other}, which has a range: give {other} choices")
            for value in values:
                require(
                    value in choices,
                    f"space.{key}.when names {value!r} for {other}: name one of its choices, {choices}",
                )

    @staticmethod
    def _check_range(key: str, entry: dict[str, Any]) -> None:
        for name in ("low", "high", "step"):
            value = entry.get(name, 1)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            require(number and math.isfinite(value), f"space.{key}.{name} is {value!r}: a number")
        low, high, log = entry["low"], entry["high"], entry.get("log", False)
        require(low < high, f"space.{key} is from {low} to {high}: low must be less than high")
        require(isinstance(log, bool), f"space.{key}.log is {log!r}: true or false")
        if log:
            require(low > 0, f"space.{key} has log and starts at {low}: low must be more than 0")
            require("step" not in entry, f"space.{key} has log and step: give one of them")
        step = entry.get("step", 1)
        whole = isinstance(low, int) and isinstance(high, int)
        require(step > 0, f"space.{key}.step is {step}: more than 0")
        require(not whole or isinstance(step, int), f"space.{key}.step is {step}: its range holds integers")
