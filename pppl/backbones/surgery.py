"""Physically smaller networks from masks: plain modules without gates or masks."""

from collections.abc import Sequence

import safetensors.torch
import torch
from torch import Tensor, nn

from .backbone import Backbone
from .copies import Copies, copy_modules
from .cuts import cuts, refusal
from .groups import Span


@torch.no_grad()
def slice_network(backbone: Backbone, masks: Sequence[Tensor]) -> Backbone:
    """Return a new network that holds only the kept channels.

    It computes what `backbone` computes with the activations of the removed channels set to zero. It equals
    `build(result.spec)` with `result.state_dict()` loaded, but modules are copied, which is faster than building them.

    **Arguments:**

    - `masks`: per group, `(C_l,)`, boolean, at least one True.

    Raise `UserError`, with the name of the layer, if a layer of a group cannot lose channels, or if an attribute holds
    a layer in a way that no copy can follow.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10))
    >>> slice_network(network, [torch.arange(4) < 2, torch.arange(8) < 3]).widths
    (2, 3)
    """
    smaller, copies = copy_modules(backbone)
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
                entries[place] = _without(cut.span, masks[cut.group], size, entries.get(place))
        for name, each in cut.stated.items():
            setattr(twin, name, getattr(twin, name) - each * (len(masks[cut.group]) - len(channels)))
    for (twin, name, dim), indices in entries.items():
        whole: Tensor = getattr(twin, name)
        sliced = whole.index_select(dim, indices.to(device))
        setattr(twin, name, nn.Parameter(sliced, whole.requires_grad) if isinstance(whole, nn.Parameter) else sliced)
    smaller.spec = backbone.spec.with_widths([len(each) for each in kept])
    _own_tensors(backbone, copies)
    return smaller


def _without(span: Span, mask: Tensor, size: int, before: Tensor | None) -> Tensor:
    """Return the indices that are left of `size` entries, or of those left `before`, without a mask's lost channels."""
    removed, lost = torch.zeros(size, dtype=torch.bool, device="cpu"), ~mask.cpu()
    for start in span.starts:
        removed[start : start + len(mask) * span.block] = lost.repeat_interleave(span.block)
    left = torch.arange(size, device="cpu") if before is None else before
    return left[~removed[left]]


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
                own[source] = nn.Parameter(value.clone(), value.requires_grad) if value is source else value
            elif value.shape != source.shape or own[source].shape != source.shape:
                path = next(path for path, each in backbone.named_modules() if each is original)
                raise refusal(backbone, path, f"shares its {name} with another layer")
            setattr(twin, name, own[source])
        for name, source in original._buffers.items():
            if source is not None and getattr(twin, name) is source:
                setattr(twin, name, source.clone())


def artifact_bytes(network: nn.Module) -> int:
    """Return the size in bytes of the file that a device needs to run `network`: its state dict as safetensors.

    Tensors that several layers share are counted once.

    ```python
    saved = artifact_bytes(network) - artifact_bytes(slice_network(network, masks))
    ```
    """
    return len(safetensors.torch.save(stored_once(network)[0]))


def stored_once(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what a file holds of a network: the tensors of its state dict, and the names that stand for others.

    A tensor that several layers share is held under its first name; the second dictionary has this name for each of
    its other names.

    >>> one, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    >>> other.weight = one.weight
    >>> state, shared = stored_once(nn.Sequential(one, other))
    >>> list(state), shared
    (['0.weight'], {'1.weight': '0.weight'})
    """
    state: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, value in network.state_dict().items():
        place = (value.device, value.data_ptr(), value.dtype, value.shape, value.stride())
        if value.numel() and first.setdefault(place, name) != name:
            shared[name] = first[place]
        else:  # cloned, since safetensors also refuses views of one memory
            state[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return state, shared
