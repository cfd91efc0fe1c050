"""What every backbone tells about itself: its shape, and which channels can be removed together."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ChannelGroup:
    """Channels that are removed together, as paths of modules inside the backbone.

    Channels are dimension 1 of `(B, C, ...)`, but the last one, of tokens `(B, N, C)`, where the producer is a linear
    layer.

    - `producer`: the convolution or linear layer whose output channels these are; a depthwise convolution where it
      reads a selection of them.
    - `output`: the module, after batch normalization and activation, whose output a mask multiplies. Masking there
      equals slicing exactly; before the normalization a masked channel would leave its beta behind.
    - `followers`: modules with one set of parameters per channel (batch normalization, depthwise convolutions), or
      that know which channels are there (`ChannelIndex`).
    - `consumers`: convolutions and linear layers that read these channels; none where a `ChannelIndex` puts them back.
    """

    producer: str
    output: str
    followers: tuple[str, ...]
    consumers: tuple[str, ...]


# The option that names, by their paths, convolutions in two, with the rank of each.
RANKS = "ranks"
# The option that names the classes of a classifier's outputs, by index, where it is not the constructor's own.
OUTPUTS = "outputs"


@dataclass(frozen=True, kw_only=True)
class ShapeSpec:
    """All that is needed to build a network before a state dict is loaded into it.

    - `backbone`: its registered name.
    - `options`: keyword arguments of its constructor; `widths` holds one number of channels per group. Besides these
      `ranks`, convolutions that are a `BasisConv`, and `outputs`, the classes of a classifier that was replaced.
    """

    backbone: str
    options: Mapping[str, Any]

    def with_widths(self, widths: Sequence[int]) -> "ShapeSpec":
        """The same network with other numbers of channels."""
        return ShapeSpec(backbone=self.backbone, options={**self.options, "widths": tuple(widths)})

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        return json.dumps({"backbone": self.backbone, "options": dict(self.options)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "ShapeSpec":
        """Reads what `to_json` wrote."""
        tree = json.loads(text)
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in tree["options"].items()}
        return ShapeSpec(backbone=tree["backbone"], options=options)


class Backbone(nn.Module):
    """A network with a `spec` to rebuild it from and `groups` of removable channels, in the forward pass's order.

    `dims` tells which samples it takes: 1 for series `(C, T)`, 2 for images and spectrograms `(C, H, W)`.
    """

    dims: ClassVar[tuple[int, ...]] = (2,)
    spec: ShapeSpec
    groups: tuple[ChannelGroup, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per group."""
        return tuple(self.spec.options["widths"])

    def linear_layers(self) -> "list[tuple[str, nn.Linear]]":
        """Linear layers by their path, in order; among them the one that gives the logits."""
        return [(path, layer) for path, layer in self.named_modules() if isinstance(layer, nn.Linear)]


def chosen_widths(widths: Sequence[int] | None, full: Sequence[int]) -> tuple[int, ...]:
    """The channels of each group: `widths`, or all where it is None. Raises `ValueError` where they do not fit."""
    if widths is None:
        return tuple(full)
    if len(widths) != len(full):
        raise ValueError(f"widths holds {len(widths)} numbers, the network has {len(full)} groups of channels")
    for index, (width, most) in enumerate(zip(widths, full, strict=True)):
        if not 1 <= width <= most:
            raise ValueError(f"widths[{index}] is {width}, that group has 1 to {most} channels")
    return tuple(widths)


@contextmanager
def hook_groups(
    backbone: Backbone,
    before: Callable[[int, Tensor], None] | None = None,
    after: Callable[[int, Tensor], Tensor | None] | None = None,
) -> Iterator[None]:
    """While open, sees every group in a forward pass of `backbone`.

    **Arguments:**

    - `before`: called with the group's index and its producer's input, `(B, C_in, ...)`.
    - `after`: called with the group's index and its activations, `(B, C, ...)`; what it returns, if anything, takes
      their place.

    Tokens come as `(B, C, N)`.
    """
    handles = []
    for index, group in enumerate(backbone.groups):
        producer = backbone.get_submodule(group.producer)
        axis = channel_axis(producer)
        if before is not None:
            see = partial(_see_input, before, index, axis)
            handles.append(producer.register_forward_pre_hook(see))
        if after is not None:
            output = backbone.get_submodule(group.output)
            handles.append(output.register_forward_hook(partial(_see_output, after, index, axis)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channel_axis(producer: nn.Module) -> int:
    """Return the dimension of activations that has the output channels of a group's producer."""
    return -1 if isinstance(producer, nn.Linear) else 1


def channels_in(layer: nn.Module) -> int:
    """Return how many channels a convolution or linear layer reads."""
    return int(layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)  # type: ignore[arg-type]


def _see_input(
    before: Callable[[int, Tensor], None], index: int, axis: int, _: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    x = inputs[0]
    before(index, x if axis == 1 or x.ndim < 3 else x.movedim(axis, 1))


def _see_output(
    after: Callable[[int, Tensor], Tensor | None], index: int, axis: int, _: nn.Module, _inputs: object, output: Tensor
) -> Tensor | None:
    if axis == 1 or output.ndim < 3:
        return after(index, output)
    changed = after(index, output.movedim(axis, 1))
    return None if changed is None else changed.movedim(1, axis)
