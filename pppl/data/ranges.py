"""Checks that a person's values have the range, unit and scale of the training data."""

import math

import torch
from torch import Tensor

from ..system.errors import UserError
from .preprocessing import Preprocessing

# Distances outside the range of training, in widths of this range, from which values give a note or are rejected.
_TOLD, _REFUSED = 0.25, 4.0
# Ratios of the spread of a person's values to that of training: there is a note outside of them. People differ by less
# and units by more.
_NARROW, _WIDE = 1 / 30, 5.0
# Assumed lowest, highest, mean and standard deviation of inputs if they are unknown. Nothing is rejected by them.
_STANDARDIZED = (-30.0, 30.0, 0.0, 1.0)
# Rounding error of an exported network's inputs in single precision, in standard deviations, that gives a note.
_EXACT = 1e-3


def check_range(where: str, values: Tensor, preprocessing: Preprocessing) -> tuple[str, ...]:
    """Compare physical values `(N, C, ...)` with those of training, after preprocessing of both.

    **Returns:** notes, a sentence each that begins with `where`.

    Raise `UserError` if the values are so far outside that they must have another range or unit.

    >>> preprocessing = Preprocessing(
    ...     classes=("a", "b"), shape=(1, 8, 8), gain=(1.0,), bias=(0.0,), inputs=(-3.0, 3.0, 0.0, 1.0)
    ... )
    >>> check_range("a.npy", torch.randn(4, 1, 8, 8).clamp(-3, 3), preprocessing)
    ()
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
            raise UserError(
                f"{where} {told}: give values in the range and unit of training (an .npz file may set scale and offset)"
            )
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
    """Return lowest, highest, mean and standard deviation of the inputs in training; empty if unknown.

    If they were not recorded, they are derived from the limits of log-mels or pixels.
    """
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
    """Describe the range of a channel's values and that of training."""
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
    """Return a note about the channel whose values lose most in single precision, the input of exported networks.

    There is none if the rounding error is small.
    """
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
