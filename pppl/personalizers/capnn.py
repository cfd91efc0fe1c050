"""`capnn`: channels kept by how often they fire for the person's classes, as training data tell (after CAP'NN: Hemmat,
San Miguel, Davoodi, DAC 2020). Nothing is retrained and no label of the person is read.

Of the paper the abstract and what others tell of it were at hand: firing rates of each class are profiled on training
data, weighted by how much a person uses the class, and channels that serve confusing classes are removed, too. Our
choices: a channel fires where its mean over positions is above the mean over all training samples that are looked at;
usage is the share of the support set that the full network takes for a class; how confusing a class is to those is its
mean probability on training samples of theirs; the budget rule, with layers alike.
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
from .personalizer import ScorePruner, register_method
from .scores import uniform
from .static import StaticSettings


@register_settings("capnn")
@dataclass(frozen=True, kw_only=True)
class CAPNNSettings:
    """`capnn`, channels kept by how often they fire for the person's classes (after Hemmat et al., DAC 2020).

    - `confusing`: how much of the firing for classes that the person's are mistaken for is taken off.
    """

    confusing: float = 0.5

    def __post_init__(self) -> None:
        require(self.confusing >= 0, f"capnn.confusing is {self.confusing}: 0 or more")


@register_method("capnn")
class CAPNNPruner(ScorePruner):
    """Scores a channel by its firing rate over the person's classes less that over classes they are mistaken for."""

    needs = frozenset({"classes"})
    reads = (CAPNNSettings, StaticSettings)
    settings: CAPNNSettings

    @property
    def training_samples(self) -> int:
        """As many as static pruning looks at."""
        return self.experiment[StaticSettings].samples

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        count = self.training_samples
        seen = model.train.once(("firing", model.full, count), lambda: profile(model.full, model.samples, count))
        rates, confusion = seen
        usage = support.once(("usage", model.full), lambda: find_used_classes(model.full, support.x))
        return uniform(class_scores(rates, confusion, usage, self.settings.confusing))


@torch.no_grad()
def profile(network: Backbone, samples: Support, count: int) -> tuple[list[Tensor], Tensor]:
    """Return firing rates by class, per group `(K, C_l)`, and mean probabilities of other classes, by class, `(K, K)`.

    A class without samples never fires.
    """
    activations: list[Tensor] = []
    x, y = samples.x[:count], samples.y[:count]
    see = hook_groups(network, after=lambda _, values: activations.append(values.flatten(2).mean(2)))
    with see:
        logits = network(x)
    of_class = F.one_hot(y, logits.shape[1]).float()  # (N, K)
    share = of_class / of_class.sum(0).clamp(min=1)
    rates = [share.T @ (each > each.mean(0)).float() for each in activations]
    confusion = share.T @ logits.float().softmax(1)  # (K, K)
    return rates, confusion.fill_diagonal_(0)


@torch.no_grad()
def find_used_classes(network: Backbone, x: Tensor) -> Tensor:
    """Return the share of samples, `(N, C, ...)`, that a network takes for each class, `(K,)`."""
    logits = network(x)
    return torch.bincount(logits.argmax(1), minlength=logits.shape[1]) / len(x)


def class_scores(rates: list[Tensor], confusion: Tensor, usage: Tensor, confusing: float) -> list[Tensor]:
    """Return the score of each channel, per group `(C_l,)`.

    ```python
    class_scores([torch.tensor([[1.0, 0.0], [0.0, 1.0]])], torch.zeros(2, 2), torch.tensor([1.0, 0.0]), 0.5)  # 1, 0
    ```

    **Arguments:**

    - `rates`: per group `(K, C_l)`; `confusion`: `(K, K)`, from true to other ones; `usage`: `(K,)`.
    - `confusing`: weight of the classes, outside of those in use, that the ones in use are mistaken for.
    """
    mistaken = torch.where(usage > 0, 0, usage @ confusion)  # (K,)
    mistaken = mistaken / mistaken.sum().clamp(min=1e-12)
    return [(usage - confusing * mistaken) @ each for each in rates]
