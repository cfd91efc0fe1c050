"""From what a sensor or a file gives to what a network is given: all of it that a device must know."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..system.errors import UserError
from .features import LogMel
from .identities import FAR, TRAIN, IdentityDataset

# Of a description that comes from outside, so that a hostile one asks for no memory.
_MOST_VALUES, _MOST_CLASSES, _MOST_FFT, _MOST_BANDS, _MOST_RATE = 1 << 24, 1 << 16, 1 << 16, 1 << 10, 1 << 20
_OPTIONAL = ("shift", "inputs")  # not written where they are empty, as in files of before
# How black and white are written, and the part of that range which data reach if it is theirs.
_SCALES, _REACHED = ((0, 1), (-1, 1), (0, 255), (0, 65535)), 0.3
_CHUNK = 2048  # samples looked at at a time


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a network's inputs are made of physical values: `gain * (value - shift) + bias`, channel by channel.

    **Arguments:**

    - `classes`: names, in the order of the network's outputs.
    - `shape`: of one sample, `(C, H, W)` or `(C, T)`.
    - `gain`, `bias`: one number, or one for each channel.
    - `shift`: likewise, of single precision; empty where nothing is taken away, as values are not far from 0.
    - `inputs`: lowest, highest, mean and standard deviation of the inputs in training; empty where they are not known.
    - `log_mel`: what makes values of recordings, where the network hears.
    - `pixels`: the values of a black and of a white pixel, where image files can be samples.

    Raises `UserError` where these do not fit each other.
    """

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    gain: tuple[float, ...]
    bias: tuple[float, ...]
    log_mel: LogMel | None = None
    pixels: tuple[float, float] | None = None
    shift: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        channels = self.shape[0] if self.shape else 0
        lengths = {len(self.gain), len(self.bias), len(self.shift) or 1}
        if len(self.shape) not in (2, 3) or min(self.shape) < 1 or math.prod(self.shape) > _MOST_VALUES:
            raise UserError(f"samples of shape {self.shape}: it is (C, H, W) or (C, T)")
        if not lengths <= {1, channels} or not all(map(math.isfinite, (*self.gain, *self.bias, *self.shift))):
            raise UserError(f"gain, bias and shift are {lengths} numbers for {channels} channels: one, or one each")
        if len(self.inputs) not in (0, 4) or not all(map(math.isfinite, self.inputs)):
            raise UserError(f"inputs are {self.inputs}: lowest, highest, mean and standard deviation")
        if not 2 <= len(self.classes) <= _MOST_CLASSES:
            raise UserError(f"{len(self.classes)} classes: at least 2")
        if self.log_mel and self.shape != (1, self.log_mel.frames, self.log_mel.bands):
            raise UserError(f"samples of shape {self.shape} are not what {self.log_mel} makes")

    @staticmethod
    def of(source: IdentityDataset, split: IdentityDataset, log_mel: LogMel | None = None) -> "Preprocessing":
        """That of networks trained on `split`, which `split_for` made of `source`, as it was read.

        A physical value is what `source` says, `x * scale + offset`; of a source that is standardized already, such as
        images with constants of their own, what it stores.
        """
        gain, bias, shift = split.scale, split.offset, None
        if not source.standardized:
            gain = split.scale / source.scale
            bias = split.offset - gain * source.offset
            bias, shift = _shifted(source, split, bias)
        is_image = log_mel is None and len(source.input_shape) == 3 and source.input_shape[0] in (1, 3)
        return Preprocessing(
            classes=source.classes,
            shape=source.input_shape,
            gain=tuple(gain.tolist()),
            bias=tuple(bias.tolist()),
            log_mel=log_mel,
            pixels=_pixels(source) if is_image else None,
            shift=() if shift is None else tuple(shift.tolist()),
            inputs=_inputs(split),
        )

    def __call__(self, values: Tensor) -> Tensor:
        """Physical values, `(B, C, ...)`, to inputs of the same shape, float32."""
        each = (-1, *(1,) * (values.ndim - 2))
        if self.shift:
            values = values.double() - values.new_tensor(self.shift, dtype=torch.float64).view(each)
        values = values.float()
        gain, bias = (values.new_tensor(numbers).view(each) for numbers in (self.gain, self.bias))
        return torch.addcmul(bias, values, gain)

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        tree = dataclasses.asdict(self)
        return json.dumps({key: value for key, value in tree.items() if value or key not in _OPTIONAL})

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        """Reads what `to_json` wrote, from anywhere.

        Raises `UserError` where it is something else.
        """
        try:
            return _checked(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"no preprocessing can be read ({error})") from error


def _shifted(source: IdentityDataset, split: IdentityDataset, bias: Tensor) -> tuple[Tensor, Tensor | None]:
    """The bias, and what is subtracted before where values are far from 0, so that no digits of them are lost."""
    gain = split.scale.double() / source.scale
    stored_from = torch.zeros(1) if source.center is None else source.center
    centered = torch.zeros(1) if split.center is None else split.center
    exact = split.offset + gain * (source.scale.double() * (stored_from.double() - centered) - source.offset)
    far = exact.abs() > FAR
    if not far.any():
        return bias, None
    shift = torch.where(far, -exact / gain, 0.0).float()
    return torch.where(far, exact + gain * shift, bias).float(), shift


def _pixels(source: IdentityDataset) -> tuple[float, float] | None:
    """The physical values of black and white: those of the first usual scale that the data fill; None without one."""
    low, high = source.x.min().item(), source.x.max().item()
    for black, white in _SCALES:
        margin = 1e-3 * (white - black)
        if black - margin <= low and high <= white + margin and high - low > _REACHED * (white - black):
            break
    else:
        return None
    if source.standardized:
        return float(black), float(white)
    ends = [source.offset + source.scale * end for end in (black, white)]
    return ends[0].mean().item(), ends[1].mean().item()


def _inputs(split: IdentityDataset) -> tuple[float, ...]:
    """Lowest, highest, mean and standard deviation of a network's inputs in training, with four digits."""
    low, high, count, total, squares = math.inf, -math.inf, 0, 0.0, 0.0
    for rows in torch.from_numpy(split.rows(TRAIN)).split(_CHUNK):
        inputs = split.inputs(rows)
        low, high, count = min(low, inputs.min().item()), max(high, inputs.max().item()), count + inputs.numel()
        total += inputs.sum(dtype=torch.float64).item()
        squares += inputs.double().square().sum().item()
    mean = total / count
    return tuple(float(f"{each:.4g}") for each in (low, high, mean, math.sqrt(max(squares / count - mean**2, 0))))


def _checked(tree: Any) -> Preprocessing:
    numbers = {key: tuple(map(float, _listed(tree.pop(key)))) for key in ("gain", "bias")}
    numbers |= {key: tuple(map(float, _listed(tree.pop(key, [])))) for key in _OPTIONAL}
    shape = tuple(map(_whole, _listed(tree.pop("shape"))))
    classes = tuple(map(_text, _listed(tree.pop("classes"))))
    log_mel, pixels = tree.pop("log_mel"), tree.pop("pixels")
    if tree:
        raise ValueError(f"unknown: {', '.join(tree)}")
    if log_mel is not None:
        for field in dataclasses.fields(LogMel):
            log_mel[field.name] = (_whole if field.type is int else float)(log_mel[field.name])
        if log_mel["fft"] > _MOST_FFT or log_mel["bands"] > _MOST_BANDS:
            raise ValueError("a transform that is too long")
        if log_mel["seconds"] * log_mel["sample_rate"] > _MOST_VALUES or log_mel["sample_rate"] > _MOST_RATE:
            raise ValueError("recordings that are too long")
        log_mel = LogMel(**log_mel)
    if pixels is not None:
        black, white = map(float, _listed(pixels))
        pixels = black, white
    return Preprocessing(classes=classes, shape=shape, log_mel=log_mel, pixels=pixels, **numbers)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:  # True is an int, too
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
