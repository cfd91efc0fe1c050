"""`ocap` and `ocap_frequency`: channels ranked by their activations on the support set; no gates, no training.

After OCAP (Ma et al., Journal of Systems Architecture 2023): the strongest cheap competitor, since it is PPP's last
step without gates. `ocap` ranks by the activations' L2 norm over the whole support set; `ocap_frequency`, nearer to the
paper, by how many samples have a channel among the strongest of its layer. The paper's data selection and its
fine-tuning are left out (`+finetune` is a step). Activations are what a mask multiplies; in `res*` that is after a
normalization that follows the ReLU, and before it did no better (validation speakers of Arabic keywords, all budgets).
"""

from dataclasses import asdict
from math import ceil
from typing import Any

import torch
from torch import Tensor

from ..backbones import Backbone, hook_groups
from ..config import Experiment
from ..data import Support
from ..gating import Rule
from .global_model import GlobalModel
from .personalizer import Personalizer, ScorePruner, register_method
from .scores import uniform


class OCAPPruner(ScorePruner):
    """Scores a channel by the L2 norm of its activations over the support set, ranked inside its layer.

    On validation persons this did better than norms relative to their layer's mean.
    """

    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        return uniform([norm.norm(dim=0) for norm in _norms(model.full, support)])


class OCAPFrequency(ScorePruner):
    """Scores a channel by the samples whose `ocap.top` strongest of the layer it is among; of equals, by its norm."""

    def depends_on(self) -> dict[str, Any]:
        """How many a sample votes for, too."""
        return super().depends_on() | {"ocap": asdict(self.experiment.ocap)}

    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        return uniform([self._votes(norm) for norm in _norms(model.full, support)])

    def _votes(self, norm: Tensor) -> Tensor:
        """`(N, C)` to `(C,)`."""
        strongest = norm.topk(ceil(self.experiment.ocap.top * norm.shape[1]), dim=1).indices
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


@register_method("ocap")
def _ocap(experiment: Experiment) -> list[Personalizer]:
    return [OCAPPruner("ocap", experiment)]


@register_method("ocap_frequency")
def _ocap_frequency(experiment: Experiment) -> list[Personalizer]:
    return [OCAPFrequency("ocap_frequency", experiment)]
