"""The step `+quant`: weights shared by centroids behind any method; pruning and quantization together."""

from dataclasses import asdict
from typing import Any

from ..data import Support
from ..pruning import share_weights
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_step


class Quantized(Step):
    """Whatever `first` gives, with `2**quantize.bits` different values in each weight tensor.

    MACs stay: a device looks weights up and computes as before.
    """

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first)
        self.support_from = first.support_from

    def depends_on(self) -> dict[str, Any]:
        """How many bits a weight has."""
        return super().depends_on() | {"quantize": asdict(self.experiment.quantize)}

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first = self._first(model, support, budget)
        module, size = share_weights(first.module, self.experiment.quantize.bits)
        return first.with_module(module, size=size)


@register_step("quant")
def _step(first: Personalizer) -> list[Personalizer]:
    return [Quantized(f"{first.method}+quant", first)]
