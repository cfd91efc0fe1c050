"""`ocap`: channels ranked by their activations on the support set; no gates, no training.

After OCAP (Ma et al., Journal of Systems Architecture 2023): the strongest cheap competitor, since it is PPP's last
step without gates. Ours ranks by the activations' L2 norm over the whole support set; the paper's per-image top-k with
frequencies, its data selection and its fine-tuning are left out.
"""

import torch
from torch import Tensor

from ..backbones import hook_groups
from ..config import Experiment
from ..data import Support
from ..gating import Rule
from .base import GlobalModel, Personalizer, ScorePruner, register, uniform


class OCAP(ScorePruner):
    """Scores a channel by the L2 norm of its activations over the support set, ranked inside its layer.

    On validation persons this did better than norms relative to their layer's mean.
    """

    @torch.no_grad()
    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        scores: list[Tensor] = []

        def record(index: int, activations: Tensor) -> None:
            scores.append(activations.transpose(0, 1).flatten(1).norm(dim=1))  # (B, C, ...) -> (C,)

        with hook_groups(model.full, after=record):
            model.full(support.x)
        return uniform(scores)


@register("ocap")
def _ocap(experiment: Experiment) -> list[Personalizer]:
    return [OCAP("ocap", experiment)]
