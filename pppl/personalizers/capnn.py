"""`capnn`: channels kept by how often they fire for the person's classes (after CAP'NN).

The method follows Hemmat, San Miguel, Davoodi (DAC 2020). Nothing is retrained and no label of the person is read.

Only the paper's abstract and descriptions by other authors were available. They say: firing rates of each class are
measured on training data and weighted by how much a person uses the class; channels that serve confusing classes are
removed, too. Our choices: a channel fires if its mean over positions is above its mean over the training samples that
are read. The usage of a class is its share of the full network's predictions on the support set. A class confuses the
person's classes by its mean probability on training samples of those. Every layer loses the same fraction of channels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backbones import Backbone, hook_groups
from ..config import register_settings, require
from ..data import Support
from ..gating import Rule
from .global_model import GlobalModel
from .personalizer import register_method
from .scores import ScorePruner, uniform
from .static import StaticSettings


@register_settings("capnn")
@dataclass(frozen=True, kw_only=True)
class CAPNNSettings:
    """`capnn`, channels kept by how often they fire for the person's classes (after Hemmat et al., DAC 2020).

    - `confusing`: weight of the firing rates that are subtracted: those for classes that the person's are mistaken for.
    """

    confusing: float = 0.5

    def __post_init__(self) -> None:
        require(self.confusing >= 0, f"capnn.confusing is {self.confusing}: 0 or more")


@register_method("capnn")
class CAPNNPruner(ScorePruner):
    """A method that scores a channel by its firing rate for the person's classes, less that for confusing classes."""

    needs = frozenset({"classes"})
    reads = (CAPNNSettings, StaticSettings)
    settings: CAPNNSettings

    @property
    def training_samples(self) -> int:
        """Number of training samples that firing rates are measured on, the same as for static pruning."""
        return self.experiment[StaticSettings].samples

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the ranks of the channels by their score, per group `(C_l,)`."""
        count = self.training_samples
        key = ("firing", model.full, count)
        rates, confusion = model.train.once(key, lambda: profile(model.full, model.samples, count))
        usage = support.once(("usage", model.full), lambda: find_used_classes(model.full, support.x))
        return uniform(class_scores(rates, confusion, usage, self.settings.confusing))


@torch.no_grad()
def profile(network: Backbone, samples: Support, count: int) -> tuple[list[Tensor], Tensor]:
    """Return firing rates by class, per group `(K, C_l)`, and mean probabilities of other classes, by class, `(K, K)`.

    The rates of a class without samples are 0.
    """
    activations: list[Tensor] = []
    x, y = samples.x[:count], samples.y[:count]
    with hook_groups(network, after=lambda _, values: activations.append(values.unsqueeze(2).flatten(2).mean(2))):
        logits = network(x)
    one_hot = F.one_hot(y, logits.shape[1]).float()  # (N, K)
    share = one_hot / one_hot.sum(0).clamp(min=1)
    rates = [share.T @ (means > means.mean(0)).float() for means in activations]
    confusion = share.T @ logits.float().softmax(1)  # (K, K)
    return rates, confusion.fill_diagonal_(0)


@torch.no_grad()
def find_used_classes(network: Backbone, x: Tensor) -> Tensor:
    """Return the share of samples, `(N, C, ...)`, for which a network predicts each class, `(K,)`."""
    logits = network(x)
    return torch.bincount(logits.argmax(1), minlength=logits.shape[1]) / len(x)


def class_scores(rates: list[Tensor], confusion: Tensor, usage: Tensor, confusing: float) -> list[Tensor]:
    """Return the score of each channel, per group `(C_l,)`.

    >>> class_scores([torch.tensor([[1.0, 0.0], [0.0, 1.0]])], torch.zeros(2, 2), torch.tensor([1.0, 0.0]), 0.5)
    [tensor([1., 0.])]

    **Arguments:**

    - `rates`: firing rates by class, per group `(K, C_l)`.
    - `confusion`: `(K, K)`, mean probabilities of other classes, one row per true class.
    - `usage`: `(K,)`, the share of each class in the person's samples.
    - `confusing`: weight of the unused classes that the used ones are mistaken for.
    """
    mistaken = torch.where(usage > 0, 0, usage @ confusion)  # (K,)
    mistaken = mistaken / mistaken.sum().clamp(min=1e-12)
    return [(usage - confusing * mistaken) @ rate for rate in rates]
