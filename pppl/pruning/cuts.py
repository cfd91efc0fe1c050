"""The places of a group's channels in layers that can lose channels. Every other layer is rejected by name."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ..backbones import Backbone, BasisConv
from ..system.errors import UserError

_DEPTHWISE = ("out_channels", "in_channels", "groups")
_NORM = ("weight", "bias", "running_mean", "running_var")
# Layers that mix the channels of a position or step: if some channels are removed, the others change.
_MIXING = (
    *(nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.CrossMapLRN2d, nn.RNNBase, nn.RNNCellBase),
    *(nn.MultiheadAttention, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.Linear),
)


class Cut(NamedTuple):
    """The channels of a group in one layer.

    - `group`: index of the group.
    - `path`: path of the layer in the backbone.
    - `layer`: the layer itself.
    - `dims`: dimension that has one entry per channel, for each of the layer's own tensors with such a dimension.
    - `stated`: names of the layer's attributes that state the number of these channels.
    """

    group: int
    path: str
    layer: nn.Module
    dims: Mapping[str, int]
    stated: tuple[str, ...]


def cuts(backbone: Backbone) -> Iterator[Cut]:
    """Yield every place of every group's channels, each once.

    Raise `UserError` if a layer cannot lose channels, or if it has another number of channels than its group.
    """
    seen: dict[tuple[nn.Module, bool], int] = {}
    for index, (group, width) in enumerate(zip(backbone.groups, backbone.widths, strict=True)):
        roles = [("producer", group.producer), *(("follower", path) for path in group.followers)]
        for role, path in (*roles, *(("consumer", path) for path in group.consumers)):
            layer = _at(backbone, path)
            if isinstance(layer, BasisConv) and role != "follower":
                part = "mix" if role == "producer" else "basis"
                path, layer = f"{path}.{part}", getattr(layer, part)
            key = layer, role == "consumer"
            if key in seen:
                if seen[key] != index:
                    raise refusal(backbone, path, f"holds channels of two groups, {seen[key]} and {index}")
                continue
            seen[key] = index
            place = _place(layer, role)
            if isinstance(place, str):
                raise refusal(backbone, path, place)
            dims, stated = place
            for name, dim in dims.items():
                tensor = layer._parameters.get(name)
                if (held := (layer._buffers[name] if tensor is None else tensor).shape[dim]) != width:  # type: ignore[union-attr]
                    raise refusal(backbone, path, f"has {held} channels in its {name}, but the group has {width}")
            yield Cut(index, path, layer, dims, stated)


def _at(backbone: Backbone, path: str) -> nn.Module:
    module: nn.Module | None = backbone
    for name in path.split("."):
        module = None if module is None else module._modules.get(name)  # `get_submodule` takes four times as long
    if module is None:
        raise UserError(
            f"backbone {backbone.spec.backbone} cannot be pruned: its groups name {path!r}, which does not exist"
        )
    return module


def channel_dim(producer: nn.Module) -> int:
    """Return the dimension of a producer's weight that holds its output channels."""
    return 1 if isinstance(producer, _ConvNd) and producer.transposed and producer.groups == 1 else 0


def filters(backbone: Backbone) -> list[Tensor]:
    """Return the weights that compute each group's channels, `(C_l, K)` with the `K` values of a filter."""
    producers = [backbone.get_submodule(group.producer) for group in backbone.groups]
    weights = [(layer.get_parameter("weight").detach(), channel_dim(layer)) for layer in producers]
    return [weight.movedim(dim, 0).flatten(1) for weight, dim in weights]


def refusal(backbone: Backbone, path: str, reason: str) -> UserError:
    """Return the error for a backbone that cannot be pruned because of the layer at `path`; `reason` says why."""
    where = f"{path!r} ({type(backbone.get_submodule(path)).__name__})" if path else "its own forward"
    return UserError(f"backbone {backbone.spec.backbone} cannot be pruned: {where} {reason}; change its groups")


_Place = tuple[Mapping[str, int], tuple[str, ...]]


def _place(layer: nn.Module, role: str) -> _Place | str:
    """Return the channel dimension of each tensor and the stating attributes, or why channels cannot be removed."""
    if role == "follower":
        return _following(layer)
    if not isinstance(layer, (_ConvNd, nn.Linear)):
        return f"is no convolution or linear layer, as a {role} has to be"
    if "weight" not in layer._parameters:
        return "computes its weight from others (a parametrization), which cannot be sliced"
    if isinstance(layer, nn.Linear):
        return (_own(layer, 0), ("out_features",)) if role == "producer" else ({"weight": 1}, ("in_features",))
    if layer.groups == 1:
        out = channel_dim(layer)
        return (_own(layer, out), ("out_channels",)) if role == "producer" else ({"weight": 1 - out}, ("in_channels",))
    if not _is_depthwise(layer):
        return f"has groups={layer.groups}, which would become unequal"
    if role == "producer":
        return _own(layer, 0), _DEPTHWISE
    return "reads each channel by itself: it is a follower, not a consumer"


def _following(layer: nn.Module) -> _Place | str:
    if isinstance(layer, _NormBase):
        names = _NORM if layer.track_running_stats else _NORM[:2]
        return dict.fromkeys(names, 0) if layer.affine else dict.fromkeys(names[2:], 0), ("num_features",)
    if isinstance(layer, _ConvNd):
        if not _is_depthwise(layer) or "weight" not in layer._parameters:
            return f"has groups={layer.groups} of {layer.in_channels} channels: only a depthwise one can follow"
        return _own(layer, 0), _DEPTHWISE
    if isinstance(layer, _MIXING):
        return "mixes the channels that it is given, so that those that stay would change with those that go"
    if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
        return {}, ()  # one parameter for all channels
    tensors = (*layer._parameters.items(), *layer._buffers.items())
    stated = tuple(name for name in ("num_features", "num_parameters") if name in layer.__dict__)
    return {name: 0 for name, tensor in tensors if tensor is not None and tensor.ndim > 0}, stated


def _is_depthwise(layer: _ConvNd) -> bool:
    return layer.groups == layer.in_channels == layer.out_channels


def _own(layer: nn.Module, out: int) -> Mapping[str, int]:
    """Return the dimension of the output channels in the weight and in the bias, if there is one."""
    return {"weight": out} if layer._parameters["bias"] is None else {"weight": out, "bias": 0}
