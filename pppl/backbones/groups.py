"""Groups of channels that can be removed together, described as data, and hooks that see or mask them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Span:
    """The entries that each channel of a group has along a dimension of one layer, if they are not one each, in order.

    Channel `c` has, for each of the `starts`, the `block` entries from `start + c * block`. The channels of an
    attention head have `block=head_dim`, those of a flattened image its number of pixels. A layer that reads several
    groups side by side has the groups' first entries as `starts`, and the two halves of a GLU have two.

    >>> Span(path="attention.query", block=4).entries(1)
    [4, 5, 6, 7]
    """

    path: str
    block: int = 1
    starts: tuple[int, ...] = (0,)

    def entries(self, channel: int) -> list[int]:
        """Return the entries of one channel, in order."""
        return [start + channel * self.block + each for start in self.starts for each in range(self.block)]

    @property
    def count(self) -> int:
        """The number of entries that one channel has."""
        return self.block * len(self.starts)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """An attribute of a module that states how many channels of a group there are, such as `num_heads`.

    - `each`: what one channel adds to it; more than 1 where it counts the entries of all channels.
    """

    path: str
    attribute: str
    each: int = 1


@dataclass(frozen=True, kw_only=True)
class ChannelGroup:
    """Channels that are removed together, described by the paths of modules inside the backbone.

    Channels are dimension 1 of activations `(B, C, ...)`. If the producer is a linear layer, they are the last
    dimension, that of tokens `(B, N, C)`.

    - `producer`: the convolution or linear layer that outputs these channels. A depthwise convolution is a producer
      if it reads a selection of a stream's channels.
    - `output`: the module whose output a mask multiplies, after batch normalization and activation. Masking there
      equals slicing exactly. Before the normalization, a masked channel would still pass on the normalization's bias.
    - `followers`: modules with one set of parameters per channel (batch normalization, depthwise convolutions), and
      every `ChannelIndex` that stores which of these channels are kept.
    - `consumers`: convolutions and linear layers that read these channels; empty if a `ChannelIndex` adds the
      channels back to a stream.
    - `partners`: other layers that output the same channels: keys and values of attention heads, the scale of a
      squeeze-and-excitation, the gate of a GLU.
    - `masked`: whether a mask multiplies the output of `output`, or its input.
    - `spans`: the layers in which a channel has other entries than one each, in order.
    - `counters`: attributes that count the channels.

    >>> ChannelGroup(producer="conv1", output="act1", followers=("bn1",), consumers=("conv2",)).producer
    'conv1'
    """

    producer: str
    output: str
    followers: tuple[str, ...]
    consumers: tuple[str, ...]
    partners: tuple[str, ...] = ()
    masked: Literal["output", "input"] = "output"
    spans: tuple[Span, ...] = ()
    counters: tuple[Counter, ...] = ()

    def span(self, path: str) -> Span:
        """Return the span of the layer at `path`."""
        return next((span for span in self.spans if span.path == path), Span(path=path))

    def to_dict(self) -> dict[str, Any]:
        """Return the group as plain values, which `from_dict` reads."""
        return asdict(self)

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> "ChannelGroup":
        """Return the group that `to_dict` described, also after a round trip through JSON."""
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()}
        spans = tuple(Span(**{**span, "starts": tuple(span["starts"])}) for span in tree["spans"])
        return ChannelGroup(
            **{**plain, "spans": spans, "counters": tuple(Counter(**each) for each in tree["counters"])}
        )


@contextmanager
def hook_groups(
    backbone: nn.Module,
    before: Callable[[int, Tensor], None] | None = None,
    after: Callable[[int, Tensor], Tensor | None] | None = None,
) -> Iterator[None]:
    """Call `before` and `after` for every group in each forward pass of `backbone`, while the context is open.

    **Arguments:**

    - `before`: called with the index of the group and the input of its producer, `(B, C_in, ...)`.
    - `after`: called with the index of the group and its activations, `(B, C, ...)`. If it returns a tensor, that
      tensor replaces the activations.

    Both receive tokens as `(B, C, N)`, and channels with several entries as `(B, C, entries, ...)`.

    ```python
    with hook_groups(backbone, after=lambda index, x: x * masks[index].view(1, -1, 1, 1)):
        logits = backbone(images)  # masked
    ```
    """
    handles = []
    groups: tuple[ChannelGroup, ...] = backbone.groups  # type: ignore[assignment]
    for index, group in enumerate(groups):
        producer, output = backbone.get_submodule(group.producer), backbone.get_submodule(group.output)
        if before is not None:
            see = partial(_see_input, before, index, channel_axis(producer))
            handles.append(producer.register_forward_pre_hook(see))
        if after is not None:
            at_input = group.masked == "input"
            view = _View(axis=channel_axis(output if at_input else producer), span=group.span(group.output))
            register = output.register_forward_pre_hook if at_input else output.register_forward_hook
            handles.append(register(partial(_change_input if at_input else _change_output, after, index, view)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channel_axis(layer: nn.Module) -> int:
    """Return the channel dimension of what a layer reads and outputs: -1 for tokens, otherwise 1.

    >>> channel_axis(nn.Linear(8, 4)), channel_axis(nn.Conv2d(8, 4, 1))
    (-1, 1)
    """
    return -1 if isinstance(layer, nn.Linear) else 1


@dataclass(frozen=True, kw_only=True)
class _View:
    """Activations with the channels of one group as dimension 1, and back."""

    axis: int
    span: Span

    def channels(self, x: Tensor) -> Tensor:
        """Return activations as `(B, C, ...)`, or `(B, C, runs, block, ...)` if channels have several entries."""
        x = x if self.axis == 1 or x.ndim < 3 else x.movedim(self.axis, 1)
        if self.span.count == 1:
            return x
        return x.unflatten(1, (len(self.span.starts), -1, self.span.block)).transpose(1, 2)

    def back(self, x: Tensor) -> Tensor:
        """Return activations in the shape that `channels` was given."""
        x = x if self.span.count == 1 else x.transpose(1, 2).flatten(1, 3)
        return x if self.axis == 1 or x.ndim < 3 else x.movedim(1, self.axis)


_After = Callable[[int, Tensor], Tensor | None]


def _see_input(
    before: Callable[[int, Tensor], None], index: int, axis: int, _: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    x = inputs[0]
    before(index, x if axis == 1 or x.ndim < 3 else x.movedim(axis, 1))


def _change_output(
    after: _After, index: int, view: _View, _: nn.Module, _inputs: object, output: Tensor
) -> Tensor | None:
    changed = after(index, view.channels(output))
    return None if changed is None else view.back(changed)


def _change_input(
    after: _After, index: int, view: _View, _: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...] | None:
    changed = after(index, view.channels(inputs[0]))
    return None if changed is None else (view.back(changed), *inputs[1:])
