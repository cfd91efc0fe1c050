"""The networks that were trained for everybody, which every method begins with."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from ..backbones import Backbone
from ..config import register_settings, require
from ..data import NoSamples, Support
from ..gating import GatedNetwork, PersonGatedNetwork
from ..pruning import CostModel
from ..system.errors import UserError
from ..tasks import Task


@register_settings("retrain")
@dataclass(frozen=True, kw_only=True)
class RetrainSettings:
    """The step `+retrain`: the pruned network fine-tuned on the global training set, otherwise as `training` says.

    - `epochs`, `learning_rate`: of this training.
    - `distillation`: weight of the divergence from the full network's predictions (Hinton et al. 2015).
    """

    epochs: int = 10
    learning_rate: float = 5e-3
    distillation: float = 0.0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"retrain.epochs is {self.epochs}: at least 1")
        require(self.learning_rate > 0, f"retrain.learning_rate is {self.learning_rate}: more than 0")
        require(self.distillation >= 0, f"retrain.distillation is {self.distillation}: 0 or more")


Network = TypeVar("Network", bound=nn.Module)


class RetrainedNetwork(NamedTuple):
    """A network that was trained on, and seconds that were spent on it before now."""

    network: Backbone
    seconds_before: float


Retrain = Callable[[Backbone, RetrainSettings], RetrainedNetwork]


def _cannot_retrain(network: Backbone, settings: RetrainSettings) -> RetrainedNetwork:
    raise UserError("this global model came without its training data: leave methods with +retrain out")


@dataclass(frozen=True, kw_only=True)
class GlobalModel:
    """The networks that were trained for everybody.

    >>> from pppl.backbones import build, spec_for
    >>> from pppl.tasks import TASKS
    >>> full, shape = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8)
    >>> cost, none = CostModel(full, shape), NoSamples.of_shape(shape)
    >>> GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=cost, train=none).full.widths
    (4, 8)

    - `task`: what the networks are for.
    - `full`: the backbone, trained without gates.
    - `gated`: gated networks by the name of the method that trained them.
    - `cost`: of the backbone at any widths.
    - `train`: some of the samples that they were trained on, in random order, for methods that prune for everybody by
      data; `NoSamples` where the model came without.
    - `retrain`: trains a pruned network on all of them.
    """

    task: Task
    full: Backbone
    gated: Mapping[str, GatedNetwork | PersonGatedNetwork]
    cost: CostModel
    train: Support
    retrain: Retrain = _cannot_retrain

    def to(self, device: torch.device) -> "GlobalModel":
        """The same model on `device`; this one stays where it is."""
        gated = {name: _on(device, network) for name, network in self.gated.items()}
        return replace(self, full=_on(device, self.full), gated=gated, train=self.train.to(device))

    @property
    def samples(self) -> Support:
        """Those of `train`. Raises `UserError` where there are none."""
        if isinstance(self.train, NoSamples):
            raise UserError("this method reads training data, which a run does not hold: choose another, such as ppp")
        return self.train


def _on(device: torch.device, network: Network) -> Network:
    """The network itself where it is there, else a copy."""
    there = {tensor.device for tensor in (*network.parameters(), *network.buffers())}
    if all(each.type == device.type and device.index in (None, each.index) for each in there):
        return network
    return copy.deepcopy(network).to(device)
