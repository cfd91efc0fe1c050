"""The protocol of methods: a global model, a support set and a budget give a personal model."""

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
from ..pruning import CostModel, Costs, budget_masks
from ..system.errors import UserError
from ..system.registries import Registry, place
from ..tasks import Task
from .global_model import GlobalModel
from .personal_model import MethodOutput, PersonalModel

SupportFrom = Literal["own", "population", "other", "twin", "swap", "none"]


class Personalizer(ABC):
    """A method, or one of its controls.

    ```python
    class Whole(Personalizer):
        def make(self, model, support, budget):  # what a subclass overrides
            return MethodOutput(module=model.full)
    ```

    - `method`, `control`: its names in these two columns of the table.
    - `support_from`: whose samples it is given; `none` if it reads no support set.
    - `gates`: name of the gated network that must be trained for it, or None.
    - `prunes`: whether it makes the network smaller. A method that does not has a single row, at budget 1.
    - `reads_labels`: whether it needs the labels of the support set.
    - `answers_all`: whether the network has an output for every class.
    - `needs`: properties that the task must offer, such as `classes`.
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

        Without a budget, the method chooses the size by a rule of its own.

        Raise `UserError` if the budget is not in (0, 1], too small for one channel per layer, or None for a method
        without such a rule.
        """
        if budget is not None and not 0 < budget <= 1:
            raise UserError(f"budget is {budget}: it is a fraction in (0, 1]")
        caches = (support.once, model.train.once)
        spared_before, start = sum(cache.spared for cache in caches), synchronized_time()
        output = self.make(model, support, budget)
        spared = sum(cache.spared for cache in caches) - spared_before
        seconds = synchronized_time() - start + spared + output.seconds_before
        cost = output.stated_cost or model.cost(output.module.widths)
        return PersonalModel(**vars(output), cost=cost, full=model.cost.full, seconds=seconds)

    @abstractmethod
    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the method's output for a support set and a budget."""

    def depends_on(self) -> dict[str, Any]:
        """Return the settings that the method's rows depend on, by section of the experiment: those that it `reads`."""
        return {name_of(kind): asdict(self.experiment[kind]) for kind in self.reads}

    def called(self, method: str) -> "Personalizer":
        """Set another name and return the personalizer."""
        self.method = method
        return self

    def unmet_needs(self, task: Task) -> list[str]:
        """Return the names of needs that a task does not offer, sorted."""
        return sorted(self.needs - task.offers)

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if the method cannot work on such a network, or cannot meet the least budget."""
        if self.prunes:
            self.masks_within(min(self.experiment.budgets), [torch.zeros(width) for width in backbone.widths], cost)

    @property
    def shared(self) -> bool:
        """True if persons of a group get the same network."""
        return self.support_from in ("none", "population")

    @property
    def budgets(self) -> tuple[float, ...]:
        """Budgets of its rows: the experiment's, or 1 if it does not prune."""
        return self.experiment.budgets if self.prunes else (1.0,)

    @property
    def steps(self) -> int:
        """Number of training steps on the support set, on the device."""
        return 0

    @property
    def training_samples(self) -> int:
        """Number of samples of `GlobalModel.train` that it reads."""
        return 0

    def train_samples(self, rows: int) -> int:
        """Return how many samples its training for everybody goes through, beyond that of the full network.

        **Arguments:**

        - `rows`: number of training samples, which one pass goes through.
        """
        return 0

    @property
    def for_all(self) -> "Personalizer | None":
        """The expensive part that is the same for everybody and is cached; None if there is none."""
        return None

    def masks_within(self, budget: float | None, scores: list[Tensor], cost: Costs) -> list[Tensor]:
        """Return the masks, per group `(C_l,)`, that keep the highest scores within a budget.

        Raise `UserError` if `budget` is None, or too small for one channel per layer.
        """
        if budget is None:
            raise UserError(f"method {self.method} cannot choose a size by itself: give a budget in (0, 1]")
        pruning = self.experiment.pruning
        return budget_masks(scores, cost, budget, unit=pruning.unit, round_to=pruning.round_to)


class Step(Personalizer):
    """A change of the output of `first`, another personalizer, on the person's support set.

    Its method's name is that of `first` with the step's name behind it, such as `ppp+bn`.

    ```python
    class Nothing(Step):
        def make(self, model, support, budget):
            return self.output_of_first(model, support, budget)
    ```

    - `keeps_controls`: whether it has rows for the controls of `first`, too. Then `first` is given the control's
      samples, and the step is given the person's own.

    Raise `UserError` if it reads labels and `first` removes classes.
    """

    keeps_controls = False

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first.experiment)
        if self.reads_labels and not first.answers_all:
            raise UserError(f"method {method} reads labels, but classes.cut removes classes: set classes.cut to false")
        self.first, self.prunes, self.gates = first, first.prunes, first.gates
        self.reads_labels = self.reads_labels or first.reads_labels
        self.answers_all = first.answers_all
        self.needs = self.needs | first.needs
        if self.keeps_controls:
            self.control = first.control
            self.support_from = "own" if first.control in ("", "own") else first.support_from

    def depends_on(self) -> dict[str, Any]:
        """Return the settings and the method's name of `first`, and the settings that the step reads."""
        before = self.first.depends_on()
        return {**before, "first": [self.first.method, before]} | super().depends_on()

    @property
    def steps(self) -> int:
        """Number of training steps of `first`."""
        return self.first.steps

    @property
    def training_samples(self) -> int:
        """Number of training samples that `first` reads."""
        return self.first.training_samples

    def train_samples(self, rows: int) -> int:
        """Return how many samples the training of `first` goes through, of `rows` in a pass."""
        return self.first.train_samples(rows)

    @property
    def shared(self) -> bool:
        """True if persons share the network; False if the step keeps controls, since it reads each person's samples."""
        return super().shared and not self.keeps_controls

    @property
    def for_all(self) -> Personalizer | None:
        """The part of `first` that is the same for everybody and is cached."""
        return self.first.for_all

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if `first` cannot work on such a network."""
        self.first.check(backbone, cost)

    def output_of_first(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the output of `first`, from a cache if it reads no support set."""
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
    """Return a decorator that adds a method: a `Personalizer` class, or a function from an experiment to a list.

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
    return _make_decorator(METHODS, name, settings, Personalizer, lambda kind, experiment: kind(name, experiment))


def register_step(name: str, *, settings: type[Any] | None = None) -> Callable[[Maker], Maker]:
    """Return a decorator that adds a step, which `+name` behind a method's name asks for.

    A step is a `Step` class, or a function from a personalizer to a list. Arguments and errors are those of
    `register_method`.

    ```python
    @register_step("halved")
    class Halved(Step):
        def make(self, model, support, budget):
            first = self.output_of_first(model, support, budget)
            return first.with_module(copy.deepcopy(first.module).half().float())
    ```
    """
    return _make_decorator(STEPS, name, settings, Step, lambda kind, first: kind(f"{first.method}+{name}", first))


def _make_decorator(
    registry: Registry[Any],
    name: str,
    settings: type[Any] | None,
    base: type[Personalizer],
    construct: Callable[[Any, Any], Personalizer],
) -> Callable[[Maker], Maker]:
    """Return the decorator of `register_method` and `register_step`.

    **Arguments:**

    - `base`: the class that it must be derived from.
    - `construct`: makes an instance, given the class and the argument that a function would get.
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
        registry.add(name, (lambda argument: [construct(kind, argument)]) if is_class else maker, made_by=maker)
        return maker

    return add


@register_method("full")
class Full(Personalizer):
    """`full`: the global network as it is, which all other rows are compared with."""

    support_from = "none"
    prunes = False

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the full network."""
        return MethodOutput(module=model.full)
