"""`full`: the global network as it is. What everything else is measured against."""

from ..config import Experiment
from ..data import Support
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, register_method


class Full(Personalizer):
    """Nothing is pruned, nothing is trained."""

    support_from = "none"
    prunes = False

    def _make(self, model: GlobalModel, support: Support | None, budget: float | None) -> MethodOutput:
        return MethodOutput(module=model.full)


@register_method("full")
def _full(experiment: Experiment) -> list[Personalizer]:
    return [Full("full", experiment)]
