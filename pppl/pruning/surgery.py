"""From masks to a physically smaller network: plain modules, no gates, no masks."""

from collections.abc import Sequence
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Backbone
from .cuts import cuts, refusal

Module = TypeVar("Module", bound=nn.Module)
# A module's copy and the module itself, by the module's id.
Copies = dict[int, tuple[nn.Module, nn.Module]]


@torch.no_grad()
def slice_network(backbone: Backbone, masks: Sequence[Tensor]) -> Backbone:
    """A new network that holds only the kept channels.

    It computes what `backbone` computes with the activations of the removed channels set to zero, and it equals
    `build(result.spec)` with `result.state_dict()` loaded; copying the modules is faster than constructing them.

    **Arguments:**

    - `masks`: per group, `(C_l,)`, boolean, at least one True.

    Raises `UserError` where a layer of a group cannot lose channels, by the layer's name.
    """
    copies: Copies = {}
    smaller = _copy_modules(backbone, copies)
    device = next(backbone.parameters()).device  # a mask may be elsewhere, or the network have no numbers
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
    """The module tree with every container copied and every tensor shared; `copies` is filled.

    A module that stands at several places is copied once.
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
    """Gives copies tensors of their own; those that layers share stay shared. Raises `UserError` for a shared one that
    was sliced, since the other layer would still read all of it.
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
    """Size of the file that a device needs to run `network`: its state dict as safetensors."""
    return len(safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))
