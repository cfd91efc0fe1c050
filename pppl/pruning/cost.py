"""Multiply-accumulates and parameters of a backbone as a function of how many channels each group keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import Backbone
from ..errors import UserError


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
    """Cost of a backbone at any widths, from one traced forward pass.

    **Arguments:**

    - `backbone`: at its full widths.
    - `input_shape`: of one sample, `(C, H, W)` or `(C, T)`. Raises `UserError` where the network cannot take it.

    `positions` tells how many each convolution or linear layer computes for one sample (time steps, pixels).
    """

    def __init__(self, backbone: Backbone, input_shape: tuple[int, ...]):
        self.full_widths = backbone.widths
        producer = {group.producer: i for i, group in enumerate(backbone.groups)}
        producer |= {path: i for i, group in enumerate(backbone.groups) for path in group.followers}
        consumer = {path: i for i, group in enumerate(backbone.groups) for path in group.consumers}
        self.positions = positions = _output_positions(backbone, input_shape)
        macs, params = _FormBuilder(len(self.full_widths)), _FormBuilder(len(self.full_widths))
        for path, module in backbone.named_modules():
            out = producer.get(path)
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                kernel = prod(module.weight.shape[2:])
                sides = [(out, module.weight.shape[0])]
                if getattr(module, "groups", 1) == 1:  # a depthwise convolution has one set of weights per channel
                    sides.append((consumer.get(path), module.weight.shape[1]))
                macs.add(positions[path] * kernel, *sides)
                params.add(kernel, *sides)
                if module.bias is not None:
                    params.add(1, (out, len(module.bias)))
            else:
                for parameter in module.parameters(recurse=False):
                    # (C,), or (C, S) where each channel has its own scale in every sub-band
                    params.add(prod(parameter.shape[1:]), (out, len(parameter)))
        self._macs, self._params = macs.form(), params.form()
        self.full = self(self.full_widths)

    def __call__(self, widths: Sequence[int] | np.ndarray) -> Cost:
        """Cost with `widths` channels kept per group."""
        array = np.asarray(widths, np.int64)
        return Cost(macs=int(self._macs(array)), params=int(self._params(array)))

    def fraction(self, widths: Sequence[int] | np.ndarray, unit: str = "macs") -> np.ndarray:
        """Cost relative to the full network's, for `(L,)` widths or each row of `(N, L)`, in `macs` or `params`."""
        form = self._macs if unit == "macs" else self._params
        return form(np.asarray(widths, np.int64)) / getattr(self.full, unit)


def _output_positions(backbone: Backbone, input_shape: tuple[int, ...]) -> dict[str, int]:
    """Output positions of each convolution and linear layer, by its path, for one sample."""
    positions: dict[str, int] = {}

    def record(path: str, _: nn.Module, _inputs: object, output: Tensor) -> None:
        positions[path] = prod(output.shape[2:]) if output.ndim > 2 else 1

    layers = [(n, m) for n, m in backbone.named_modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear))]
    handles = [m.register_forward_hook(partial(record, n)) for n, m in layers]
    training = backbone.training
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, *input_shape, device=next(backbone.parameters()).device))
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        name = backbone.spec.backbone
        raise UserError(f"backbone {name} cannot take data of shape {input_shape}: {reason}") from error
    finally:
        backbone.train(training)
        for handle in handles:
            handle.remove()
    return positions
