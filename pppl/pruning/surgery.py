"""From masks to a physically smaller network: plain modules, no gates, no masks."""

from collections.abc import Sequence
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Backbone

Module = TypeVar("Module", bound=nn.Module)
# Where a layer states its numbers of channels, by the dimension of its weight.
_STATED = {0: ("out_channels", "out_features", "num_features"), 1: ("in_channels", "in_features")}
_DEPTHWISE = ("out_channels", "in_channels", "groups")


@torch.no_grad()
def slice_network(backbone: Backbone, masks: Sequence[Tensor]) -> Backbone:
    """A new network that holds only the kept channels.

    It computes what `backbone` computes with the activations of the removed channels set to zero, and it equals
    `build(result.spec)` with `result.state_dict()` loaded; copying the modules is faster than constructing them.

    **Arguments:**

    - `masks`: per group, `(C_l,)`, boolean, at least one True.
    """
    copies: dict[str, tuple[nn.Module, nn.Module]] = {}
    smaller = _copy_modules(backbone, "", copies)
    widths = []
    for group, mask in zip(backbone.groups, masks, strict=True):
        kept = mask.nonzero().flatten()
        widths.append(len(kept))
        for path in (group.producer, *group.followers):
            _keep(copies[path][0], kept, dim=0)
        for path in group.consumers:
            _keep(copies[path][0], kept, dim=1)
    smaller.spec = backbone.spec.with_widths(widths)
    for module, original in copies.values():
        for name, value in module._parameters.items():
            if value is not None:
                own = value.clone() if value is original._parameters[name] else value
                module._parameters[name] = nn.Parameter(own)
        for name, value in module._buffers.items():
            if value is not None and value is original._buffers[name]:
                module._buffers[name] = value.clone()
    return smaller


def _copy_modules(module: Module, path: str, copies: dict[str, tuple[nn.Module, nn.Module]]) -> Module:
    """The module tree with every container copied and every tensor shared; `copies` gets copy and original by path."""
    twin = type(module).__new__(type(module))
    twin.__dict__.update({k: v.copy() if isinstance(v, dict) else v for k, v in module.__dict__.items()})
    copies[path] = twin, module
    for name, child in module._modules.items():
        if child is not None:
            twin._modules[name] = _copy_modules(child, f"{path}.{name}" if path else name, copies)
    return twin


def _keep(layer: nn.Module, kept: Tensor, dim: int) -> None:
    """Keeps entries along `dim` of a layer's tensors; biases and statistics have only dimension 0."""
    for tensors in (layer._parameters, layer._buffers):
        for name, value in tensors.items():
            if value is not None and value.ndim > dim:
                tensors[name] = value.index_select(dim, kept)  # type: ignore[assignment]
    depthwise = dim == 0 and layer.__dict__.get("groups", 1) > 1  # as many groups and inputs as outputs
    for name in _DEPTHWISE if depthwise else _STATED[dim]:
        if name in layer.__dict__:
            layer.__dict__[name] = len(kept)


def artifact_bytes(network: nn.Module) -> int:
    """Size of the file that a device needs to run `network`: its state dict as safetensors."""
    return len(safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))
