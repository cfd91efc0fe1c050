"""`basis` and `basis_support`: basis pruning (Wong, Kashyap, Moradi, 2024), see `pppl.pruning.basis`.

`basis` leaves out basis filters by their scale, the same for everybody. `basis_support` does by what leaving one out
costs on the person's labelled support set to first order, the paper's criterion on its target data. The paper trains
the scales on that data first; we do not (`+finetune` is a step).
"""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..backbones import Backbone, full_rank
from ..data import Support
from ..pruning import Basis, BasisCost, CostModel, basis_network, convolutions, decompose, mean_gradients
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, register_method
from .scores import relative


@register_method("basis")
class BasisPruned(Personalizer):
    """Basis filters kept by their scale relative to their layer's mean."""

    support_from = "none"

    def depends_on(self) -> dict[str, Any]:
        """What a budget counts."""
        return {"pruning": asdict(self.experiment.pruning)}

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` where one basis filter per convolution is over the least budget."""
        ranks = [torch.zeros(full_rank(conv)) for conv in convolutions(backbone).values()]
        self.masks_within(min(self.experiment.budgets), ranks, BasisCost(backbone, cost))

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        bases = model.train.once(("bases", model.full), lambda: decompose(model.full))
        scores, cost = self.scores(model, bases, support), BasisCost(model.full, model.cost)
        masks = self.masks_within(budget, scores, cost)
        kept = [int(mask.sum()) for mask in masks]
        return MethodOutput(module=basis_network(model.full, bases, masks), stated_cost=cost(kept))

    def scores(self, model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
        """Per convolution `(R,)`."""
        return relative([basis.scale for basis in bases])


@register_method("basis_support")
class BasisPrunedOnSupport(BasisPruned):
    """Basis filters kept by abs(scale * gradient of the scale), relative to their layer's mean."""

    support_from = "own"
    reads_labels = True

    def scores(self, model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
        return support.once(("basis", model.full), lambda: _taylor(model, bases, support))


def _taylor(model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
    scores = []
    network = model.full
    with mean_gradients(network, model.task, support.x, support.y):
        for basis in bases:
            gradient = network.get_parameter(f"{basis.path}.weight").grad
            assert gradient is not None
            of_scale = ((basis.left.T @ gradient.flatten(1)) * basis.right).sum(1)  # the diagonal of U'GV
            scores.append((of_scale * basis.scale).abs())
    return relative(scores)
