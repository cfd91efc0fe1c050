"""`full`: the global network as it is. What everything else is measured against."""

from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from .base import GlobalModel, Personalizer, register


class Full(Personalizer):
    """Nothing is pruned, nothing is trained."""

    support_from = "none"
    prunes = False

    def _make(
        self, model: GlobalModel, support: Support | None, budget: float | None
    ) -> tuple[Backbone, list[Tensor] | None, int]:
        return model.full, None, 0


@register("full")
def _full(experiment: Experiment) -> list[Personalizer]:
    return [Full("full", experiment)]
