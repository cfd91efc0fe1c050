"""The one protocol: a global model, a support set and a budget give a personal model."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..diff import Delta, delta_bytes
from ..errors import UserError, unknown
from ..gating import GatedNetwork, Rule
from ..pruning import Cost, CostModel, artifact_bytes, budget_masks, slice_network

SupportFrom = Literal["own", "population", "other", "none"]


@dataclass(frozen=True, kw_only=True)
class GlobalModel:
    """The networks that were trained for everybody.

    - `full`: the backbone, trained without gates.
    - `gated`: gated networks by the name of the method that trained them.
    - `cost`: of the backbone at any widths.
    """

    full: Backbone
    gated: Mapping[str, GatedNetwork]
    cost: CostModel

    def to(self, device: torch.device) -> "GlobalModel":
        """The same model on `device`."""
        gated = {name: network.to(device) for name, network in self.gated.items()}
        return GlobalModel(full=self.full.to(device), gated=gated, cost=self.cost)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a method makes of a support set.

    - `module`: plain modules, in evaluation mode.
    - `masks`: per group, `(C_l,)` boolean; None where nothing was pruned.
    - `retrain_samples`: samples that went through a training step on the way.
    - `delta`: the module's difference to the global network, where that is what a device is sent.
    """

    module: Backbone
    masks: list[Tensor] | None = None
    retrain_samples: int = 0
    delta: Delta | None = None


@dataclass(frozen=True, kw_only=True)
class PersonalModel(Made):
    """What runs on a person's device.

    - `seconds`: wall time from the support set to the module.
    """

    cost: Cost
    seconds: float

    @property
    def bytes(self) -> int:
        """Size of the file that is a person's own: the module's weights, or its delta to the shared network."""
        return artifact_bytes(self.module) if self.delta is None else delta_bytes(self.delta)


class Personalizer(ABC):
    """One way of personalizing.

    - `method`, `control`: as in the table.
    - `support_from`: whose samples it is given; `none` where it looks at nobody's.
    - `gates`: which gated network it needs trained, if any.
    - `prunes`: whether it makes the network smaller; one that does not has a single row, at budget 1.
    """

    control: str = ""
    support_from: SupportFrom = "own"
    gates: str | None = None
    prunes: bool = True

    def __init__(self, method: str, experiment: Experiment):
        self.method, self.experiment = method, experiment

    def personalize(self, model: GlobalModel, support: Support, budget: float | None = None) -> PersonalModel:
        """The personal model within `budget`, a fraction of the full network's cost; None for the method's own rule.

        Raises `UserError` where the budget is too small for one channel per layer.
        """
        if budget is not None and not 0 < budget <= 1:
            raise UserError(f"budget is {budget}: it is a fraction in (0, 1]")
        start = time.perf_counter()
        made = self._make(model, support, budget)
        if support.x.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        return PersonalModel(**vars(made), cost=model.cost(made.module.widths), seconds=seconds)

    @abstractmethod
    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> Made:
        """The method itself."""


class ScorePruner(Personalizer):
    """Methods that score channels, keep the best that the budget allows, and slice."""

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> Made:
        def rule(scores: list[Tensor]) -> list[Tensor]:
            return self._masks(model, scores, budget)

        masks = rule(self._scores(model, support, rule))
        return Made(module=slice_network(self._network(model), masks), masks=masks)

    def _masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        if budget is None:
            raise UserError(f"method {self.method} has no rule of its own: give a budget in (0, 1]")
        pruning = self.experiment.pruning
        return budget_masks(scores, model.cost, budget, unit=pruning.unit, round_to=pruning.round_to)

    def _network(self, model: GlobalModel) -> Backbone:
        """The network that is sliced."""
        return model.full

    @abstractmethod
    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Per group `(C_l,)`, comparable between groups; `rule` is what will make masks of them."""


Factory = Callable[[Experiment], list[Personalizer]]
METHODS: dict[str, Factory] = {}


def register(method: str) -> Callable[[Factory], Factory]:
    """Registers a function that makes a method's personalizers, one for each control."""

    def add(factory: Factory) -> Factory:
        METHODS[method] = factory
        return factory

    return add


def personalizers_for(experiment: Experiment) -> list[Personalizer]:
    """All personalizers of an experiment's methods, controls included. Raises `UserError` for an unknown method."""
    for method in experiment.methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    return [each for method in experiment.methods for each in METHODS[method](experiment)]


def relative(scores: list[Tensor]) -> list[Tensor]:
    """Scores divided by their layer's mean, which makes layers comparable (as Torch-Pruning does by default)."""
    return [score / score.mean().clamp(min=1e-12) for score in scores]


def uniform(scores: list[Tensor]) -> list[Tensor]:
    """Scores as their rank inside the layer, in (0, 1], so that every layer loses the same fraction of its channels."""
    return [(score.argsort().argsort() + 1) / len(score) for score in scores]
