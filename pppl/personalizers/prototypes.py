"""The steps `+prototypes` and `+t3a`: a classifier made of class means of the support set's features.

The network stays a plain one, because both classifiers are linear in the features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backbones import NEVER, classifier_of, split_classifier, with_classifier
from ..data import Support
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Step, register_step


@register_step("prototypes")
class Prototypes(Step):
    """The network of `first` with a classifier that predicts the class with the nearest mean of features.

    Means are those of the person's labelled samples (Snell, Swersky, Zemel, NeurIPS 2017). A class without samples is
    never predicted.
    """

    needs = frozenset({"classes"})
    reads_labels = True

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with the new classifier."""
        first, own = self.output_of_first(model, support, budget), support.own or support
        features, logits = split_classifier(first.module, own.x)
        weight, bias = nearest_mean(features, own.y, logits.shape[1])
        return first.with_module(with_classifier(first.module, weight, bias))


@register_step("t3a")
class T3A(Step):
    """The network of `first` with the rows of its classifier averaged with features of the person's samples.

    Each row is averaged with the samples for which its class is predicted (T3A: Iwasawa, Matsuo, NeurIPS 2021). The
    samples are taken all at once and without the paper's entropy filter, because a support set is small [choice].
    """

    needs = frozenset({"classes"})

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with the new classifier."""
        first, own = self.output_of_first(model, support, budget), support.own or support
        features, logits = split_classifier(first.module, own.x)
        _, layer = classifier_of(first.module)
        weight = templates(layer.weight.detach(), features, logits.argmax(1))
        return first.with_module(with_classifier(first.module, weight, weight.new_zeros(len(weight))))


def nearest_mean(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return weights, `(K, F)`, and biases, `(K,)`, whose logits are highest for the class with the nearest mean.

    The logits are `2 f.u - |u|^2` for features f and a mean u. That is the negative squared distance without the term
    `|f|^2`, which is the same for all classes.

    >>> weight, bias = nearest_mean(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]), 2)  # means 0.5 and 3
    >>> weight.flatten().tolist(), bias.tolist()
    ([1.0, 6.0], [-0.25, -9.0])

    **Arguments:**

    - `features`, `labels`: `(N, F)` and `(N,)`.
    - `classes`: number of classes, K.
    """
    one_hot = F.one_hot(labels, classes).to(features)  # (N, K)
    count = one_hot.sum(0)  # (K,)
    means = (one_hot / count.clamp(min=1)).T @ features
    bias = -means.square().sum(1)
    return 2 * means, torch.where(count > 0, bias, NEVER * (1 + bias.abs().max()))


def templates(weight: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean, `(K, F)`, of each row of a classifier and the features with its label, all scaled to length 1.

    **Arguments:**

    - `weight`: `(K, F)`, the rows of the classifier.
    - `features`, `labels`: `(N, F)` and `(N,)`.
    """
    rows, samples = F.normalize(weight), F.normalize(features)
    one_hot = F.one_hot(labels, len(weight)).to(features)  # (N, K)
    return (rows + one_hot.T @ samples) / (1 + one_hot.sum(0))[:, None]
