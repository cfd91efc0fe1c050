"""Multiply-accumulates and parameters of a backbone as a function of how many channels each group keeps."""

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
    """MACs of one sample (convolutions and linear layers, as `torch.utils.flop_counter` / 2) and parameters."""

    macs: int
    params: int


@dataclass(frozen=True, kw_only=True)
class _Form:
    """c + l.w + w'Qw for widths w, `(L,)` or `(N, L)`, exact in 64-bit integers."""

    constant: int
    linear: np.ndarray  # (L,)
    quadratic: np.ndarray  # (L, L)

    def __call__(self, widths: np.ndarray) -> np.ndarray:
        return self.constant + widths @ self.linear + (widths @ self.quadratic * widths).sum(-1)


class _FormBuilder:
    """Sums up terms of the form factor * (input channels) * (output channels)."""

    def __init__(self, groups: int):
        self.constant, self.linear = 0, np.zeros(groups, np.int64)
        self.quadratic = np.zeros((groups, groups), np.int64)

    def add(self, factor: int, *sides: tuple[int | None, int]) -> None:
        """Adds a product; each side is a group's index, or None and a fixed number of channels."""
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
    """Cost of a backbone at any widths, from one counted forward pass, checked against another at other widths.

    Layers cost what their weights have entries at each position; what else a module multiplies is counted by its
    operations, and must cost the same at all widths.

    **Arguments:**

    - `backbone`: at its full widths.
    - `input_shape`: of one sample, `(C, H, W)` or `(C, T)`. Raises `UserError` where the network cannot take it, and
      names the module whose cost cannot be told, or whose channels cannot be removed.

    `positions` tells how many each convolution or linear layer computes for one sample (time steps, pixels, tokens).
    """

    def __init__(self, backbone: Backbone, input_shape: tuple[int, ...]):
        self.full_widths = backbone.widths
        counted = count(backbone, input_shape)
        self.positions = counted.positions
        sides = _sides(backbone)
        macs, params = _FormBuilder(len(self.full_widths)), _FormBuilder(len(self.full_widths))
        for path, layer in layers_of(backbone).items():
            macs.add(counted.positions[path], *_entries(layer.weight, sides.get(id(layer.weight), {})))
        macs.constant += sum(counted.others.values())
        for parameter in backbone.parameters():
            params.add(1, *_entries(parameter, sides.get(id(parameter), {})))
        self._macs, self._params = macs.form(), params.form()
        self.full = self(self.full_widths)
        _check_outputs(backbone, counted)
        self._check_other_widths(backbone, input_shape, counted)

    def _check_other_widths(self, backbone: Backbone, input_shape: tuple[int, ...], full: Counted) -> None:
        """Raises `UserError` where a narrower network does not run, or costs something else than is told here."""
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
                raise refusal(backbone, path, "computes another number of positions where there are fewer channels")
        macs = sum(
            n * layer.weight.numel()
            for n, layer in zip(counted.positions.values(), layers_of(narrow).values(), strict=True)
        )
        own = Cost(macs=macs + sum(counted.others.values()), params=sum(p.numel() for p in narrow.parameters()))
        if own != self(widths):
            raise refusal(backbone, "", f"takes {own} with {widths} channels, not {self(widths)}")

    def __call__(self, widths: Sequence[int] | np.ndarray) -> Cost:
        """Cost with `widths` channels kept per group."""
        array = np.asarray(widths, np.int64)
        return Cost(macs=int(self._macs(array)), params=int(self._params(array)))

    def fraction(self, widths: Sequence[int] | np.ndarray, unit: str = "macs") -> np.ndarray:
        """Cost relative to the full network's, for `(L,)` widths or each row of `(N, L)`, in `macs` or `params`."""
        form = self._macs if unit == "macs" else self._params
        return form(np.asarray(widths, np.int64)) / getattr(self.full, unit)


def _sides(backbone: Backbone) -> dict[int, dict[int, int]]:
    """The groups whose channels a parameter has, by its dimension, by the parameter's id."""
    sides: dict[int, dict[int, int]] = {}
    for cut in cuts(backbone):
        for name, dim in cut.dims.items():
            if (parameter := cut.layer._parameters.get(name)) is not None:
                sides.setdefault(id(parameter), {})[dim] = cut.group
    return sides


def _entries(parameter: Tensor, groups: Mapping[int, int]) -> list[tuple[int | None, int]]:
    return [(groups.get(dim), size) for dim, size in enumerate(parameter.shape)]


def _check_outputs(backbone: Backbone, counted: Counted) -> None:
    """Raises `UserError` where a mask at a group's output would not be one of the group's channels alone."""
    first = {id(module): path for path, module in backbone.named_modules()}  # by which it is counted
    outputs = [first[id(backbone.get_submodule(group.output))] for group in backbone.groups]
    for group, width, output in zip(backbone.groups, backbone.widths, outputs, strict=True):
        producer = backbone.get_submodule(group.producer)
        if outputs.count(output) > 1 or counted.calls[output] != counted.calls[first[id(producer)]]:
            raise refusal(backbone, output, "is called at several places: an output is one group's, once in a pass")
        shape, axis = counted.outputs[group.output], channel_axis(producer)
        if len(shape) < 2 or shape[axis] != width:
            raise refusal(backbone, output, f"gives {shape[1:]} for a sample, and not {width} channels")
