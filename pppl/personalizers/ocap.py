"""`ocap` and `ocap_frequency`: channels ranked by their activations on the support set; no gates, no training.

The methods follow OCAP (Ma et al., Journal of Systems Architecture 2023). They are the strongest cheap competitors of
PPP, because they are its last step without gates. `ocap` ranks channels by the L2 norm of their activations over the
whole support set. `ocap_frequency`, nearer to the paper, ranks them by the number of samples in which a channel is
among the strongest of its layer. The paper's data selection and fine-tuning are left out (`+finetune` is a step).

Activations are read where a mask multiplies them. In `res*` that is behind a normalization that follows the ReLU; in
front of it results were no better (validation speakers of Arabic keywords, all budgets).
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
from .personalizer import register_method
from .scores import ScorePruner, uniform


@register_settings("ocap")
@dataclass(frozen=True, kw_only=True)
class OCAPSettings:
    """`ocap_frequency`, channels ranked by votes of the support samples.

    - `top`: fraction of a layer's channels that each sample votes for.
    """

    top: float = 0.25

    def __post_init__(self) -> None:
        require(0 < self.top <= 1, f"ocap.top is {self.top}: in (0, 1]")


@register_method("ocap")
class OCAPPruner(ScorePruner):
    """A method that ranks channels inside their layer by the L2 norm of their activations over the support set.

    On validation persons ranks were better than norms relative to the layer's mean.
    """

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the ranks of the norms, per group `(C_l,)`."""
        return uniform([norm.norm(dim=0) for norm in _norms(model.full, support)])


@register_method("ocap_frequency")
class OCAPFrequency(ScorePruner):
    """A method that ranks channels by the number of samples in which they are among the strongest `ocap.top`.

    Ties are broken by the norm over all samples.
    """

    reads = (OCAPSettings,)
    settings: OCAPSettings

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the ranks of the votes, per group `(C_l,)`."""
        return uniform([self._votes(norm) for norm in _norms(model.full, support)])

    def _votes(self, norm: Tensor) -> Tensor:
        """Return the votes for each channel, `(C,)`, from norms `(N, C)`, plus at most half a vote for its norm."""
        strongest = norm.topk(ceil(self.settings.top * norm.shape[1]), dim=1).indices
        votes = torch.zeros_like(norm).scatter_(1, strongest, 1).sum(0)
        (rank,) = uniform([norm.norm(dim=0)])
        return votes + rank / 2


def _norms(network: Backbone, support: Support) -> list[Tensor]:
    """Return the L2 norm of each sample's activations, per group `(N, C_l)`; they are measured once for all budgets."""
    return support.once(("activations", network), lambda: _measure(network, support.x))


@torch.no_grad()
def _measure(network: Backbone, x: Tensor) -> list[Tensor]:
    norms: list[Tensor] = []

    def record(_: int, activations: Tensor) -> None:
        norms.append(activations.unsqueeze(2).flatten(2).norm(dim=2))  # (N, C) or (N, C, ...) -> (N, C)

    with hook_groups(network, after=record):
        network(x)
    return norms
