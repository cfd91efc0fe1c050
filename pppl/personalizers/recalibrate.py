"""The step `+bn`: batch statistics of the support set in place of the training data's; no label is read."""

import copy
from dataclasses import asdict, replace
from typing import Any

import torch

from ..data import Support
from ..diff import base_sha256, batch_statistics
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_step


class Recalibrated(Step):
    """Whatever `first` gives, its batch normalization recalibrated in one pass over the support set.

    Pruning changes what later layers receive, so that the statistics of the whole network no longer fit (Li et al.,
    EagleEye, ECCV 2020); a person's samples differ from everybody's, too (Li et al., AdaBN, 2016). Raises `UserError`
    for a support set of one sample, which has no variance.
    """

    def depends_on(self) -> dict[str, Any]:
        """What is recalibrated, and how far."""
        return super().depends_on() | {"bn": asdict(self.experiment.bn)}

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        if len(support.x) < 2:
            raise UserError(f"method {self.method} needs 2 support samples or more: give more persons.shots")
        first = self._first(model, support, budget)
        module = copy.deepcopy(first.module).eval()
        normalizing: list[Any] = [layer for layer in module.modules() if "running_mean" in layer._buffers]
        momenta = [layer.momentum for layer in normalizing]
        for layer in normalizing:
            layer.momentum = self.experiment.bn.share
            layer.train()  # and nothing else: dropout would make statistics random
        with torch.no_grad():
            module(support.x)
        for layer, momentum in zip(normalizing, momenta, strict=True):
            layer.momentum = momentum
        if first.delta is None:
            return first.with_module(module.eval(), size=first.size)  # which has the statistics in it
        statistics = {name: module.get_buffer(name) for name in batch_statistics(module)}
        own = base_sha256(model.full, own=statistics)
        delta = replace(first.delta, state={**first.delta.state, **statistics}, base_sha256=own)
        return first.with_module(module.eval(), delta=delta)


@register_step("bn")
def _step(first: Personalizer) -> list[Personalizer]:
    return [Recalibrated(f"{first.method}+bn", first)]
