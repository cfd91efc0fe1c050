"""Multiply-accumulates (MACs) and parameters of a backbone as a function of the channels that each group keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, channel_axis, cuts, refusal, slice_network
from ..system.errors import UserError
from .counting import Counted, check_samples, count, layers_of


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


@dataclass(frozen=True, kw_only=True)
class _Side:
    """The size of one dimension: `fixed`, and what each channel of each group adds."""

    fixed: int
    by_group: Mapping[int, int]


class _FormBuilder:
    """A sum of products of sizes, of which at most two depend on the widths."""

    def __init__(self, groups: int):
        self.constant, self.linear = 0, np.zeros(groups, np.int64)
        self.quadratic = np.zeros((groups, groups), np.int64)

    def add(self, factor: int, *sides: _Side) -> None:
        """Add the product of a factor and of the sizes of all sides."""
        factor *= prod(side.fixed for side in sides if not side.by_group)
        varying = [side for side in sides if side.by_group]
        self.constant += factor * prod(side.fixed for side in varying)
        if not varying:
            return
        first, second = varying[0], varying[1] if len(varying) > 1 else _Side(fixed=1, by_group={})
        for group, each in first.by_group.items():
            self.linear[group] += factor * each * second.fixed
            for other, more in second.by_group.items():
                self.quadratic[group, other] += factor * each * more
        for other, more in second.by_group.items():
            self.linear[other] += factor * more * first.fixed

    def form(self) -> _Form:
        return _Form(constant=self.constant, linear=self.linear, quadratic=self.quadratic)


class CostModel:
    """The cost of a backbone at any widths.

    One forward pass at full widths is counted, and the resulting model is checked against a second pass at other
    widths. A layer costs one MAC per entry of its weight at each position. Everything else that a module multiplies is
    counted by its operations. It must cost the same at all widths, or be proportional to the channels of one group
    inside the module, as attention is to its heads.

    **Arguments:**

    - `backbone`: network at its full widths.
    - `sample`: shape of one sample, `(C, H, W)` or `(C, T)`, or an example of what the network is called with.

    `UserError` is raised if the network cannot take such a sample, if the cost of a module cannot be counted, or if its
    channels cannot be removed. The message names the module.

    `positions` is the number of positions (time steps, pixels, tokens) that each convolution or linear layer computes
    for one sample, by path.

    >>> from pppl.backbones import build, spec_for
    >>> cost = CostModel(build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8))
    >>> cost.full, cost([2, 4]).macs
    (Cost(macs=6992, params=438), 2344)
    """

    def __init__(self, backbone: Backbone, sample: Any):
        self.full_widths = backbone.widths
        counted = count(backbone, sample)
        self.positions = counted.positions
        narrow = _Narrow.of(backbone, sample)
        sides, alone = _sides(backbone), _Alone(backbone, sample)
        macs, params = _FormBuilder(len(self.full_widths)), _FormBuilder(len(self.full_widths))
        for path, layer in layers_of(backbone).items():
            macs.add(counted.positions[path], *_sizes(layer.weight, sides.get(layer.weight, {}), self.full_widths))
        for path, products in counted.others.items():
            macs.add(1, alone.products(path, products, narrow))
        for parameter in backbone.parameters():
            params.add(1, *_sizes(parameter, sides.get(parameter, {}), self.full_widths))
        self._macs, self._params = macs.form(), params.form()
        self.full = self(self.full_widths)
        check_samples(backbone, sample, counted)
        _check_outputs(backbone, counted)
        self._check_narrow(backbone, counted, narrow)

    def _check_narrow(self, backbone: Backbone, full: Counted, narrow: "_Narrow") -> None:
        """Raise `UserError` if a narrower network costs something else than this model says."""
        for path, positions in full.positions.items():
            if narrow.counted.positions[path] != positions:
                raise refusal(backbone, path, "computes another number of positions when it has fewer channels")
        if narrow.cost != self(narrow.widths):
            raise refusal(backbone, "", f"takes {narrow.cost} with {narrow.widths} channels, not {self(narrow.widths)}")

    def __call__(self, widths: Sequence[int] | np.ndarray) -> Cost:
        """Return the cost with `widths` channels kept per group."""
        array = np.asarray(widths, np.int64)
        return Cost(macs=int(self._macs(array)), params=int(self._params(array)))

    def fraction(self, widths: Sequence[int] | np.ndarray, unit: str = "macs") -> np.ndarray:
        """Return the cost in `macs` or `params` relative to the full network's, for each row of widths, `(..., L)`."""
        form = self._macs if unit == "macs" else self._params
        return form(np.asarray(widths, np.int64)) / getattr(self.full, unit)


@dataclass(frozen=True, kw_only=True)
class _Narrow:
    """A network of about half the channels in each group, and what it computes."""

    widths: list[int]
    counted: Counted
    cost: Cost

    @staticmethod
    def of(backbone: Backbone, sample: Any, *, only: int | None = None) -> "_Narrow":
        """Count the forward pass of a narrow network. Raise `UserError` if it does not run.

        **Arguments:**

        - `only`: index of the one group that loses channels, all but one of them; all groups lose half by default.
        """
        if only is None:
            widths = [(width + 1 + index % 2) // 2 for index, width in enumerate(backbone.widths)]
        else:
            widths = [1 if index == only else width for index, width in enumerate(backbone.widths)]
        masks = [torch.arange(most, device="cpu") < width for width, most in zip(widths, backbone.widths, strict=True)]
        narrow = slice_network(backbone, masks)
        try:
            counted = count(narrow, sample)
        except UserError as error:
            reason = str(error).partition(": ")[2]
            raise refusal(backbone, "", f"does not run with fewer channels ({reason})") from error
        macs = sum(counted.positions[path] * layer.weight.numel() for path, layer in layers_of(narrow).items())
        params = sum(parameter.numel() for parameter in narrow.parameters())
        return _Narrow(
            widths=widths, counted=counted, cost=Cost(macs=macs + sum(counted.others.values()), params=params)
        )


class _Alone:
    """What a network computes if one group alone is narrow, counted once for each group that is asked for."""

    def __init__(self, backbone: Backbone, sample: Any):
        self._backbone, self._sample = backbone, sample
        self._counted: dict[int, _Narrow] = {}

    def products(self, path: str, macs: int, narrow: _Narrow) -> _Side:
        """Return the MACs of a module outside of its layers, by the groups whose channels they are proportional to.

        Those of attention are proportional to its heads. Groups inside the module are tried first.

        Raise `UserError` if they vary otherwise.
        """
        now, prefix = narrow.counted.others[path], f"{path}." if path else ""
        if now == macs:
            return _Side(fixed=macs, by_group={})
        groups = [*enumerate(self._backbone.groups)]
        inside = [index for index, group in groups if group.producer.startswith(prefix)]
        if len(inside) == 1 and macs * narrow.widths[inside[0]] == now * self._backbone.widths[inside[0]]:
            return _Side(fixed=0, by_group={inside[0]: macs // self._backbone.widths[inside[0]]})
        for candidates in (inside, range(len(groups))):
            each = {index: more for index in candidates if (more := self._each(index, path, macs))}
            if macs - sum(more * self._removed(index, narrow) for index, more in each.items()) == now:
                fixed = macs - sum(more * self._backbone.widths[index] for index, more in each.items())
                return _Side(fixed=fixed, by_group=each)
        raise refusal(self._backbone, path, "multiplies outside of its layers, at a cost that varies with the channels")

    def _each(self, index: int, path: str, macs: int) -> int:
        """Return how many MACs of a module one channel of a group adds."""
        if index not in self._counted:
            self._counted[index] = _Narrow.of(self._backbone, self._sample, only=index)
        alone = self._counted[index]
        return (macs - alone.counted.others[path]) // max(1, self._removed(index, alone))

    def _removed(self, index: int, narrow: _Narrow) -> int:
        return self._backbone.widths[index] - narrow.widths[index]


def _sides(backbone: Backbone) -> dict[Tensor, dict[int, dict[int, int]]]:
    """Return, for each sliced parameter and dimension, how many of its entries a channel of each group has."""
    sides: dict[Tensor, dict[int, dict[int, int]]] = {}
    for cut in cuts(backbone):
        for name, dim in cut.dims.items():
            if (parameter := cut.layer._parameters.get(name)) is not None:
                sides.setdefault(parameter, {}).setdefault(dim, {})[cut.group] = cut.span.count
    return sides


def _sizes(parameter: Tensor, groups: Mapping[int, Mapping[int, int]], widths: Sequence[int]) -> list[_Side]:
    """Return the size of each dimension of a parameter; `groups` has the entries per channel, by dimension."""
    sizes = []
    for dim, size in enumerate(parameter.shape):
        by_group = groups.get(dim, {})
        sizes.append(_Side(fixed=size - sum(widths[at] * each for at, each in by_group.items()), by_group=by_group))
    return sizes


def _check_outputs(backbone: Backbone, counted: Counted) -> None:
    """Raise `UserError` if a mask of a group would not multiply the channels of this group alone."""
    first = {module: path for path, module in backbone.named_modules()}  # modules are counted by their first path
    places = [(first[backbone.get_submodule(group.output)], group.masked) for group in backbone.groups]
    for group, width, place in zip(backbone.groups, backbone.widths, places, strict=True):
        producer = backbone.get_submodule(group.producer)
        if places.count(place) > 1 or counted.calls[place[0]] != counted.calls[first[producer]]:
            raise refusal(
                backbone,
                place[0],
                "is called at several places: a group needs an output of its own, called once in a pass",
            )
        if group.masked == "input":
            continue  # the cut of the consumer has compared its channels with the group's
        shape, axis = counted.outputs[group.output], channel_axis(producer)
        if len(shape) < 2 or shape[axis] != width * group.span(group.output).count:
            raise refusal(backbone, place[0], f"gives shape {shape[1:]} for a sample, not {width} channels")
