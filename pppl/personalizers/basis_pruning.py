"""`basis` and `basis_support`: basis pruning (Wong, Kashyap, Moradi, 2024), see `pppl.pruning.basis`.

`basis` removes basis filters by their scale, the same for everybody. `basis_support` removes them by the first-order
change of the loss on the person's labelled support set, which is the paper's criterion on its target data. The paper
first trains the scales on that data; here they are not trained (`+finetune` is a step).
"""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..backbones import Backbone, full_rank
from ..data import Support
from ..pruning import Basis, BasisCost, CostModel, basis_network, convolutions, decompose, mean_gradients
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, register_method
from .scores import relative


@register_method("basis")
class BasisPruned(Personalizer):
    """A method that keeps basis filters by their scale relative to their layer's mean."""

    support_from = "none"

    def depends_on(self) -> dict[str, Any]:
        """Return the settings of pruning."""
        return {"pruning": asdict(self.experiment.pruning)}

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if no convolution can be split, or if one filter for each exceeds the least budget."""
        if not convolutions(backbone):
            name = backbone.spec.backbone
            raise UserError(f"method {self.method} cannot be used: backbone {name} has no convolution to split")
        ranks = [torch.zeros(full_rank(conv)) for conv in convolutions(backbone).values()]
        self.masks_within(min(self.experiment.budgets), ranks, BasisCost(backbone, cost))

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network with the basis filters that fit the budget."""
        bases = model.train.once(("bases", model.full), lambda: decompose(model.full))
        scores, cost = self.scores(model, bases, support), BasisCost(model.full, model.cost)
        masks = self.masks_within(budget, scores, cost)
        kept = [int(mask.sum()) for mask in masks]
        return MethodOutput(module=basis_network(model.full, bases, masks), stated_cost=cost(kept))

    def scores(self, model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
        """Return the scores of basis filters, per convolution `(R,)`, comparable between convolutions."""
        return relative([basis.scale for basis in bases])


@register_method("basis_support")
class BasisPrunedOnSupport(BasisPruned):
    """A method that keeps basis filters by abs(scale * gradient of the scale), relative to their layer's mean."""

    support_from = "own"
    reads_labels = True

    def scores(self, model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
        """Return the scores of basis filters on the support set, per convolution `(R,)`."""
        return support.once(("basis", model.full), lambda: _taylor(model, bases, support))


def _taylor(model: GlobalModel, bases: list[Basis], support: Support) -> list[Tensor]:
    scores = []
    network = model.full
    with mean_gradients(network, model.task, support.x, support.y):
        for basis in bases:
            gradient = network.get_parameter(f"{basis.path}.weight").grad
            assert gradient is not None
            scale_gradient = ((basis.left.T @ gradient.flatten(1)) * basis.right).sum(1)  # the diagonal of U'GV
            scores.append((scale_gradient * basis.scale).abs())
    return relative(scores)
