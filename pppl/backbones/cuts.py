"""The places of a group's channels in layers that can lose channels. Every other layer is rejected by name."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ..system.errors import UserError
from .backbone import Backbone
from .basis_conv import BasisConv
from .groups import ChannelGroup, Span

_NORM = ("weight", "bias", "running_mean", "running_var")
# Layers that mix the channels of a position or step: if some channels are removed, the others change.
_MIXING = (
    *(nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.CrossMapLRN2d, nn.RNNBase, nn.RNNCellBase),
    *(nn.MultiheadAttention, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.Linear),
)


class Cut(NamedTuple):
    """The channels of a group in one layer.

    - `group`: index of the group.
    - `path`: path of the layer in the backbone.
    - `layer`: the layer itself.
    - `span`: the entries of each channel.
    - `dims`: dimension that has the channels' entries, for each of the layer's own tensors with such a dimension.
    - `stated`: what one channel adds to each of the layer's attributes that state numbers of channels.
    """

    group: int
    path: str
    layer: nn.Module
    span: Span
    dims: Mapping[str, int]
    stated: Mapping[str, int]


def cuts(backbone: Backbone) -> Iterator[Cut]:
    """Yield every place of every group's channels, each once.

    Raise `UserError` if a layer cannot lose channels, or if it has another number of channels than its group.
    """
    seen: dict[tuple[nn.Module, bool], list[tuple[int, Span]]] = {}
    for index, (group, width) in enumerate(zip(backbone.groups, backbone.widths, strict=True)):
        for role, path in _roles(group):
            span, layer = group.span(path), _at(backbone, path)
            if isinstance(layer, BasisConv) and role != "follower":
                part = "mix" if role == "producer" else "basis"
                path, layer = f"{path}.{part}", getattr(layer, part)
            before = seen.setdefault((layer, role == "consumer"), [])
            if any(other == index for other, _ in before):
                continue
            for other, taken in before:
                if _overlap((span, width), (taken, backbone.widths[other])):
                    raise refusal(backbone, path, f"holds channels of two groups, {other} and {index}")
            before.append((index, span))
            place = _place(layer, role, span)
            if isinstance(place, str):
                raise refusal(backbone, path, place)
            dims, stated = place
            for name, dim in dims.items():
                tensor = layer._parameters.get(name)
                held = (layer._buffers[name] if tensor is None else tensor).shape[dim]  # type: ignore[union-attr]
                needed = max(span.starts) + width * span.block
                if held < needed or (held != width and span not in group.spans):
                    raise refusal(backbone, path, f"has {held} channels in its {name}, but the group has {needed}")
            yield Cut(index, path, layer, span, dims, stated)
        for counter in group.counters:
            stated = {counter.attribute: counter.each}
            yield Cut(index, counter.path, _at(backbone, counter.path), Span(path=counter.path), {}, stated)


def _roles(group: ChannelGroup) -> Iterator[tuple[str, str]]:
    """Yield the role and the path of every layer of a group."""
    yield from (("producer", path) for path in (group.producer, *group.partners))
    yield from (("follower", path) for path in group.followers)
    yield from (("consumer", path) for path in group.consumers)


def _overlap(one: tuple[Span, int], other: tuple[Span, int]) -> bool:
    """Return whether two spans, each with its number of channels, have entries in common."""
    runs = [[(start, start + span.block * width) for start in span.starts] for span, width in (one, other)]
    return any(first < end and start < last for start, end in runs[0] for first, last in runs[1])


def _at(backbone: Backbone, path: str) -> nn.Module:
    module: nn.Module | None = backbone
    for name in path.split("."):
        module = None if module is None else module._modules.get(name)  # `get_submodule` takes four times as long
    if module is None:
        raise CannotCut(backbone, f"its groups name {path!r}, which does not exist")
    return module


def channel_dim(producer: nn.Module) -> int:
    """Return the dimension of a producer's weight that holds its output channels."""
    return 1 if isinstance(producer, _ConvNd) and producer.transposed and producer.groups == 1 else 0


def filters(backbone: Backbone) -> list[Tensor]:
    """Return the weights that compute each group's channels, `(C_l, K)` with the `K` values of a filter."""
    found = []
    for group, width in zip(backbone.groups, backbone.widths, strict=True):
        layer = backbone.get_submodule(group.producer)
        rows = layer.get_parameter("weight").detach().movedim(channel_dim(layer), 0)
        found.append(by_channel(rows, group.span(group.producer), width))
    return found


def by_channel(rows: Tensor, span: Span, width: int) -> Tensor:
    """Return what belongs to each channel, `(C, K)`, of a tensor whose first dimension has the entries of `span`.

    >>> by_channel(torch.arange(6.0), Span(path="", block=2), 3)
    tensor([[0., 1.],
            [2., 3.],
            [4., 5.]])
    """
    if span.count == 1 and span.starts == (0,):
        return rows.flatten(1) if rows.ndim > 1 else rows[:, None]
    entries = torch.tensor([span.entries(channel) for channel in range(width)], device=rows.device)
    return rows[entries].flatten(1)


class CannotCut(UserError):
    """A layer cannot lose channels; `reason` names it and says why."""

    def __init__(self, backbone: Backbone, reason: str):
        super().__init__(f"backbone {backbone.spec.backbone} cannot be pruned: {reason}; {backbone.remedy}")
        self.reason = reason


def refusal(backbone: Backbone, path: str, reason: str) -> CannotCut:
    """Return the error for a backbone that cannot be pruned because of the layer at `path`; `reason` says why."""
    where = f"{path!r} ({type(backbone.get_submodule(path)).__name__})" if path else "its own forward"
    return CannotCut(backbone, f"{where} {reason}")


_Place = tuple[Mapping[str, int], Mapping[str, int]]


def _place(layer: nn.Module, role: str, span: Span) -> _Place | str:
    """Return the dimension of each tensor and what each channel adds to attributes, or why there can be no cut."""
    if role == "follower":
        return _following(layer, span)
    if not isinstance(layer, (_ConvNd, nn.Linear)):
        return f"is no convolution or linear layer, as a {role} has to be"
    if "weight" not in layer._parameters:
        return "computes its weight from others (a parametrization), which cannot be sliced"
    count = span.count
    if isinstance(layer, nn.Linear):
        return (
            (_own(layer, 0), {"out_features": count}) if role == "producer" else ({"weight": 1}, {"in_features": count})
        )
    if layer.groups == 1:
        out = channel_dim(layer)
        own, read = (_own(layer, out), {"out_channels": count}), ({"weight": 1 - out}, {"in_channels": count})
        return own if role == "producer" else read
    if role == "consumer" and _is_depthwise(layer):
        return "reads each channel by itself: it is a follower, not a consumer"
    return _grouped(layer, span) if role == "producer" else _unequal(layer)


def _following(layer: nn.Module, span: Span) -> _Place | str:
    count = span.count
    if isinstance(layer, _NormBase):
        names = _NORM if layer.track_running_stats else _NORM[:2]
        return dict.fromkeys(names, 0) if layer.affine else dict.fromkeys(names[2:], 0), {"num_features": count}
    if isinstance(layer, nn.GroupNorm):
        together = layer.num_channels // layer.num_groups
        if span.block % together:
            return f"normalizes {together} channels together, so that those that stay would change with those that go"
        dims = {"weight": 0, "bias": 0} if layer.affine else {}
        return dims, {"num_channels": count, "num_groups": count // together}
    if isinstance(layer, _ConvNd):
        return _grouped(layer, span)
    if isinstance(layer, _MIXING):
        return "mixes the channels that it is given, so that those that stay would change with those that go"
    if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
        return {}, {}  # one parameter for all channels
    tensors = (*layer._parameters.items(), *layer._buffers.items())
    stated = {name: count for name in ("num_features", "num_parameters") if name in layer.__dict__}
    return {name: 0 for name, tensor in tensors if tensor is not None and tensor.ndim > 0}, stated


def _grouped(layer: _ConvNd, span: Span) -> _Place | str:
    """Return the place of channels in a convolution with groups, which are removed whole."""
    each_out, each_in = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    parts = not layer.transposed and layer.groups > 1 and span.block % each_out == 0
    if "weight" not in layer._parameters or not (parts or _is_depthwise(layer)):
        return _unequal(layer)
    groups = span.count // each_out
    return _own(layer, 0), {"out_channels": span.count, "in_channels": groups * each_in, "groups": groups}


def _unequal(layer: _ConvNd) -> str:
    return f"has groups={layer.groups} of {layer.in_channels} channels, which can only be removed whole"


def _is_depthwise(layer: _ConvNd) -> bool:
    return layer.groups == layer.in_channels == layer.out_channels


def _own(layer: nn.Module, out: int) -> Mapping[str, int]:
    """Return the dimension of the output channels in the weight and in the bias, if there is one."""
    return {"weight": out} if layer._parameters["bias"] is None else {"weight": out, "bias": 0}
