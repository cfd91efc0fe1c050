"""The one protocol: a global model, a support set and a budget give a personal model."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support, synchronized_time
from ..gating import Rule
from ..pruning import CostModel, Costs, budget_masks, slice_network
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import MethodOutput, PersonalModel

SupportFrom = Literal["own", "population", "other", "twin", "swap", "none"]


class Personalizer(ABC):
    """One way of personalizing.

    - `method`, `control`: as in the table.
    - `support_from`: whose samples it is given; `none` where it looks at nobody's.
    - `gates`: which gated network it needs trained, if any.
    - `prunes`: whether it makes the network smaller; one that does not has a single row, at budget 1.
    - `reads_labels`: whether it needs the labels of the support set.
    - `answers_all`: whether the network has an output for every class.
    """

    answers_all: bool = True
    control: str = ""
    support_from: SupportFrom = "own"
    gates: str | None = None
    prunes: bool = True
    reads_labels: bool = False

    def __init__(self, method: str, experiment: Experiment):
        self.method, self.experiment = method, experiment

    def personalize(self, model: GlobalModel, support: Support, budget: float | None = None) -> PersonalModel:
        """The personal model within `budget`, a fraction of the full network's cost; None for the method's own rule.

        Raises `UserError` where the budget is too small for one channel per layer.
        """
        if budget is not None and not 0 < budget <= 1:
            raise UserError(f"budget is {budget}: it is a fraction in (0, 1]")
        kept = (support.once, model.train.once)
        spared, start = sum(each.spared for each in kept), synchronized_time()
        made = self._make(model, support, budget)
        seconds = synchronized_time() - start + sum(each.spared for each in kept) - spared + made.seconds_before
        cost = made.stated_cost or model.cost(made.module.widths)
        return PersonalModel(**vars(made), cost=cost, full=model.cost.full, seconds=seconds)

    def depends_on(self) -> dict[str, Any]:
        """The settings that it reads, by section of the experiment."""
        return {}

    def called(self, method: str) -> "Personalizer":
        """Itself under another name."""
        self.method = method
        return self

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` where the method cannot work on such a network, or to its least budget, whatever the
        weights.
        """
        if self.prunes:
            self._within(min(self.experiment.budgets), [torch.zeros(width) for width in backbone.widths], cost)

    @property
    def shared(self) -> bool:
        """Whether persons of a group get the same network."""
        return self.support_from in ("none", "population")

    @property
    def budgets(self) -> tuple[float, ...]:
        """At which it has rows; without pruning the budget is 1."""
        return self.experiment.budgets if self.prunes else (1.0,)

    @property
    def steps(self) -> int:
        """Training steps on the support set, on the device."""
        return 0

    def train_samples(self, rows: int) -> int:
        """Return how many samples training for everybody saw, beyond that of the full network, of `rows` in a pass."""
        return 0

    @property
    def for_all(self) -> "Personalizer | None":
        """The part of it, or itself, whose result takes long, is the same for everybody and is kept; None without."""
        return None

    @abstractmethod
    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """The method itself."""

    def _within(self, budget: float | None, scores: list[Tensor], cost: Costs) -> list[Tensor]:
        """Masks of what scores highest. Raises `UserError` without a budget."""
        if budget is None:
            raise UserError(f"method {self.method} has no rule of its own: give a budget in (0, 1]")
        pruning = self.experiment.pruning
        return budget_masks(scores, cost, budget, unit=pruning.unit, round_to=pruning.round_to)


class ScorePruner(Personalizer):
    """Methods that score channels, keep the best that the budget allows, and slice."""

    def depends_on(self) -> dict[str, Any]:
        """What a budget counts."""
        return {"pruning": asdict(self.experiment.pruning)}

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        def rule(scores: list[Tensor]) -> list[Tensor]:
            return self._masks(model, scores, budget)

        masks = rule(self._scores(model, support, rule))
        return MethodOutput(module=slice_network(self._network(model), masks), masks=masks)

    def _masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        return self._within(budget, scores, model.cost)

    def _network(self, model: GlobalModel) -> Backbone:
        """The network that is sliced."""
        return model.full

    @abstractmethod
    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Per group `(C_l,)`, comparable between groups; `rule` is what will make masks of them."""


Factory = Callable[[Experiment], list[Personalizer]]
METHODS: dict[str, Factory] = {}
Entry = TypeVar("Entry")


def _into(registry: dict[str, Entry], name: str) -> Callable[[Entry], Entry]:
    def add(entry: Entry) -> Entry:
        registry[name] = entry
        return entry

    return add


def register_method(method: str) -> Callable[[Factory], Factory]:
    """Registers a function that makes a method's personalizers, one for each control."""
    return _into(METHODS, method)


class Step(Personalizer):
    """Something that is done on the person's support set to what `first` gives: `first.method` + a step's name.

    - `keeps_controls`: whether it has rows for the controls of `first`, too: then `first` is given the control's
      samples, and the step the person's own.

    Raises `UserError` where it reads labels and `first` leaves classes out.
    """

    keeps_controls = False

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first.experiment)
        if self.reads_labels and not first.answers_all:
            raise UserError(f"method {method} reads labels of classes that classes.cut leaves out: leave that out")
        self.first, self.prunes, self.gates = first, first.prunes, first.gates
        self.reads_labels = self.reads_labels or first.reads_labels
        self.answers_all = first.answers_all
        if self.keeps_controls:
            self.control = first.control
            self.support_from = first.support_from if first.control else "own"

    def depends_on(self) -> dict[str, Any]:
        """What `first` depends on, and which it is."""
        before = self.first.depends_on()
        return {**before, "first": [self.first.method, before]}

    @property
    def steps(self) -> int:
        """As of `first`."""
        return self.first.steps

    def train_samples(self, rows: int) -> int:
        """As of `first`."""
        return self.first.train_samples(rows)

    @property
    def shared(self) -> bool:
        """Not where the step looks at the person's own samples beside those of a control."""
        return super().shared and not self.keeps_controls

    @property
    def for_all(self) -> Personalizer | None:
        """As of `first`."""
        return self.first.for_all

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """As of `first`."""
        self.first.check(backbone, cost)

    def _first(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return what `first` gives; made once where it looks at nobody's samples."""
        if self.first.support_from != "none":
            return self.first._make(model, support, budget)
        key = ("made", self.first.method, repr(self.first.depends_on()), budget, model.full)
        return model.train.once(key, lambda: self.first._make(model, support, budget))


StepFactory = Callable[[Personalizer], list[Personalizer]]
STEPS: dict[str, StepFactory] = {}


def register_step(name: str) -> Callable[[StepFactory], StepFactory]:
    """Registers a function that makes personalizers of another one; a method's name calls for it by `+` and `name`."""
    return _into(STEPS, name)
