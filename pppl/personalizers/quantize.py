"""The step `+quant`: quantization by shared weights, behind any method."""

from dataclasses import dataclass

from ..config import register_settings, require
from ..data import Support
from ..pruning import share_weights
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_step


@register_settings("quantize")
@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """The step `+quant`, in which each weight is replaced by the nearest of a few centroids.

    - `bits`: bits per weight; a tensor has `2**bits` centroids.
    """

    bits: int = 4

    def __post_init__(self) -> None:
        require(1 <= self.bits <= 8, f"quantize.bits is {self.bits}: 1 to 8")


@register_step("quant")
class Quantized(Step):
    """The network of `first` with at most `2**quantize.bits` different values in each weight tensor.

    MACs stay the same: a device looks weights up and computes as before.
    """

    reads = (QuantizeSettings,)
    settings: QuantizeSettings

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first)
        self.support_from = first.support_from

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with shared weights, and the bytes of its coded file."""
        first = self.output_of_first(model, support, budget)
        module, size = share_weights(first.module, self.settings.bits)
        return first.with_module(module, size=size)
