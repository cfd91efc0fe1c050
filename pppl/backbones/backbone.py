"""The interface of all backbones: a network, the spec that rebuilds it, and the groups of its removable channels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from .groups import ChannelGroup

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
    remedy: ClassVar[str] = "change its groups"  # what an error about a layer tells to do
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
