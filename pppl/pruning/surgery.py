"""Physically smaller networks from masks: plain modules without gates or masks."""

from collections.abc import Sequence
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Backbone
from .cuts import cuts, refusal

Module = TypeVar("Module", bound=nn.Module)
# The copy of each module and the module itself, by the module's id.
Copies = dict[int, tuple[nn.Module, nn.Module]]


@torch.no_grad()
def slice_network(backbone: Backbone, masks: Sequence[Tensor]) -> Backbone:
    """Return a new network that holds only the kept channels.

    It computes what `backbone` computes with the activations of the removed channels set to zero. It equals
    `build(result.spec)` with `result.state_dict()` loaded, but modules are copied, which is faster than building them.

    **Arguments:**

    - `masks`: per group, `(C_l,)`, boolean, at least one True.

    Raise `UserError`, with the name of the layer, if a layer of a group cannot lose channels.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10))
    >>> slice_network(network, [torch.arange(4) < 2, torch.arange(8) < 3]).widths
    (2, 3)
    """
    copies: Copies = {}
    smaller = _copy_modules(backbone, copies)
    device = next(backbone.parameters()).device  # masks may be on another device, and the network on `meta`
    kept = [mask.nonzero().flatten().to(device) for mask in masks]
    for cut in cuts(backbone):
        twin, channels = copies[id(cut.layer)][0], kept[cut.group]
        parameters, buffers = twin._parameters, twin._buffers
        for name, dim in cut.dims.items():
            tensors = parameters if name in parameters else buffers
            tensors[name] = tensors[name].index_select(dim, channels)  # type: ignore[union-attr,assignment]
        for name in cut.stated:
            twin.__dict__[name] = len(channels)
    smaller.spec = backbone.spec.with_widths([len(each) for each in kept])
    _own_tensors(backbone, copies)
    return smaller


def _copy_modules(module: Module, copies: Copies) -> Module:
    """Copy the tree of modules, with every tensor shared, and add the copies to `copies`.

    A module that occurs at several places is copied once.
    """
    if id(module) in copies:
        return copies[id(module)][0]  # type: ignore[return-value]
    twin = type(module).__new__(type(module))
    twin.__dict__.update({k: v.copy() if isinstance(v, dict) else v for k, v in module.__dict__.items()})
    copies[id(module)] = twin, module
    for name, child in module._modules.items():
        if child is not None:
            twin._modules[name] = _copy_modules(child, copies)
    return twin


def _own_tensors(backbone: Backbone, copies: Copies) -> None:
    """Give the copies tensors of their own. Tensors that layers share stay shared.

    Raise `UserError` if a shared tensor was sliced, since the other layer would still read all of it.
    """
    own: dict[int, Tensor] = {}
    for module, original in copies.values():
        parameters, buffers = original._parameters, original._buffers
        for name, value in module._parameters.items():
            if value is None:
                continue
            source = parameters[name]
            if id(source) not in own:
                own[id(source)] = nn.Parameter(value.clone() if value is source else value)
            elif value.shape != source.shape or own[id(source)].shape != source.shape:  # type: ignore[union-attr]
                path = next(path for path, each in backbone.named_modules() if each is original)
                raise refusal(backbone, path, f"shares its {name} with another layer")
            module._parameters[name] = own[id(source)]  # type: ignore[assignment]
        for name, value in module._buffers.items():
            if value is not None and value is buffers[name]:
                module._buffers[name] = value.clone()


def artifact_bytes(network: nn.Module) -> int:
    """Return the size in bytes of the file that a device needs to run `network`: its state dict as safetensors.

    ```python
    saved = artifact_bytes(network) - artifact_bytes(slice_network(network, masks))
    ```
    """
    return len(safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))
