"""The one protocol: a global model, a support set and a budget give a personal model."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, Literal, TypeVar, cast

import torch
from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment, register_settings
from ..config.sections import name_of
from ..data import Support, synchronized_time
from ..gating import Rule
from ..pruning import CostModel, Costs, budget_masks, slice_network
from ..system.errors import UserError
from ..system.registries import Registry, place
from ..tasks import Task
from .global_model import GlobalModel
from .personal_model import MethodOutput, PersonalModel

SupportFrom = Literal["own", "population", "other", "twin", "swap", "none"]


class Personalizer(ABC):
    """One method, or one of its controls.

    A subclass overrides `make`.

    - `method`, `control`: the columns of the table.
    - `support_from`: whose samples it is given; `none` if it looks at nobody's.
    - `gates`: the gated network that must be trained for it, if any.
    - `prunes`: whether it makes the network smaller; one that does not has a single row, at budget 1.
    - `reads_labels`: whether it needs the labels of the support set.
    - `answers_all`: whether the network has an output for every class.
    - `needs`: what the task must offer, such as `classes`.
    - `reads`: the registered dataclasses of settings that it reads; `settings` is the first of them.
    """

    answers_all: bool = True
    control: str = ""
    support_from: SupportFrom = "own"
    gates: str | None = None
    prunes: bool = True
    reads_labels: bool = False
    needs: frozenset[str] = frozenset()
    reads: ClassVar[tuple[type[Any], ...]] = ()
    settings: Any = None

    def __init__(self, method: str, experiment: Experiment):
        self.method, self.experiment = method, experiment
        if self.reads:
            self.settings = experiment[self.reads[0]]

    def personalize(self, model: GlobalModel, support: Support, budget: float | None = None) -> PersonalModel:
        """Return the personal model within `budget`, a fraction of the full network's cost.

        Without a budget, the method decides by a rule of its own.

        Raise `UserError` if the budget is too small for one channel per layer.
        """
        if budget is not None and not 0 < budget <= 1:
            raise UserError(f"budget is {budget}: it is a fraction in (0, 1]")
        kept = (support.once, model.train.once)
        spared, start = sum(each.spared for each in kept), synchronized_time()
        made = self.make(model, support, budget)
        seconds = synchronized_time() - start + sum(each.spared for each in kept) - spared + made.seconds_before
        cost = made.stated_cost or model.cost(made.module.widths)
        return PersonalModel(**vars(made), cost=cost, full=model.cost.full, seconds=seconds)

    @abstractmethod
    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return what the method makes of a support set."""

    def depends_on(self) -> dict[str, Any]:
        """Return the settings that rows depend on, by section of the experiment: those that it `reads`."""
        return {name_of(kind): asdict(self.experiment[kind]) for kind in self.reads}

    def called(self, method: str) -> "Personalizer":
        """Return itself under another name."""
        self.method = method
        return self

    def unmet_needs(self, task: Task) -> list[str]:
        """Return what the method needs and a task does not offer."""
        return sorted(self.needs - task.offers)

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if the method cannot work on such a network, or to its least budget."""
        if self.prunes:
            self.masks_within(min(self.experiment.budgets), [torch.zeros(width) for width in backbone.widths], cost)

    @property
    def shared(self) -> bool:
        """Whether persons of a group get the same network."""
        return self.support_from in ("none", "population")

    @property
    def budgets(self) -> tuple[float, ...]:
        """Budgets at which it has rows; 1 without pruning."""
        return self.experiment.budgets if self.prunes else (1.0,)

    @property
    def steps(self) -> int:
        """Training steps on the support set, on the device."""
        return 0

    @property
    def training_samples(self) -> int:
        """How many samples of `GlobalModel.train` it looks at."""
        return 0

    def train_samples(self, rows: int) -> int:
        """Return how many samples training for everybody saw, beyond that of the full network, of `rows` in a pass."""
        return 0

    @property
    def for_all(self) -> "Personalizer | None":
        """The part of it whose result takes long, is the same for everybody and is kept; None without."""
        return None

    def masks_within(self, budget: float | None, scores: list[Tensor], cost: Costs) -> list[Tensor]:
        """Return the masks, per group `(C_l,)`, that keep what scores highest within a budget.

        Raise `UserError` without a budget.
        """
        if budget is None:
            raise UserError(f"method {self.method} has no rule of its own: give a budget in (0, 1]")
        pruning = self.experiment.pruning
        return budget_masks(scores, cost, budget, unit=pruning.unit, round_to=pruning.round_to)


class ScorePruner(Personalizer):
    """A method that scores channels, keeps the best that the budget allows, and slices.

    A subclass overrides `scores`.
    """

    def depends_on(self) -> dict[str, Any]:
        """Return the settings that it reads, and what a budget counts."""
        return {"pruning": asdict(self.experiment.pruning)} | super().depends_on()

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network that is sliced by the scores."""

        def rule(scores: list[Tensor]) -> list[Tensor]:
            return self.masks(model, scores, budget)

        masks = rule(self.scores(model, support, rule))
        return MethodOutput(module=slice_network(self.network(model), masks), masks=masks)

    @abstractmethod
    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return scores per group, `(C_l,)`, comparable between groups; `rule` is what will make masks of them."""

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        """Return the masks that are made of scores."""
        return self.masks_within(budget, scores, model.cost)

    def network(self, model: GlobalModel) -> Backbone:
        """Return the network that is sliced."""
        return model.full


class Step(Personalizer):
    """What is done on the person's support set to the output of `first`; its method is `first.method` + a step's name.

    - `keeps_controls`: whether it has rows for the controls of `first`, too. Then `first` is given the control's
      samples, and the step the person's own.

    Raise `UserError` if it reads labels and `first` leaves classes out.
    """

    keeps_controls = False

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first.experiment)
        if self.reads_labels and not first.answers_all:
            raise UserError(f"method {method} reads labels of classes that classes.cut leaves out: leave that out")
        self.first, self.prunes, self.gates = first, first.prunes, first.gates
        self.reads_labels = self.reads_labels or first.reads_labels
        self.answers_all = first.answers_all
        self.needs = self.needs | first.needs
        if self.keeps_controls:
            self.control = first.control
            self.support_from = "own" if first.control in ("", "own") else first.support_from

    def depends_on(self) -> dict[str, Any]:
        """Return what `first` depends on, which method it is, and the settings that the step reads."""
        before = self.first.depends_on()
        return {**before, "first": [self.first.method, before]} | super().depends_on()

    @property
    def steps(self) -> int:
        """Training steps of `first`."""
        return self.first.steps

    @property
    def training_samples(self) -> int:
        """Training samples that `first` looks at."""
        return self.first.training_samples

    def train_samples(self, rows: int) -> int:
        """Return how many samples the training of `first` saw."""
        return self.first.train_samples(rows)

    @property
    def shared(self) -> bool:
        """Whether persons share the network; not if the step looks at their own samples beside those of a control."""
        return super().shared and not self.keeps_controls

    @property
    def for_all(self) -> Personalizer | None:
        """The part of `first` that is kept for everybody."""
        return self.first.for_all

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if `first` cannot work on such a network."""
        self.first.check(backbone, cost)

    def output_of_first(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return what `first` makes; made once if it looks at nobody's samples."""
        if self.first.support_from != "none":
            return self.first.make(model, support, budget)
        key = ("made", self.first.method, repr(self.first.depends_on()), budget, model.full)
        return model.train.once(key, lambda: self.first.make(model, support, budget))


Factory = Callable[[Experiment], list[Personalizer]]
StepFactory = Callable[[Personalizer], list[Personalizer]]
METHODS: Registry[Factory] = Registry("method")
STEPS: Registry[StepFactory] = Registry("step")
Maker = TypeVar("Maker", bound=Callable[..., Any])


def register_method(name: str, *, settings: type[Any] | None = None) -> Callable[[Maker], Maker]:
    """Return a decorator that adds a method: a `Personalizer` class, or a function of an experiment that lists them.

    ```python
    @register_method("last_channels")
    class LastChannels(ScorePruner):
        def scores(self, model, support, rule):
            return [torch.arange(float(width)) for width in model.full.widths]
    ```

    **Arguments:**

    - `settings`: a frozen dataclass, which becomes the section `name` of experiments and `settings` of the class.

    Raise `UserError` if the name is taken, or if a class lacks the method that it must have.
    """
    return _adder(METHODS, name, settings, Personalizer, lambda kind, experiment: kind(name, experiment))


def register_step(name: str, *, settings: type[Any] | None = None) -> Callable[[Maker], Maker]:
    """Return a decorator that adds a step, called for by `+name`: a `Step` class, or a function of a personalizer.

    Arguments and errors are those of `register_method`.
    """
    return _adder(STEPS, name, settings, Step, lambda kind, first: kind(f"{first.method}+{name}", first))


def _adder(
    registry: Registry[Any],
    name: str,
    settings: type[Any] | None,
    base: type[Personalizer],
    construct: Callable[[Any, Any], Personalizer],
) -> Callable[[Maker], Maker]:
    """Return the decorator of `register_method` and `register_step`.

    **Arguments:**

    - `base`: what a class must be derived from.
    - `construct`: makes an instance of a class, given that and what a function would be given.
    """

    def add(maker: Maker) -> Maker:
        kind: Any = maker
        is_class = inspect.isclass(maker)
        registry.check(name, maker, base)
        if is_class and issubclass(kind, Step) and base is not Step:
            raise UserError(f"method {name!r} ({place(maker)}) is a Step: put @register_step above the class")
        if settings is not None:
            register_settings(name)(settings)
            if is_class:
                cast(Any, maker).reads = (settings, *cast(Any, maker).reads)
        registry.add(name, (lambda given: [construct(kind, given)]) if is_class else maker, made_by=maker)
        return maker

    return add
