"""The global model: networks that were trained for everybody, with which every method begins."""

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
    """The step `+retrain`: the pruned network fine-tuned on the global training set, with the settings of `training`.

    - `epochs`: number of epochs, in place of `training.epochs`.
    - `learning_rate`: the peak of the learning rate, in place of `training.learning_rate`.
    - `distillation`: weight of the divergence from the full network's predictions (Hinton et al. 2015).
    - `classes`: numbers of classes that a person may have (0: all); both losses are then on outputs corrected for the
      classes of a random person, as `+classes` corrects them. Empty: on outputs as they are.
    """

    epochs: int = 10
    learning_rate: float = 5e-3
    distillation: float = 0.0
    classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"retrain.epochs is {self.epochs}: at least 1")
        require(self.learning_rate > 0, f"retrain.learning_rate is {self.learning_rate}: more than 0")
        require(min(self.classes, default=0) >= 0, f"retrain.classes is {list(self.classes)}: 0 (all) or more")
        require(self.distillation >= 0, f"retrain.distillation is {self.distillation}: 0 or more")


Network = TypeVar("Network", bound=nn.Module)


class RetrainedNetwork(NamedTuple):
    """A retrained network, and the seconds that its training took if it comes from a cache."""

    network: Backbone
    seconds_before: float


Retrain = Callable[[Backbone, RetrainSettings], RetrainedNetwork]


def _cannot_retrain(network: Backbone, settings: RetrainSettings) -> RetrainedNetwork:
    raise UserError("this global model has no training data: leave out methods with +retrain")


@dataclass(frozen=True, kw_only=True)
class GlobalModel:
    """The networks that were trained for everybody.

    >>> from pppl.backbones import build, spec_for
    >>> from pppl.tasks import TASKS
    >>> full, shape = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8)
    >>> cost, none = CostModel(full, shape), NoSamples.of_shape(shape)
    >>> GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=cost, train=none).full.widths
    (4, 8)

    - `task`: the task of the networks.
    - `full`: the backbone, trained without gates.
    - `gated`: gated networks, by the name of the method that trained them.
    - `cost`: the cost model of the backbone, for any widths.
    - `train`: some training samples, in random order, for methods that prune for everybody by data; `NoSamples` if the
      model has none.
    - `retrain`: a function that trains a pruned network on the whole training set.
    """

    task: Task
    full: Backbone
    gated: Mapping[str, GatedNetwork | PersonGatedNetwork]
    cost: CostModel
    train: Support
    retrain: Retrain = _cannot_retrain

    def to(self, device: torch.device) -> "GlobalModel":
        """Return a copy of this model on `device`. Networks that are there already are shared."""
        gated = {name: _on(device, network) for name, network in self.gated.items()}
        return replace(self, full=_on(device, self.full), gated=gated, train=self.train.to(device))

    @property
    def samples(self) -> Support:
        """The samples of `train`. Raise `UserError` if there are none."""
        if isinstance(self.train, NoSamples):
            raise UserError(
                "this method reads training data, which a run folder does not hold: choose another method, such as ppp"
            )
        return self.train


def _on(device: torch.device, network: Network) -> Network:
    """Return the network itself if it is on `device`, else a copy that is."""
    present = {tensor.device for tensor in (*network.parameters(), *network.buffers())}
    if all(place.type == device.type and device.index in (None, place.index) for place in present):
        return network
    return copy.deepcopy(network).to(device)
