"""`ocap` and `ocap_frequency`: channels ranked by their activations on the support set; no gates, no training.

After OCAP (Ma et al., Journal of Systems Architecture 2023): the strongest cheap competitor, since it is PPP's last
step without gates. `ocap` ranks by the activations' L2 norm over the whole support set; `ocap_frequency`, nearer to the
paper, by how many samples have a channel among the strongest of its layer. The paper's data selection and its
fine-tuning are left out (`+finetune` is a step). Activations are what a mask multiplies; in `res*` that is after a
normalization that follows the ReLU, and before it did no better (validation speakers of Arabic keywords, all budgets).
"""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from ..backbones import Backbone, hook_groups
from ..config import register_settings, require
from ..data import Support
from ..gating import Rule
from .global_model import GlobalModel
from .personalizer import ScorePruner, register_method
from .scores import uniform


@register_settings("ocap")
@dataclass(frozen=True, kw_only=True)
class OCAPSettings:
    """`ocap_frequency`, votes of the support samples.

    - `top`: fraction of a layer's channels that a sample votes for.
    """

    top: float = 0.25

    def __post_init__(self) -> None:
        require(0 < self.top <= 1, f"ocap.top is {self.top}: in (0, 1]")


@register_method("ocap")
class OCAPPruner(ScorePruner):
    """Scores a channel by the L2 norm of its activations over the support set, ranked inside its layer.

    On validation persons this did better than norms relative to their layer's mean.
    """

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        return uniform([norm.norm(dim=0) for norm in _norms(model.full, support)])


@register_method("ocap_frequency")
class OCAPFrequency(ScorePruner):
    """Scores a channel by the samples whose `ocap.top` strongest of the layer it is among; of equals, by its norm."""

    reads = (OCAPSettings,)
    settings: OCAPSettings

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        return uniform([self._votes(norm) for norm in _norms(model.full, support)])

    def _votes(self, norm: Tensor) -> Tensor:
        """`(N, C)` to `(C,)`."""
        strongest = norm.topk(ceil(self.settings.top * norm.shape[1]), dim=1).indices
        votes = torch.zeros_like(norm).scatter_(1, strongest, 1).sum(0)
        (rank,) = uniform([norm.norm(dim=0)])
        return votes + rank / 2


def _norms(network: Backbone, support: Support) -> list[Tensor]:
    """Per group, the L2 norm of each sample's activations, `(N, C_l)`."""
    return support.once(("activations", network), lambda: _measured(network, support.x))


@torch.no_grad()
def _measured(network: Backbone, x: Tensor) -> list[Tensor]:
    norms: list[Tensor] = []

    def record(_: int, activations: Tensor) -> None:
        norms.append(activations.flatten(2).norm(dim=2))  # (N, C, ...) -> (N, C)

    with hook_groups(network, after=record):
        network(x)
    return norms
