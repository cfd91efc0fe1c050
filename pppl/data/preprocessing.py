"""From what a sensor or a file gives to what a network is given: all of it that a device must know."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from .features import LogMel
from .identities import IdentityDataset

# Of a description that comes from outside, so that a hostile one asks for no memory.
_MOST_VALUES, _MOST_CLASSES, _MOST_FFT, _MOST_BANDS = 1 << 24, 1 << 16, 1 << 16, 1 << 10


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a network's inputs are made of physical values: `gain * value + bias`, channel by channel.

    **Arguments:**

    - `classes`: names, in the order of the network's outputs.
    - `shape`: of one sample, `(C, H, W)` or `(C, T)`.
    - `gain`, `bias`: one number, or one for each channel.
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

    def __post_init__(self) -> None:
        channels = self.shape[0] if self.shape else 0
        lengths = {len(self.gain), len(self.bias)}
        if len(self.shape) not in (2, 3) or min(self.shape) < 1 or math.prod(self.shape) > _MOST_VALUES:
            raise UserError(f"samples of shape {self.shape}: it is (C, H, W) or (C, T)")
        if not lengths <= {1, channels} or not all(map(math.isfinite, (*self.gain, *self.bias))):
            raise UserError(f"gain and bias are {lengths} numbers for {channels} channels: one, or one each")
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
        gain, bias = split.scale, split.offset
        black, white = torch.zeros(1), torch.full((1,), 255.0 if source.x.dtype == torch.uint8 else 1.0)
        if not source.standardized:
            gain = split.scale / source.scale
            bias = split.offset - gain * source.offset
            black, white = source.offset, source.offset + source.scale * white
        is_image = log_mel is None and len(source.input_shape) == 3 and source.input_shape[0] in (1, 3)
        return Preprocessing(
            classes=source.classes,
            shape=source.input_shape,
            gain=tuple(gain.tolist()),
            bias=tuple(bias.tolist()),
            log_mel=log_mel,
            pixels=(black.mean().item(), white.mean().item()) if is_image else None,
        )

    def __call__(self, values: Tensor) -> Tensor:
        """Physical values, `(B, C, ...)`, to inputs of the same shape."""
        each = (-1, *(1,) * (values.ndim - 2))
        gain, bias = (values.new_tensor(numbers).view(each) for numbers in (self.gain, self.bias))
        return torch.addcmul(bias, values, gain)

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        """Reads what `to_json` wrote, from anywhere.

        Raises `UserError` where it is something else.
        """
        try:
            return _checked(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"no preprocessing can be read ({error})") from error


def _checked(tree: Any) -> Preprocessing:
    numbers = {key: tuple(map(float, _listed(tree.pop(key)))) for key in ("gain", "bias")}
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
        if log_mel["seconds"] * log_mel["sample_rate"] > _MOST_VALUES:
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
