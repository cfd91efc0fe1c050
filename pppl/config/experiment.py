"""`Experiment`: the settings that determine a comparison of personalizers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, product
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from ..system.errors import UserError
from ..system.registries import place
from .data_settings import DataSettings
from .look_checks import check_looks
from .person_settings import PersonSettings
from .sections import all_sections, name_of
from .tree import Tree, expand_paths, require

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class BackboneSettings:
    """The network architecture, and the weights that training starts from.

    - `name`: a registered backbone.
    - `options`: keyword arguments of its constructor, such as `widths`.
    - `weights`: the file of a state dict to start from: `.npz`, `.safetensors` or a Lightning checkpoint. The path is
      relative to the current folder or to the data folder. Empty: random weights.
    """

    name: str = "convnet"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = ""

    def __post_init__(self) -> None:
        expand_paths(self, "weights")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The training of every global network, gated or not: AdamW with a one-cycle learning rate.

    - `epochs`: passes over the training samples.
    - `batch_size`: samples of a step, over all devices together.
    - `learning_rate`: the peak of the one-cycle learning rate.
    - `weight_decay`: AdamW's.
    - `threads`: CPU threads of each training. Sums in another order change numbers, so results hold for one number of
      threads. A comparison trains as many networks at once as its workers have threads for.
    - `augment`: random changes of each batch, by name: `crop`, `flip`, `shift`, `specaugment`; and `voice`,
      `hand`, `wear`, which a synthetic person keeps over all samples (`ppp.training: persons`).
    - `averaging`: decay of a running average of the weights. The last average is kept. 0: no average; the weights of
      the last epoch are kept.
    - `devices`: the number of GPUs, or of processes without a GPU, that train one network together; `auto`: all GPUs.
      `batch_size` is the total over all devices, so results are the same up to rounding.
    """

    epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 1e-3
    augment: tuple[str, ...] = ()
    averaging: float = 0.0
    threads: int = 1
    devices: int | Literal["auto"] = 1

    def __post_init__(self) -> None:
        if self.devices != "auto":
            require(self.devices >= 1, f"training.devices is {self.devices}: at least 1, or auto")
        require(self.threads >= 1, f"training.threads is {self.threads}: at least 1")
        require(self.epochs >= 1, f"training.epochs is {self.epochs}: at least 1")
        require(self.batch_size >= 2, f"training.batch_size is {self.batch_size}: at least 2 (batch normalization)")
        require(self.learning_rate > 0, f"training.learning_rate is {self.learning_rate}: more than 0")
        require(self.weight_decay >= 0, f"training.weight_decay is {self.weight_decay}: 0 or more")
        require(0 <= self.averaging < 1, f"training.averaging is {self.averaging}: in [0, 1)")

    def to_hash(self) -> dict[str, Any]:
        """Return the settings that networks and rows depend on: all of them, but `devices` only if it is not 1."""
        tree = dataclasses.asdict(self)
        return {key: value for key, value in tree.items() if (key, value) != ("devices", 1)}


@dataclass(frozen=True, kw_only=True)
class PruningSettings:
    """The unit of budgets, and the channel counts that pruning may keep.

    - `unit`: `macs` (multiply-accumulates, batch 1) or `params`.
    - `round_to`: layers keep multiples of this many channels.
    """

    unit: Literal["macs", "params"] = "macs"
    round_to: int = 1

    def __post_init__(self) -> None:
        require(self.round_to >= 1, f"pruning.round_to is {self.round_to}: at least 1")


def stages(method: str) -> list[str]:
    """Return the methods that a method's name is built from, itself last.

    >>> stages("l1+bn+quant")
    ['l1', 'l1+bn', 'l1+bn+quant']
    """
    return list(accumulate(method.split("+"), "{}+{}".format))


@dataclass(frozen=True, kw_only=True)
class Experiment(Tree):
    """One comparison: data, persons, networks, methods, budgets and seeds.

    >>> experiment = Experiment(name="mine").replace(training__epochs=5, methods=["full", "ppp"])
    >>> experiment.training.epochs, experiment.methods
    (5, ('full', 'ppp'))

    - `name`: of the results folder and of W&B's group.
    - `methods`: names of personalizers, each with any steps after it (`ppp+bn`). `full` is always computed, since every
      row carries its accuracy.
    - `budgets`: fractions of the full network's cost, in (0, 1].
    - `seeds`: each seed trains its own global networks and draws its own persons.
    - `reference`: the method that `summary.csv` and `gains.csv` compare with all others by paired differences.
    - `questions`: by name, a method and the method that it is compared with. Their paired differences are in
      `answers.csv`.
    - `settings`: by method, values of dotted keys that hold for it alone and for the same method with further steps
      (`ppp+bn` takes those of `ppp`). The key `budgets` limits the method to some of the budgets.
    - `tuning`: by method, dotted keys with the values that `pppl compare --tune` tries, in all combinations.
    - `searched`: by method, the number of settings that any other search tried. `effort.csv` reports it.
    - `looks`: by method with its steps, its `label`, `colour` (`#0072B2`), `marker` and `dash` (of matplotlib) in
      figures and reports, each optional; what is not given follows from the name. `ppp@mine` is the look with own
      samples, `ppp@mine other` with those of a control. Legends keep this order: the first stands behind its base
      method, any other behind the one before it; built-in ones keep their places.
    - `plugins`: modules, or paths of Python files, that register methods, networks, data sets or tasks. Paths are
      relative to the current folder or to the experiment's own file.
    - `sections`: the settings of methods by the names that `register_settings` gave them. In a YAML file each is a
      section beside those above, and `experiment.NAME` reads it.

    Raise `UserError` if a value is out of its range.
    """

    data: DataSettings = field(default_factory=DataSettings)
    persons: PersonSettings = field(default_factory=PersonSettings)
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    pruning: PruningSettings = field(default_factory=PruningSettings)
    methods: tuple[str, ...] = ("full", "ppp", "gated", "ocap", "l1", "l1_local+finetune", "finetune")
    budgets: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5)
    seeds: tuple[int, ...] = (0, 1, 2)
    reference: str = "ppp"
    questions: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    tuning: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    searched: dict[str, int] = field(default_factory=dict)
    looks: dict[str, dict[str, str]] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    sections: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {name: self.sections.get(name, section.kind()) for name, section in all_sections().items()}
        object.__setattr__(self, "sections", known)  # the dataclass is frozen
        for budget in self.budgets:
            require(0 < budget <= 1, f"budgets holds {budget}: a budget is a fraction in (0, 1]")
        self.check_lists("methods", "budgets", "seeds")
        for one, other in pairwise(sorted(self.budgets)):
            same = round(one, 8) == round(other, 8)
            require(not same, f"budgets holds {one} and {other}, which are the same to 8 decimals: name one")
        for question, methods in self.questions.items():
            two = f"questions holds {question!r} with {len(methods)} methods: name two, to be compared"
            require(len(methods) == 2, two)
        check_looks(self.looks)
        for method, knobs in self.tuning.items():
            for key, values in knobs.items():
                require(len(values) > 0, f"tuning of method {method} names no value of {key}: name at least one")

    @classmethod
    def prepare(cls, tree: Mapping[str, Any]) -> None:
        """Load plugins. Raise `UserError` if one cannot be imported, or for looks that cannot be drawn."""
        super().prepare(tree)
        check_looks(tree.get("looks", {}))  # before its values are read, whose errors name `looks` alone

    @classmethod
    def section_kinds(cls) -> Mapping[str, type]:
        """Return the dataclasses of methods' settings by name."""
        sections = all_sections()
        for name in {part.name for part in dataclasses.fields(cls)} & sections.keys():
            there = place(sections[name].kind)
            raise UserError(f"settings {name!r} ({there}) have a name that every experiment has: rename them")
        return {name: section.kind for name, section in sections.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain dictionaries and lists, as `run.json` and YAML hold it."""
        tree = super().to_dict()
        return tree | tree.pop("sections")

    def __getitem__(self, kind: type[Settings]) -> Settings:
        """Return the settings of a registered dataclass, as in `experiment[PPPSettings].epochs`."""
        section = self.sections[name_of(kind)]
        if isinstance(section, kind):
            return section
        return kind(**dataclasses.asdict(section))  # a notebook has defined its class again since

    if not TYPE_CHECKING:  # type checkers still report misspelt attributes

        def __getattr__(self, name: str) -> Any:
            if name in self.__dict__.get("sections", {}):
                return self.sections[name]
            raise AttributeError(f"an experiment has no {name!r}")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with dotted keys replaced, in the form that `Tree.replace` takes.

        With new `methods`, questions about missing methods are left out. If the reference is not among the methods,
        `full` or else the first method takes its place. The default reference stays.
        """
        alone = self._about(changes["methods"]) if "methods" in changes else {}
        return super().replace(**{**alone, **changes})

    def override(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with dotted keys replaced, for all methods: their own values of these keys are dropped."""
        settings = {
            method: {key: value for key, value in own.items() if key not in changes}
            for method, own in self.settings.items()
        }
        return self.replace(**{"settings": settings, **changes})

    def _about(self, methods: Any) -> dict[str, Any]:
        """Return the questions about these methods, and a reference that they allow."""
        named = [each for each in methods if isinstance(each, str)] if isinstance(methods, (list, tuple)) else []
        left = {question: two for question, two in self.questions.items() if {*two} <= {*named}}
        known = (*named, Experiment.reference)
        reference = self.reference if self.reference in known else "full" if "full" in named else (*named, "ppp")[0]
        return {"questions": left, "reference": reference}

    def own_settings(self, method: str) -> dict[str, Any]:
        """Return the values in `settings` that hold for a method: its own and those of its earlier stages."""
        return {key: value for stage in stages(method) for key, value in self.settings.get(stage, {}).items()}

    def tried(self, method: str) -> list[dict[str, Any]]:
        """Return the settings that `tuning` tries for a method: all combinations, or one empty one if it has none."""
        knobs = self.tuning.get(method, {})
        return [dict(zip(knobs, values, strict=True)) for values in product(*knobs.values())]
