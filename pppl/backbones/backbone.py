"""The interface of all backbones: the spec that rebuilds a network, and the groups of its removable channels."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn


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

    >>> ChannelGroup(producer="conv1", output="act1", followers=("bn1",), consumers=("conv2",)).producer
    'conv1'
    """

    producer: str
    output: str
    followers: tuple[str, ...]
    consumers: tuple[str, ...]


# The option of a spec that lists, by path, the convolutions that a `BasisConv` replaced, with the rank of each.
RANKS = "ranks"
# The option of a spec whose classifier was replaced: the class index of each of the classifier's outputs.
OUTPUTS = "outputs"


@dataclass(frozen=True, kw_only=True)
class ShapeSpec:
    """The structure of a network: all that is needed to build it before a state dict is loaded.

    - `backbone`: registered name of the backbone.
    - `options`: keyword arguments of its constructor; `widths` is the number of channels of each group. Two further
      options describe changes to the built network: `ranks` lists the convolutions that a `BasisConv` replaced, and
      `outputs` lists the classes of a replaced classifier.

    >>> spec = ShapeSpec(backbone="convnet", options={"in_channels": 1, "num_outputs": 10, "widths": (64, 64)})
    >>> spec.with_widths((8, 16)).options["widths"]
    (8, 16)
    """

    backbone: str
    options: Mapping[str, Any]

    def with_widths(self, widths: Sequence[int]) -> "ShapeSpec":
        """Return the spec of the same network with `widths` channels per group."""
        return ShapeSpec(backbone=self.backbone, options={**self.options, "widths": tuple(widths)})

    def to_json(self) -> str:
        """Return the spec as one line of JSON, which `from_json` reads."""
        return json.dumps({"backbone": self.backbone, "options": dict(self.options)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "ShapeSpec":
        """Return the spec that `to_json` wrote."""
        tree = json.loads(text)
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in tree["options"].items()}
        if "num_classes" in options:  # as files of version 0.1 call it
            options["num_outputs"] = options.pop("num_classes")
        return ShapeSpec(backbone=tree["backbone"], options=options)


class Backbone(nn.Module):
    """A network with a `spec` to rebuild it and `groups` of removable channels, in the order of the forward pass.

    `dims` states which samples the network takes: 1 for series `(C, T)`, 2 for images and spectrograms `(C, H, W)`.

    >>> from pppl.backbones import build, spec_for
    >>> build(spec_for("convnet", {"widths": (8, 16)}, (1, 8, 8), 10)).widths
    (8, 16)
    """

    dims: ClassVar[tuple[int, ...]] = (2,)
    spec: ShapeSpec
    groups: tuple[ChannelGroup, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of channels of each group."""
        return tuple(self.spec.options["widths"])

    def linear_layers(self) -> "list[tuple[str, nn.Linear]]":
        """Return the linear layers with their paths, in order; the classifier is one of them."""
        return [(path, layer) for path, layer in self.named_modules() if isinstance(layer, nn.Linear)]


def chosen_widths(widths: Sequence[int] | None, full: Sequence[int]) -> tuple[int, ...]:
    """Return the number of channels of each group: `widths`, or `full` if `widths` is None.

    Raise `ValueError` unless `widths` has one number for each group, between 1 and the group's full width.

    >>> chosen_widths(None, [16, 32])
    (16, 32)
    """
    if widths is None:
        return tuple(full)
    if len(widths) != len(full):
        raise ValueError(f"widths holds {len(widths)} numbers, but the network has {len(full)} groups of channels")
    for index, (width, most) in enumerate(zip(widths, full, strict=True)):
        if not 1 <= width <= most:
            raise ValueError(f"widths[{index}] is {width}, but that group has 1 to {most} channels")
    return tuple(widths)


@contextmanager
def hook_groups(
    backbone: Backbone,
    before: Callable[[int, Tensor], None] | None = None,
    after: Callable[[int, Tensor], Tensor | None] | None = None,
) -> Iterator[None]:
    """Call `before` and `after` for every group in each forward pass of `backbone`, while the context is open.

    **Arguments:**

    - `before`: called with the index of the group and the input of its producer, `(B, C_in, ...)`.
    - `after`: called with the index of the group and its activations, `(B, C, ...)`. If it returns a tensor, that
      tensor replaces the activations.

    Both receive tokens as `(B, C, N)`.

    ```python
    with hook_groups(backbone, after=lambda index, x: x * masks[index].view(1, -1, 1, 1)):
        logits = backbone(images)  # masked
    ```
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
    """Return the channel dimension of activations by the layer that produces them: -1 for tokens, otherwise 1.

    >>> channel_axis(nn.Linear(8, 4)), channel_axis(nn.Conv2d(8, 4, 1))
    (-1, 1)
    """
    return -1 if isinstance(producer, nn.Linear) else 1


def channels_in(layer: nn.Module) -> int:
    """Return the number of channels that a convolution or linear layer reads.

    >>> channels_in(nn.Conv2d(8, 4, 1))
    8
    """
    return int(layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)  # type: ignore[arg-type]


def channels_out(layer: nn.Module) -> int:
    """Return the number of channels that a convolution or linear layer outputs.

    >>> channels_out(nn.Conv2d(8, 4, 1))
    4
    """
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


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
