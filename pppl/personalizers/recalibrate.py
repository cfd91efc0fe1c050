"""The step `+bn`: batch normalization with statistics of the support set; no label is read."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..config import register_settings, require
from ..data import Support
from ..diff import base_sha256, batch_statistics
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Step, register_step


@register_settings("bn")
@dataclass(frozen=True, kw_only=True)
class BNSettings:
    """The step `+bn`, batch statistics of the support set.

    - `share`: weight of the support set's statistics; the rest is the training data's.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, f"bn.share is {self.share}: in (0, 1]")


@register_step("bn")
class Recalibrated(Step):
    """The network of `first` with its batch normalization recalibrated in one pass over the support set.

    Pruning changes the inputs of later layers, so the full network's statistics do not fit (Li et al., EagleEye, ECCV
    2020). A person's samples also differ from everybody's (Li et al., AdaBN, 2016).
    """

    reads = (BNSettings,)
    settings: BNSettings

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with new running statistics.

        Raise `UserError` for a support set of one sample, which has no variance.
        """
        if len(support.x) < 2:
            raise UserError(f"method {self.method} needs at least 2 support samples: raise persons.shots")
        first = self.output_of_first(model, support, budget)
        module = copy.deepcopy(first.module).eval()
        normalizing: list[Any] = [layer for layer in module.modules() if "running_mean" in layer._buffers]
        momenta = [layer.momentum for layer in normalizing]
        for layer in normalizing:
            layer.momentum = self.settings.share
            layer.train()  # these layers only: dropout would make statistics random
        with torch.no_grad():
            module(support.x)
        for layer, momentum in zip(normalizing, momenta, strict=True):
            layer.momentum = momentum
        if first.delta is None:
            return first.with_module(module.eval(), size=first.size)  # the weights in the file include the statistics
        statistics = {name: module.get_buffer(name) for name in batch_statistics(module)}
        own = base_sha256(model.full, own=statistics)
        delta = replace(first.delta, state={**first.delta.state, **statistics}, base_sha256=own)
        return first.with_module(module.eval(), delta=delta)
