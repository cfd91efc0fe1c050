"""Whether somebody's values lie where those of training lay: the same range, unit and scale."""

import math

import torch
from torch import Tensor

from ..system.errors import UserError
from .preprocessing import Preprocessing

# How far beyond the whole range of training values may reach, in such ranges: without a word, and at all.
_TOLD, _REFUSED = 0.25, 4.0
# How the spread of somebody's values may differ from training's without a word: people differ, units do so by more.
_NARROW, _WIDE = 1 / 30, 5.0
# What inputs are taken to be where nobody wrote down what they were: nothing is refused by that.
_STANDARDIZED = (-30.0, 30.0, 0.0, 1.0)
# Of a spread, which an exported network's inputs in single precision may be off by without a word.
_EXACT = 1e-3


def check_range(where: str, values: Tensor, preprocessing: Preprocessing) -> tuple[str, ...]:
    """Compare physical values `(N, C, ...)` with those of training, by what a network is given of both.

    **Returns:** what is odd about them, a sentence each that begins with `where`.

    Raises `UserError` for values so far away that they are of another range or unit.
    """
    known = _known(preprocessing)
    low, high, _, deviation = known or _STANDARDIZED
    width = max(high - low, 1e-6)
    inputs = preprocessing(values).transpose(0, 1).flatten(1)  # (C, n)
    below, above = low - inputs.amin(1), inputs.amax(1) - high
    excess, channel = (float(part) for part in torch.maximum(below, above).max(0))
    channel, beyond, notes = int(channel), excess / width, []
    if not math.isfinite(beyond) or beyond > _TOLD:
        told = _outside(values, preprocessing, channel, (low, high), beyond)
        if known and not beyond <= _REFUSED:
            raise UserError(f"{where} {told}: give values in the range and unit of training (arrays scale and offset)")
        notes.append(f"{where} {told}: is that the range, unit and scale of training?")
    spread = float(inputs.double().std(correction=0)) / max(deviation, 1e-12)
    if not notes and spread > _WIDE:
        notes.append(f"{where} varies {spread:.3g} times as much as training's samples: is that its unit and scale?")
    if spread < _NARROW:
        notes.append(
            f"{where} varies by {spread:.2%} of what training's samples do: is that their range, unit and scale, "
            "or were values standardized before?"
        )
    return (*notes, *_inexact(where, preprocessing))


def _known(preprocessing: Preprocessing) -> tuple[float, ...]:
    """Lowest, highest, mean and deviation of inputs in training, or what they can have been; empty if unknown."""
    if preprocessing.inputs:
        return preprocessing.inputs
    limits = preprocessing.log_mel.limits if preprocessing.log_mel else preprocessing.pixels
    if limits is None:
        return ()
    channels = preprocessing.shape[0]
    ends = preprocessing(torch.tensor(limits)[:, None].expand(-1, channels)[..., None])
    low, high = float(ends.min()), float(ends.max())
    return low, high, (low + high) / 2, (high - low) / 4


def _outside(
    values: Tensor, preprocessing: Preprocessing, channel: int, limits: tuple[float, float], beyond: float
) -> str:
    """Say where a channel's values lie, and where those of training lay."""
    gain, bias, shift = (
        numbers[channel if len(numbers) > 1 else 0] if numbers else 0.0
        for numbers in (preprocessing.gain, preprocessing.bias, preprocessing.shift)
    )
    own = values[:, channel]
    told = f"has values from {own.min():.4g} to {own.max():.4g}" + f" in channel {channel}" * (len(values[0]) > 1)
    if gain == 0:
        return f"{told}, another range than training's"
    low, high = sorted((limit - bias) / gain + shift for limit in limits)
    return f"{told}, {beyond:.3g} times training's whole range (about {low:.4g} to {high:.4g}) beyond it"


def _inexact(where: str, preprocessing: Preprocessing) -> tuple[str, ...]:
    """Say which channel has values that single precision, which exported networks take, cannot tell apart."""
    if not preprocessing.shift:
        return ()
    shift, gain = torch.tensor(preprocessing.shift), torch.tensor(preprocessing.gain)
    off = torch.finfo(torch.float32).eps / 2 * (shift * gain).abs()
    if float(off.max()) < _EXACT:
        return ()
    channel = int(off.argmax())
    return (
        f"{where}: channel {channel} lies around {preprocessing.shift[channel]:.7g}, where exported networks, which "
        f"take single precision, are off by up to {float(off.max()):.2g} of its spread: train on values less that",
    )
