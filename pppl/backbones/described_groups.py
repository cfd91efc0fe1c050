"""Descriptions of groups that were found: which channels are one unit, in which order, and where a mask acts."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

from .backbone import Backbone, ShapeSpec, channels_in
from .calls import Calls
from .cuts import CannotCut, cuts
from .found_groups import CannotRemove, Joined
from .groups import ChannelGroup, Counter, Span, channel_axis, hook_groups
from .modes import evaluating

# How attributes end that state the size of one head; others state how many heads there are.
_SIZES = ("_dim", "_size")


def describe(network: Backbone, joined: Joined, calls: Calls, example: Any) -> tuple[ChannelGroup, int]:
    """Return a group as a backbone describes it, and its number of channels.

    Raise `CannotRemove` with the reason if its channels cannot be removed.
    """
    if not any(calls.count[path] for path in joined.producers):
        within = {path.rpartition(".")[0] for path in joined.producers}
        if any(isinstance(network.get_submodule(path), nn.MultiheadAttention) for path in within):
            raise CannotRemove("MultiheadAttention keeps its heads")
        raise CannotRemove("a pass with the example does not call it")
    if joined.reason:
        raise CannotRemove(joined.reason)
    if not joined.consumers:
        raise CannotRemove("they are outputs of the network")
    joined = _units(network, joined)
    spans = {**joined.consumers, **joined.followers, **joined.producers}
    _refuse_calls([*spans], calls)
    if joined.width < 2:
        raise CannotRemove("all its channels are one unit")
    producers = sorted(joined.producers, key=lambda path: calls.order[path])
    consumers = sorted(joined.consumers, key=lambda path: calls.order[path])
    if outside := {producers[0], consumers[0]} - calls.by_sample:
        raise CannotRemove(f"{min(outside)} is not given one row for each sample, as gates are")
    group = ChannelGroup(
        producer=producers[0],
        output=consumers[0],
        masked="input",
        followers=tuple(joined.followers),
        consumers=tuple(consumers),
        partners=tuple(producers[1:]),
        spans=tuple(span for span in spans.values() if span != Span(path=span.path) or _is_part(network, span, joined)),
        counters=joined.counters,
    )
    return _with_place(network, group, joined.width, calls, example), joined.width


def _refuse_calls(paths: Sequence[str], calls: Calls) -> None:
    """Raise `CannotRemove` for layers that hooks would not see once in a pass, with their inputs."""
    for path in paths:
        if calls.count[path] != 1:
            raise CannotRemove(f"{path} is called {calls.count[path]} times in a pass")
        if path in calls.named:
            raise CannotRemove(f"{path} is called with its input by keyword: pass the input first, without its name")


def _with_place(network: Backbone, group: ChannelGroup, width: int, calls: Calls, example: Any) -> ChannelGroup:
    """Return a group with the place where a mask acts on all that read it.

    Raise `CannotRemove` if a layer cannot lose channels, or if there is no such place.
    """
    try:
        for _ in cuts(_alone(network, group, width)):
            pass
    except CannotCut as error:
        raise CannotRemove(error.reason) from error
    first = group.consumers[0]
    span = group.span(first)
    whole = channels_in(network.get_submodule(first)) == width * span.count
    if len(group.consumers) == 1 and span.starts[0] == 0 and whole:
        return group
    for place in _places(group, width, network, calls):
        candidate = replace(group, output=place, masked="output", spans=(*group.spans, *_at_place(group, place)))
        if _reaches_all(_alone(network, candidate, width), example):
            return candidate
    raise CannotRemove(f"no one place masks them for all layers that read them ({', '.join(group.consumers)})")


def _is_part(network: nn.Module, span: Span, joined: Joined) -> bool:
    """Return whether a layer has more channels than those of the group."""
    layer = network.get_submodule(span.path)
    sizes = {getattr(layer, name, joined.width) for name in ("num_features", "num_channels")}
    if span.path in joined.consumers and span.path not in joined.followers:
        sizes = {channels_in(layer)}
    return sizes != {joined.width}


def _alone(network: Backbone, group: ChannelGroup, width: int) -> Backbone:
    """Return a backbone of the same modules with one group alone."""
    bare = copy.copy(network)  # its modules are shared
    bare.groups, bare.spec = (group,), ShapeSpec(backbone=network.spec.backbone, options={"widths": (width,)})
    return bare


def _units(network: nn.Module, joined: Joined) -> Joined:
    """Return the layers with the channels as one that normalization or attention binds together."""
    for path, span in joined.followers.items():
        layer = network.get_submodule(path)
        if isinstance(layer, nn.GroupNorm):
            together = layer.num_channels // layer.num_groups
            joined = joined.together(together // gcd(span.block, together))
    if not joined.attends:
        return joined
    path, numbers, size = _stated_heads(network, joined)
    counters = [
        Counter(path=path, attribute=key, each=size if value == joined.width else 1)
        for key, value in numbers.items()
        if (value == joined.width and ("head" in key or "attn" in key))
        or (value == joined.width // size and "head" in key and not key.endswith(_SIZES))
    ]
    return replace(joined.together(size), counters=tuple(counters))


def _stated_heads(network: nn.Module, joined: Joined) -> tuple[str, dict[str, int], int]:
    """Return the innermost module that states heads, with its attributes that are numbers, and the size of one head."""
    inner = _common_path([*joined.producers])
    outer = _common_path([inner, *joined.consumers])
    for path in (inner, outer):
        numbers = {key: value for key, value in vars(network.get_submodule(path)).items() if type(value) is int}
        sizes = _head_sizes(numbers, joined.width)
        if len(sizes) == 1:
            return path, numbers, sizes.pop()
        if sizes:
            break
    raise CannotRemove(
        f"{path or 'the network'} does not say how many heads it has, by an attribute as num_heads or head_dim"
    )


def _common_path(paths: Sequence[str]) -> str:
    """Return the path of the innermost module that holds all modules."""
    common: list[str] = []
    for names in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        common.append(names[0])
    return ".".join(common)


def _head_sizes(numbers: Mapping[str, Any], width: int) -> set[int]:
    """Return the sizes of heads that a module's attributes state, by their names."""
    stated = {key: value for key, value in numbers.items() if "head" in key and 0 < value < width}
    return {value if key.endswith(_SIZES) else width // value for key, value in stated.items()}


def _places(group: ChannelGroup, width: int, network: nn.Module, calls: Calls) -> Iterator[str]:
    """Yield modules whose output may be the group's channels before anything reads them, the last one first."""
    axis, count = channel_axis(network.get_submodule(group.producer)), group.span(group.producer).count
    first = min(calls.order[path] for path in group.consumers)
    for path, shape in reversed(calls.shapes.items()):
        between = calls.count[path] == 1 and calls.order[group.producer] <= calls.order[path] < first
        if (
            between
            and path in calls.by_sample
            and len(shape) > 1
            and shape[axis] == width * count
            and not [*network.get_submodule(path).children()]
        ):
            yield path


def _at_place(group: ChannelGroup, place: str) -> Sequence[Span]:
    """Return the span of the channels at a place that has none: that of the producer."""
    span = group.span(group.producer)
    known = any(each.path == place for each in group.spans)
    return () if known or span == Span(path=span.path) else (replace(span, path=place),)


def _reaches_all(network: Backbone, example: Any) -> bool:
    """Return whether a mask at the group's output makes the channels zero wherever they are read."""
    (group,), (width,) = network.groups, network.widths
    rest: list[float] = []

    def mask(_: int, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def see(span: Span, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        entries = [entry for channel in range(width) for entry in span.entries(channel)]
        rest.append(float(inputs[0].movedim(channel_axis(layer) if inputs[0].ndim > 2 else 1, 0)[entries].abs().max()))

    handles = []
    for path in group.consumers:
        layer = network.get_submodule(path)
        handles.append(layer.register_forward_pre_hook(partial(see, group.span(path))))
    try:
        with evaluating(network), torch.no_grad(), hook_groups(network, after=mask):
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return len(rest) == len(group.consumers) and max(rest) == 0
