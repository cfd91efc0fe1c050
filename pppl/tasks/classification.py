"""Classification: outputs are logits of classes, targets are class indices."""

import torch.nn.functional as F
from torch import Tensor

from ..data import IdentityDataset
from ..tables.metric import METRICS
from .task import Task, register_task

# The temperature of distillation; Hinton et al. 2015 use 1 to 20.
_SOFTNESS = 2.0


@register_task("classification")
class Classification(Task):
    """One of several classes for each sample; the loss is the cross-entropy, the metric the accuracy.

    A person may use some of the classes only, which is why persons are drawn by class, and why predictions on a support
    set tell a class prior.

    >>> import torch
    >>> Classification().predict(torch.tensor([[0.1, 2.0], [3.0, 1.0]]))
    tensor([1, 0])
    """

    metrics = (METRICS["accuracy"],)
    offers = frozenset({"classes"})

    def outputs(self, dataset: IdentityDataset) -> int:
        """Return the number of classes."""
        return len(dataset.classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits `(B, K)` and class indices `(B,)`."""
        return F.cross_entropy(outputs, targets)

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the most probable classes, `(B,)`."""
        return outputs.argmax(1)

    def total_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of cross-entropies."""
        return F.cross_entropy(outputs, targets, reduction="sum")

    def score(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the accuracy among all classes of the data set."""
        return {"accuracy": (self.predict(outputs) == targets).sum().item() / len(targets)}

    def divergence(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return the divergence of softened predictions (Hinton, Vinyals, Dean 2015).

        >>> import torch
        >>> Classification().divergence(torch.zeros(1, 2), torch.zeros(1, 2))
        tensor(0.)
        """
        target = F.log_softmax(teacher.float() / _SOFTNESS, 1)
        own = F.log_softmax(outputs.float() / _SOFTNESS, 1)
        return _SOFTNESS**2 * F.kl_div(own, target, reduction="batchmean", log_target=True)

    def evidence(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of all classes."""
        return outputs.softmax(1)

    def labels(self, targets: Tensor) -> Tensor:
        """Return the classes."""
        return targets

    def progress(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the accuracy."""
        return {"accuracy": (self.predict(outputs) == targets).float().mean()}

    def chance(self, dataset: IdentityDataset) -> float:
        """Return the accuracy of guessing."""
        return 1 / len(dataset.classes)
