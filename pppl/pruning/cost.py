"""Multiply-accumulates (MACs) and parameters of a backbone as a function of the channels that each group keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, channel_axis
from ..system.errors import UserError
from .counting import Counted, count, layers_of
from .cuts import cuts, refusal
from .surgery import slice_network


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The MACs of one sample, counted as by `torch.utils.flop_counter` / 2, and the number of parameters."""

    macs: int
    params: int


@dataclass(frozen=True, kw_only=True)
class _Form:
    """The polynomial c + l.w + w'Qw in the widths w, `(..., L)`, exact in 64-bit integers."""

    constant: int
    linear: np.ndarray  # (L,)
    quadratic: np.ndarray  # (L, L)

    def __call__(self, widths: np.ndarray) -> np.ndarray:
        return self.constant + widths @ self.linear + (widths @ self.quadratic * widths).sum(-1)


class _FormBuilder:
    """A sum of terms of the form factor * (input channels) * (output channels)."""

    def __init__(self, groups: int):
        self.constant, self.linear = 0, np.zeros(groups, np.int64)
        self.quadratic = np.zeros((groups, groups), np.int64)

    def add(self, factor: int, *sides: tuple[int | None, int]) -> None:
        """Add a product. Each side is the index of a group, or None, and a number of channels.

        The number of channels counts only if the side has no group.
        """
        factor *= prod(channels for group, channels in sides if group is None)
        groups = [group for group, _ in sides if group is not None]
        if len(groups) == 2:
            self.quadratic[groups[0], groups[1]] += factor
        elif groups:
            self.linear[groups[0]] += factor
        else:
            self.constant += factor

    def form(self) -> _Form:
        return _Form(constant=self.constant, linear=self.linear, quadratic=self.quadratic)


class CostModel:
    """The cost of a backbone at any widths.

    One forward pass at full widths is counted, and the resulting model is checked against a second pass at other
    widths. A layer costs one MAC per entry of its weight at each position. Everything else that a module multiplies is
    counted by its operations, and must cost the same at all widths.

    **Arguments:**

    - `backbone`: network at its full widths.
    - `input_shape`: shape of one sample, `(C, H, W)` or `(C, T)`.

    `UserError` is raised if the network cannot take such a sample, if the cost of a module cannot be counted, or if its
    channels cannot be removed. The message names the module.

    `positions` is the number of positions (time steps, pixels, tokens) that each convolution or linear layer computes
    for one sample, by path.

    >>> from pppl.backbones import build, spec_for
    >>> cost = CostModel(build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8))
    >>> cost.full, cost([2, 4]).macs
    (Cost(macs=6992, params=438), 2344)
    """

    def __init__(self, backbone: Backbone, input_shape: tuple[int, ...]):
        self.full_widths = backbone.widths
        counted = count(backbone, input_shape)
        self.positions = counted.positions
        sides = _sides(backbone)
        macs, params = _FormBuilder(len(self.full_widths)), _FormBuilder(len(self.full_widths))
        for path, layer in layers_of(backbone).items():
            macs.add(counted.positions[path], *_entries(layer.weight, sides.get(layer.weight, {})))
        macs.constant += sum(counted.others.values())
        for parameter in backbone.parameters():
            params.add(1, *_entries(parameter, sides.get(parameter, {})))
        self._macs, self._params = macs.form(), params.form()
        self.full = self(self.full_widths)
        _check_outputs(backbone, counted)
        self._check_other_widths(backbone, input_shape, counted)

    def _check_other_widths(self, backbone: Backbone, input_shape: tuple[int, ...], full: Counted) -> None:
        """Raise `UserError` if a narrower network does not run, or if its cost differs from that of this model."""
        widths = [(width + 1 + index % 2) // 2 for index, width in enumerate(self.full_widths)]
        if widths == list(self.full_widths):
            return
        masks = [torch.arange(most, device="cpu") < width for width, most in zip(widths, self.full_widths, strict=True)]
        narrow = slice_network(backbone, masks)
        try:
            counted = count(narrow, input_shape)
        except UserError as error:
            reason = str(error).partition(": ")[2]
            raise refusal(backbone, "", f"does not run with fewer channels ({reason})") from error
        for path, _ in backbone.named_modules():
            if counted.others[path] != full.others[path]:
                raise refusal(
                    backbone, path, "multiplies outside of its layers, at a cost that varies with the channels"
                )
            if counted.positions.get(path) != full.positions.get(path):
                raise refusal(backbone, path, "computes another number of positions when it has fewer channels")
        macs = sum(
            n * layer.weight.numel()
            for n, layer in zip(counted.positions.values(), layers_of(narrow).values(), strict=True)
        )
        own = Cost(macs=macs + sum(counted.others.values()), params=sum(p.numel() for p in narrow.parameters()))
        if own != self(widths):
            raise refusal(backbone, "", f"takes {own} with {widths} channels, not {self(widths)}")

    def __call__(self, widths: Sequence[int] | np.ndarray) -> Cost:
        """Return the cost with `widths` channels kept per group."""
        array = np.asarray(widths, np.int64)
        return Cost(macs=int(self._macs(array)), params=int(self._params(array)))

    def fraction(self, widths: Sequence[int] | np.ndarray, unit: str = "macs") -> np.ndarray:
        """Return the cost in `macs` or `params` relative to the full network's, for each row of widths, `(..., L)`."""
        form = self._macs if unit == "macs" else self._params
        return form(np.asarray(widths, np.int64)) / getattr(self.full, unit)


def _sides(backbone: Backbone) -> dict[Tensor, dict[int, int]]:
    """Return, for each sliced parameter, the group of each dimension that holds channels of one."""
    sides: dict[Tensor, dict[int, int]] = {}
    for cut in cuts(backbone):
        for name, dim in cut.dims.items():
            if (parameter := cut.layer._parameters.get(name)) is not None:
                sides.setdefault(parameter, {})[dim] = cut.group
    return sides


def _entries(parameter: Tensor, groups: Mapping[int, int]) -> list[tuple[int | None, int]]:
    return [(groups.get(dim), size) for dim, size in enumerate(parameter.shape)]


def _check_outputs(backbone: Backbone, counted: Counted) -> None:
    """Raise `UserError` if a mask at a group's output would not multiply the channels of this group alone."""
    first = {module: path for path, module in backbone.named_modules()}  # modules are counted by their first path
    outputs = [first[backbone.get_submodule(group.output)] for group in backbone.groups]
    for group, width, output in zip(backbone.groups, backbone.widths, outputs, strict=True):
        producer = backbone.get_submodule(group.producer)
        if outputs.count(output) > 1 or counted.calls[output] != counted.calls[first[producer]]:
            raise refusal(
                backbone,
                output,
                "is called at several places: a group needs an output of its own, called once in a pass",
            )
        shape, axis = counted.outputs[group.output], channel_axis(producer)
        if len(shape) < 2 or shape[axis] != width:
            raise refusal(backbone, output, f"gives shape {shape[1:]} for a sample, not {width} channels")
