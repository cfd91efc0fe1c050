"""`Experiment`: everything that determines a comparison of personalizers."""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from .tree import Tree, require


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data set; 0 for all of it, other numbers for a quick look.

    - `name`: a registered source (`pppl data list`), or the path of an `.npz` file.
    - `classes`: the first so many classes.
    - `people`: so many of the people, drawn at random.
    - `samples`: so many samples of each class, split and person.
    """

    name: str = "digits"
    classes: int = 0
    people: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        for key in ("classes", "people", "samples"):
            value = getattr(self, key)
            require(value >= 0 and value != 1, f"data.{key} is {value}: 0 (all) or at least 2")


@dataclass(frozen=True, kw_only=True)
class Persons:
    """Who is personalized.

    - `protocol`: `classes`, a person is a subset of the classes; `person`, a speaker or writer with all classes;
      `person+classes`, a speaker with some classes; `auto`, the last where the data set knows whose its samples are,
      else the first.
    - `split`: `official`, the data set's own; `random`, people (or samples) are held out by seed.
    - `classes`: sizes of the subsets; each size gives at most `count` persons, seen and unseen ones apart.
    - `shots`: support samples per class.
    - `queries`: query samples per class, at most; 0 for all.
    - `query`: the split that the query samples come from. Everything that is tuned is tuned on `validation`.
    """

    protocol: Literal["auto", "classes", "person", "person+classes"] = "auto"
    split: Literal["official", "random"] = "official"
    classes: tuple[int, ...] = (2, 3, 5)
    count: int = 20
    shots: int = 5
    queries: int = 0
    query: Literal["test", "validation"] = "test"

    def __post_init__(self) -> None:
        require(self.count >= 2, f"persons.count is {self.count}: the control `other` needs at least 2 persons")
        require(self.shots >= 1, f"persons.shots is {self.shots}: a support set needs at least 1 sample per class")
        require(self.queries >= 0, f"persons.queries is {self.queries}: 0 (all) or more")
        require(min(self.classes, default=0) >= 1, f"persons.classes is {list(self.classes)}: give sizes of 1 or more")
        require(
            len(set(self.classes)) == len(self.classes),
            f"persons.classes is {list(self.classes)}: name each size once",
        )


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The network that everybody starts from.

    - `name`: a registered backbone.
    - `options`: keyword arguments of its constructor, such as `widths`.
    - `weights`: a state dict to start from, `.npz`, `.safetensors` or a Lightning checkpoint; relative to here or to
      the data folder. Empty: random weights.
    """

    name: str = "convnet"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How every global network is trained, gated or not: AdamW with a one-cycle learning rate.

    - `threads`: of each training; sums in another order change numbers, so that results hold for one number of threads.
      Comparisons train as many networks at once as their workers have threads for.
    - `augment`: random changes of each batch, by name: `crop`, `flip`, `shift`, `specaugment`.
    - `averaging`: decay of a running average of the weights. Its last value is what is kept, so that no epoch is chosen
      by validation samples, which weights from elsewhere may have seen. 0: none, and the best epoch is kept.
    """

    epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 1e-3
    augment: tuple[str, ...] = ()
    averaging: float = 0.0
    threads: int = 1

    def __post_init__(self) -> None:
        require(self.threads >= 1, f"training.threads is {self.threads}: at least 1")
        require(self.epochs >= 1, f"training.epochs is {self.epochs}: at least 1")
        require(self.batch_size >= 2, f"training.batch_size is {self.batch_size}: at least 2 (batch normalization)")
        require(self.learning_rate > 0, f"training.learning_rate is {self.learning_rate}: more than 0")
        require(self.weight_decay >= 0, f"training.weight_decay is {self.weight_decay}: 0 or more")
        require(0 <= self.averaging < 1, f"training.averaging is {self.averaging}: in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class PPP:
    """Gates and losses of Prototype-based Personalized Pruning (Kim et al., ICASSP 2021).

    Of the paper's text only the abstract and the introduction were at hand, so each of these is our choice.

    - `gate_width`: hidden units of a gate.
    - `temperature`: of the binary concrete relaxation.
    - `gate_speed`: the gates' learning rate, as a multiple of the backbone's; more than 1 where that starts from
      weights that it should keep.
    - `target_rate`, `target_weight`: tau and alpha of the target-rate loss.
    - `prototype_weight`, `prototype_scale`: beta and scale of the prototype loss; `gated` trains with beta 0.
    - `prototypes`: `parallel` takes all gates from one pass; `sequential` prunes layer by layer.
    """

    gate_width: int = 16
    temperature: float = 2 / 3
    gate_speed: float = 1.0
    target_rate: float = 0.3
    target_weight: float = 1.0
    prototype_weight: float = 0.1
    prototype_scale: float = 30.0
    prototypes: Literal["parallel", "sequential"] = "parallel"

    def __post_init__(self) -> None:
        require(self.gate_width >= 1, f"ppp.gate_width is {self.gate_width}: at least 1")
        require(self.temperature > 0, f"ppp.temperature is {self.temperature}: more than 0")
        require(self.gate_speed > 0, f"ppp.gate_speed is {self.gate_speed}: more than 0")
        require(0 < self.target_rate <= 1, f"ppp.target_rate is {self.target_rate}: in (0, 1]")
        require(0 < self.prototype_scale < inf, f"ppp.prototype_scale is {self.prototype_scale}: more than 0")
        require(self.target_weight >= 0, f"ppp.target_weight is {self.target_weight}: 0 or more")
        require(self.prototype_weight >= 0, f"ppp.prototype_weight is {self.prototype_weight}: 0 or more")


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What a budget counts.

    - `unit`: `macs` (multiply-accumulates, batch 1) or `params`.
    - `round_to`: layers keep multiples of this many channels.
    """

    unit: Literal["macs", "params"] = "macs"
    round_to: int = 1

    def __post_init__(self) -> None:
        require(self.round_to >= 1, f"pruning.round_to is {self.round_to}: at least 1")


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Fine-tuning on a support set with its labels (the baselines that retrain): Adam, full batches.

    The defaults are the best of a grid on validation persons of the digits.

    - `steps`, `learning_rate`: for the full network.
    - `pruned_steps`, `pruned_learning_rate`: for a network that was pruned before.
    """

    steps: int = 10
    learning_rate: float = 1e-4
    pruned_steps: int = 80
    pruned_learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("steps", "pruned_steps"):
            require(getattr(self, name) >= 1, f"finetune.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "pruned_learning_rate"):
            require(getattr(self, name) > 0, f"finetune.{name} is {getattr(self, name)}: more than 0")


@dataclass(frozen=True, kw_only=True)
class Static:
    """Static pruning, one smaller network for everybody.

    - `samples`: training samples by whose gradients `taylor` and `hessian` score channels.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        require(self.samples >= 1, f"static.samples is {self.samples}: at least 1")


@dataclass(frozen=True, kw_only=True)
class OCAP:
    """`ocap_frequency`, votes of the support samples.

    - `top`: fraction of a layer's channels that a sample votes for.
    """

    top: float = 0.25

    def __post_init__(self) -> None:
        require(0 < self.top <= 1, f"ocap.top is {self.top}: in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class BN:
    """The step `+bn`, batch statistics of the support set.

    - `share`: of the support set's statistics, the rest being the training data's.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, f"bn.share is {self.share}: in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Diff pruning on a support set with its labels, full batches: a sparse difference for each person.

    The defaults are the best of a grid on validation persons of the digits.

    - `rates`: fractions of the parameters that differ. The first is that of method `diff`, any other makes a method
      `diff@RATE` of its own.
    - `penalty`: lambda, the price of one difference in the first stage.
    - `steps`, `learning_rate`: of the first stage, in which gates choose. `gates_way`: how far it can move a gate's
      log_alpha, which begins at 5; a gate is no longer whole below 1.6 and closed below 0. Where the way is shorter,
      magnitudes alone choose.
    - `fixed_steps`, `fixed_learning_rate`: of the second, in which the chosen are trained on.
    """

    rates: tuple[float, ...] = (0.005,)
    penalty: float = 1.25e-7
    steps: int = 20
    learning_rate: float = 1e-2
    gates_way: float = 12.0
    fixed_steps: int = 20
    fixed_learning_rate: float = 3e-2

    def __post_init__(self) -> None:
        require(len(self.rates) > 0, "diff.rates is empty: name at least one")
        for rate in self.rates:
            require(0 < rate <= 1, f"diff.rates holds {rate}: a rate is a fraction in (0, 1]")
        require(len(set(self.rates)) == len(self.rates), f"diff.rates is {list(self.rates)}: name each once")
        require(self.penalty >= 0, f"diff.penalty is {self.penalty}: 0 or more")
        for name in ("steps", "fixed_steps"):
            require(getattr(self, name) >= 1, f"diff.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "gates_way", "fixed_learning_rate"):
            require(getattr(self, name) > 0, f"diff.{name} is {getattr(self, name)}: more than 0")


@dataclass(frozen=True, kw_only=True)
class Experiment(Tree):
    """One comparison: data, persons, networks, methods, budgets and seeds.

    - `methods`: names of personalizers, with any steps behind them (`ppp+bn`); `full` is always computed, since every
      row carries its accuracy.
    - `budgets`: fractions of the full network's cost, in (0, 1].
    - `seeds`: each seed trains its own global networks and draws its own persons.

    Raises `UserError` where a value is out of its range.
    """

    data: Data = field(default_factory=Data)
    persons: Persons = field(default_factory=Persons)
    backbone: Backbone = field(default_factory=Backbone)
    training: Training = field(default_factory=Training)
    ppp: PPP = field(default_factory=PPP)
    pruning: Pruning = field(default_factory=Pruning)
    finetune: Finetune = field(default_factory=Finetune)
    static: Static = field(default_factory=Static)
    ocap: OCAP = field(default_factory=OCAP)
    bn: BN = field(default_factory=BN)
    diff: Diff = field(default_factory=Diff)
    methods: tuple[str, ...] = ("full", "ppp", "gated", "ocap", "l1", "l1_local+finetune", "finetune")
    budgets: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        for budget in self.budgets:
            require(0 < budget <= 1, f"budgets holds {budget}: a budget is a fraction in (0, 1]")
        self.check_lists("methods", "budgets", "seeds")
