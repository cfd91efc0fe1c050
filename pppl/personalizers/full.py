"""`full`: the global network as it is. What everything else is measured against."""

from ..data import Support
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, register_method


@register_method("full")
class Full(Personalizer):
    """Nothing is pruned, nothing is trained."""

    support_from = "none"
    prunes = False

    def make(self, model: GlobalModel, support: Support | None, budget: float | None) -> MethodOutput:
        return MethodOutput(module=model.full)
