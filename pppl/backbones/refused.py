"""Networks that cannot be adapted, and examples that they cannot be called with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..system.errors import UserError
from .calls import Calls
from .examples import tensors_of


def refuse_kinds(name: str, module: nn.Module) -> None:
    """Raise `UserError` for networks whose layers cannot be seen or sliced."""
    for path, each in module.named_modules():
        where = f"{name}: {path!r}" if path else name
        if isinstance(each, torch.jit.ScriptModule):
            raise UserError(
                f"{where} is scripted, so that its layers cannot be changed: adapt the module it was made of"
            )
        if isinstance(getattr(each, "_orig_mod", None), nn.Module):
            raise UserError(f"{where} is compiled: adapt the module that it was made of, and compile the smaller one")
        tensors = (*each.parameters(recurse=False), *each.buffers(recurse=False))
        if any(nn.parameter.is_lazy(tensor) for tensor in tensors):
            raise UserError(f"{where} has no shape yet (a lazy layer): call the network once before")
        package, *parts = type(each).__module__.split(".")
        if package == "torch" and "quantized" in parts:
            raise UserError(f"{where} is quantized: adapt the network before it is quantized")


def require_batch(name: str, network: nn.Module, calls: Calls) -> None:
    """Raise `UserError` if a layer was given one sample, without a dimension of samples."""
    for path, shape in calls.shapes.items():
        layer = network.get_submodule(path)
        flat = isinstance(layer, nn.Linear) and len(shape) == 1 and calls.dims == 1
        if flat or (isinstance(layer, _ConvNd) and len(shape) == len(layer.kernel_size) + 1):
            raise UserError(f"{name}: the example is one sample: give it a batch dimension, as by sample[None]")


def require_finite(name: str, outputs: Sequence[Tensor]) -> None:
    """Raise `UserError` if a network outputs no tensors, or numbers that say nothing."""
    if not outputs:
        raise UserError(f"{name} returns no tensor: return one, or tensors in a tuple, a list or a dictionary")
    if not all(bool(output.isfinite().all()) for output in outputs):
        raise UserError(
            f"{name} returns infinite or undefined numbers for the example (its scales and biases are random here), so "
            "that no group can be checked: give an example of real samples, or add normalization"
        )


@torch.no_grad()
def require_same(name: str, network: nn.Module, example: Any) -> None:
    """Raise `UserError` if a network in evaluation mode gives other outputs when it is called again."""
    with torch.random.fork_rng(devices=[]):
        one, again = (tensors_of(network(example)) for _ in range(2))
    if not all(first.equal(second) for first, second in zip(one, again, strict=True)):
        raise UserError(
            f"{name} is random in evaluation mode, so that no group can be checked: pass training=self.training to "
            "F.dropout, or make it deterministic there"
        )
