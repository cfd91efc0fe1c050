"""`Sweep`: everything that determines a search for settings."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ..system.errors import unknown
from .tree import Tree, expand_paths, require

_RANGE, _CHOICE = {"low", "high", "log", "step", "when"}, {"choices", "when"}
# What is measured of a trial, and in which direction it is better.
MEASURES: dict[str, Literal["maximize", "minimize"]] = {
    "score": "maximize",
    "own_minus_other": "maximize",
    "macs_fraction": "minimize",
}
# What files of earlier versions call a measure.
RENAMED = {"accuracy": "score"}
OBJECTIVES = (("score",), ("score", "macs_fraction"))
# What a sweep sets itself.
_TAKEN = ("budgets", "methods", "seeds", "name")


@dataclass(frozen=True, kw_only=True)
class Sweep(Tree):
    """A search for the settings with which one method does best on validation persons.

    >>> Sweep(base="digits.yaml", space={"ppp.target_rate": {"low": 0.05, "high": 0.5}}, trials=20).method
    'ppp'

    - `base`: the experiment that trials change, a YAML file; relative to here or to the sweep's own file. Of its
      `settings` those of `method` hold.
    - `settings`: dotted keys of that experiment, the same for all trials.
    - `space`: by dotted key what is tried: `{low: 0.1, high: 0.5}`, integers where both are, with `log: true` by orders
      of magnitude and with `step` on a grid; or `{choices: [8, 16]}`. With `when: {other.key: [8]}` only where another
      key, one of `choices` that comes before, has one of these values.
    - `method`, `budget`: what is tuned, at which fraction of the full network's cost; the space may have `budget`, too.
    - `objectives`: `[score]`, with the own samples, or `[score, macs_fraction]`, for which a front is looked for.
    - `constraints`: the least `score` or `own_minus_other` (how much less it is with another person's samples) and
      the most `macs_fraction` of a trial that may be best.
    - `sampler`: `tpe`, `gp`, `nsga2` or `random`; `sampler_seed` is its own.
    - `pruner`: `none`, or `median`, which ends a trial whose best score so far, on some validation persons, is below
      the median of what others had after as many epochs, or whose mean is below theirs after as many seeds, whatever
      constraints say; for methods with gates and one objective.
    - `trials`: that finish or are ended by the pruner. `seeds`: of a trial's networks and persons.
    - `hours`: after so many no more trials begin, and what is finished is the result; the same command goes on for as
      many again. 0: all trials are waited for.

    Raises `UserError` where a value is out of its range.
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
        object.__setattr__(self, "constraints", constraints)  # frozen, and not made yet
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
        require(not several or self.pruner == "none", f"pruner is {self.pruner} with several objectives: none can be")
        for key in (*self.settings, *self.space):
            require(key not in _TAKEN, f"{key} is the sweep's own: it cannot stand in settings or space")
        before: list[str] = []
        for key, tried in self.space.items():
            self._check(key, tried, before)
            before.append(key)
        self.check_lists("seeds")

    def _check(self, key: str, tried: dict[str, Any], before: list[str]) -> None:
        require(isinstance(key, str), f"space holds {key!r}: keys are dotted names")
        require(
            isinstance(tried, dict), f"space.{key} is {tried!r}: write {{low: ..., high: ...}} or {{choices: [...]}}"
        )
        for name in tried:
            if name not in _RANGE | _CHOICE:
                raise unknown(f"key of space.{key}", name, _RANGE | _CHOICE)
        if "choices" in tried:
            require(set(tried) <= _CHOICE, f"space.{key} has choices and a range: give one of them")
            choices = tried["choices"]
            require(
                isinstance(choices, list) and len(choices) > 0, f"space.{key}.choices is {choices!r}: a list of values"
            )
            told = [json.dumps(value, sort_keys=True, default=repr) for value in choices]
            twice = next((value for at, value in enumerate(told) if value in told[:at]), None)
            require(twice is None, f"space.{key}.choices holds {twice} twice: name each once")
        else:
            require({"low", "high"} <= set(tried), f"space.{key} needs low and high, or choices")
            self._check_range(key, tried)
        self._check_when(key, tried.get("when", {}), before)

    def _check_when(self, key: str, when: Any, before: list[str]) -> None:
        form = isinstance(when, dict) and all(isinstance(values, list) for values in when.values())
        require(form, f"space.{key}.when is {when!r}: write {{other.key: [value, ...]}}")
        for other, values in when.items():
            if other not in before:
                raise unknown(f"key in space.{key}.when, one that comes before,", other, before)
            known = self.space[other].get("choices")
            require(known is not None, f"space.{key}.when names {other}, which has a range: it must have choices")
            for value in values:
                require(value in known, f"space.{key}.when: {other} is never {value!r}: its choices are {known}")

    @staticmethod
    def _check_range(key: str, tried: dict[str, Any]) -> None:
        for name in ("low", "high", "step"):
            value = tried.get(name, 1)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            require(number and math.isfinite(value), f"space.{key}.{name} is {value!r}: a number")
        low, high, log = tried["low"], tried["high"], tried.get("log", False)
        require(low < high, f"space.{key} is from {low} to {high}: low must be less than high")
        require(isinstance(log, bool), f"space.{key}.log is {log!r}: true or false")
        if log:
            require(low > 0, f"space.{key} is over orders of magnitude from {low}: low must be more than 0")
            require("step" not in tried, f"space.{key} has log and step: give one of them")
        step = tried.get("step", 1)
        whole = isinstance(low, int) and isinstance(high, int)
        require(step > 0, f"space.{key}.step is {step}: more than 0")
        require(not whole or isinstance(step, int), f"space.{key}.step is {step}: its range holds integers")
