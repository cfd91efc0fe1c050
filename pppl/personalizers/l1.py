"""`l1`: static pruning by the L1 norm of each filter (Li et al., ICLR 2017), one network for everybody."""

from torch import Tensor

from ..config import Experiment
from ..data import Support
from ..gating import Rule
from .base import GlobalModel, Personalizer, ScorePruner, register, relative


class L1(ScorePruner):
    """Scores a channel by its filter's L1 norm, relative to its layer's mean. It looks at nobody's samples."""

    support_from = "none"

    def _scores(self, model: GlobalModel, support: Support | None, rule: Rule) -> list[Tensor]:
        weights = [model.full.get_parameter(f"{group.producer}.weight") for group in model.full.groups]
        return relative([weight.detach().flatten(1).abs().sum(1) for weight in weights])


@register("l1")
def _l1(experiment: Experiment) -> list[Personalizer]:
    return [L1("l1", experiment)]
