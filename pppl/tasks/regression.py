"""Regression: outputs are one or more numbers for each sample.

Networks of this task, and of tasks derived from it, are trained on targets that are standardized by the training
samples (`IdentityDataset.targets`), so that a loss of 1 is that of the mean, whatever the unit. Scores are computed in
the unit of the data. Other tasks get their targets as they are.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import IdentityDataset
from ..system.errors import UserError
from ..tables.metric import METRICS
from .task import Task, register_task


@register_task("regression")
class Regression(Task):
    """Numbers `(D,)` for each sample; the loss is the mean squared error, the metrics are R2 and MAE.

    >>> Regression().loss(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]]))
    tensor(2.)
    """

    metrics = (METRICS["R2"], METRICS["MAE"])

    def outputs(self, dataset: IdentityDataset) -> int:
        """Return D."""
        return dataset.y.shape[1]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of outputs and targets, both `(B, D)`; targets of one number may be `(B,)`.

        Raise `UserError` if there is not one target for each output.
        """
        return F.mse_loss(outputs, _for_each(outputs, targets))

    def score(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return R2, the mean over dimensions, and MAE of outputs and targets, both `(N, D)`.

        R2 is 1 - (squared error) / (squared error of the targets' mean). For a constant target it is 1 if every output
        is right and 0 otherwise, as in scikit-learn.

        >>> import torch
        >>> Regression().score(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]]))
        {'R2': 0.5, 'MAE': 0.5}
        """
        outputs, targets = outputs.double(), targets.double()
        error = (outputs - targets).square().sum(0)  # (D,)
        spread = (targets - targets.mean(0)).square().sum(0)
        r2 = torch.where(spread > 0, 1 - error / spread.clamp(min=1e-300), (error == 0).double())
        return {"R2": r2.mean().item(), "MAE": (outputs - targets).abs().mean().item()}

    def divergence(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean squared difference to the teacher's outputs."""
        return F.mse_loss(outputs, teacher)

    def progress(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the mean absolute error."""
        return {"MAE": (outputs - _for_each(outputs, targets)).abs().mean()}

    def chance(self, dataset: IdentityDataset) -> float:
        """Return R2 of the mean."""
        return 0.0


def _for_each(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return targets in the shape of outputs: `(B,)` and `(B, 1)` would be compared each with each."""
    if len(targets) != len(outputs) or targets.numel() != outputs.numel():
        raise UserError(
            f"outputs of shape {tuple(outputs.shape)} have targets of shape {tuple(targets.shape)}: give one for each"
        )
    return targets.view_as(outputs)
