"""Physically smaller networks from masks: plain modules without gates or masks."""

from collections.abc import Sequence
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from .backbone import Backbone
from .cuts import cuts, refusal
from .groups import Span

Module = TypeVar("Module", bound=nn.Module)
# The copy of each module.
Copies = dict[nn.Module, nn.Module]


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
    entries: dict[tuple[nn.Module, str, int], Tensor] = {}  # indices that are left along a dimension of a tensor
    for cut in cuts(backbone):
        twin, channels = copies[cut.layer], kept[cut.group]
        for name, dim in cut.dims.items():
            size, place = getattr(twin, name).shape[dim], (twin, name, dim)
            if cut.span.count == 1 and size == len(masks[cut.group]):
                entries[place] = channels
            else:
                removed = _entries(cut.span, ~masks[cut.group].cpu(), size)
                left = entries.get(place, torch.arange(size, device="cpu"))
                entries[place] = left[~removed[left]]
        for name, each in cut.stated.items():
            setattr(twin, name, getattr(twin, name) - each * (len(masks[cut.group]) - len(channels)))
    for (twin, name, dim), indices in entries.items():
        whole: Tensor = getattr(twin, name)
        sliced = whole.index_select(dim, indices.to(device))
        setattr(twin, name, nn.Parameter(sliced) if isinstance(whole, nn.Parameter) else sliced)
    smaller.spec = backbone.spec.with_widths([len(each) for each in kept])
    _own_tensors(backbone, copies)
    return smaller


def _entries(span: Span, mask: Tensor, size: int) -> Tensor:
    """Return which of `size` entries belong to the channels of a mask, `(size,)` boolean."""
    chosen = torch.zeros(size, dtype=torch.bool, device="cpu")
    for start in span.starts:
        chosen[start : start + len(mask) * span.block] = mask.repeat_interleave(span.block)
    return chosen


def _copy_modules(module: Module, copies: Copies) -> Module:
    """Copy the tree of modules, with every tensor shared, and add the copies to `copies`.

    A module that occurs at several places is copied once.
    """
    if module in copies:
        return copies[module]  # type: ignore[return-value] (a copy is of its original's class)
    twin = type(module).__new__(type(module))
    # Also lists: a recurrent layer has one of its weights.
    twin.__dict__.update({k: v.copy() if isinstance(v, dict | list) else v for k, v in vars(module).items()})
    copies[module] = twin
    for name, child in module._modules.items():
        if child is not None:
            twin.add_module(name, _copy_modules(child, copies))
    return twin


def _own_tensors(backbone: Backbone, copies: Copies) -> None:
    """Give the copies tensors of their own. Tensors that layers share stay shared.

    Raise `UserError` if a shared tensor was sliced, since the other layer would still read all of it.
    """
    own: dict[Tensor, nn.Parameter] = {}
    for original, twin in copies.items():
        for name, source in original._parameters.items():
            if source is None:
                continue
            value: nn.Parameter = getattr(twin, name)
            if source not in own:
                own[source] = nn.Parameter(value.clone()) if value is source else value
            elif value.shape != source.shape or own[source].shape != source.shape:
                path = next(path for path, each in backbone.named_modules() if each is original)
                raise refusal(backbone, path, f"shares its {name} with another layer")
            setattr(twin, name, own[source])
        for name, source in original._buffers.items():
            if source is not None and getattr(twin, name) is source:
                setattr(twin, name, source.clone())


def artifact_bytes(network: nn.Module) -> int:
    """Return the size in bytes of the file that a device needs to run `network`: its state dict as safetensors.

    ```python
    saved = artifact_bytes(network) - artifact_bytes(slice_network(network, masks))
    ```
    """
    return len(safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))
