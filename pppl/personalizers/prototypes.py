"""The steps `+prototypes` and `+t3a`: the classifier made of class means of the support set's features.

Both leave the network a plain one: distances to means and products with them are linear in the features.
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
    """Whatever `first` gives, answering with the class whose labelled samples have the nearest mean features (Snell,
    Swersky, Zemel, NeurIPS 2017). A class without samples is never answered.
    """

    needs = frozenset({"classes"})
    reads_labels = True

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first, own = self.output_of_first(model, support, budget), support.own or support
        features, logits = split_classifier(first.module, own.x)
        weight, bias = nearest_mean(features, own.y, logits.shape[1])
        return first.with_module(with_classifier(first.module, weight, bias))


@register_step("t3a")
class T3A(Step):
    """Whatever `first` gives, its classifier's rows averaged with features of samples that are taken for their class
    (T3A: Iwasawa, Matsuo, NeurIPS 2021), all at once and without their filter, as a support set is small [choice].
    """

    needs = frozenset({"classes"})

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first, own = self.output_of_first(model, support, budget), support.own or support
        features, logits = split_classifier(first.module, own.x)
        _, layer = classifier_of(first.module)
        weight = templates(layer.weight.detach(), features, logits.argmax(1))
        return first.with_module(with_classifier(first.module, weight, weight.new_zeros(len(weight))))


def nearest_mean(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return weights, `(K, F)`, and biases, `(K,)`, whose logits are highest for the class with the nearest mean.

    The logits are `2 f.u - |u|^2`, which is the negative squared distance without the features' own term.

    ```python
    weight, bias = nearest_mean(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]), 2)  # means 0.5 and 3
    ```

    **Arguments:**

    - `features`, `labels`: `(N, F)` and `(N,)`.
    """
    one_hot = F.one_hot(labels, classes).to(features)  # (N, K)
    count = one_hot.sum(0)  # (K,)
    means = (one_hot / count.clamp(min=1)).T @ features
    bias = -means.square().sum(1)
    return 2 * means, torch.where(count > 0, bias, NEVER * (1 + bias.abs().max()))


def templates(weight: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of each row of a classifier, `(K, F)`, and the features with its label, all of length 1."""
    rows, own = F.normalize(weight), F.normalize(features)
    one_hot = F.one_hot(labels, len(weight)).to(features)  # (N, K)
    return (rows + one_hot.T @ own) / (1 + one_hot.sum(0))[:, None]
