"""`counting`: how many events are in a sample. Outputs are logarithms of a rate, targets are numbers from 0."""

import math

import torch.nn.functional as F

from pppl import Metric, Task, register_task


@register_task("counting")
class Counting(Task):
    """One rate for each sample; the loss is Poisson's, the metric the mean distance to the number of events."""

    metrics = (Metric("count error", "mean count error", percent=False, limits=(0, math.inf), higher_is_better=False),)

    def outputs(self, dataset):
        """Return 1, a rate."""
        return 1

    def loss(self, outputs, targets):
        """Return the mean of Poisson's negative log-likelihood, `()`, of outputs `(B, 1)` and targets `(B,)`."""
        return F.poisson_nll_loss(outputs[:, 0], targets.float())

    def score(self, outputs, targets):
        """Return the mean distance of the rate to the number of events."""
        return {"count error": (outputs[:, 0].exp() - targets).abs().mean().item()}

    def divergence(self, outputs, teacher):
        """Return how far a network is from its teacher, `()`."""
        return F.poisson_nll_loss(outputs, teacher.exp())
