"""Preprocessing of a network's inputs, as far as a device must know it: from physical values to inputs."""

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

# Limits for a description from outside: a hostile one must not make this process fill its memory.
_MOST_VALUES, _MOST_CLASSES, _MOST_FFT, _MOST_BANDS, _MOST_RATE = 1 << 24, 1 << 16, 1 << 16, 1 << 10, 1 << 20
_USUAL = ("task", "classification")  # not written either
_OPTIONAL = (
    "shift",
    "inputs",
    "output_scale",
    "output_offset",
)  # not written if they are empty, like in files of earlier versions
# Usual values of black and white. Data have such a scale if they lie in it and span more than `_REACHED` of it.
_SCALES, _REACHED = ((0, 1), (-1, 1), (0, 255), (0, 65535)), 0.3
_CHUNK = 2048  # samples processed at a time


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The map from physical values to a network's inputs: `gain * (value - shift) + bias`, channel by channel.

    **Arguments:**

    - `classes`: class names, in the order of the network's outputs; empty if these are no classes.
    - `shape`: shape of one sample, `(C, H, W)` or `(C, T)`.
    - `gain`, `bias`: one number, or one for each channel.
    - `log_mel`: the transform of recordings to values, if the network takes audio; else None.
    - `pixels`: the values of a black and of a white pixel, if image files can be samples; else None.
    - `shift`: one number, or one for each channel, in single precision; empty if values are not far from 0.
    - `inputs`: lowest, highest, mean and standard deviation of the inputs in training; empty if unknown.
    - `task`: what the network is for (`pppl.tasks`).
    - `output_scale`, `output_offset`: what turns outputs that are numbers into the unit of the data, one number each;
      empty for classes.

    Raise `UserError` if these do not fit together.

    >>> preprocessing = Preprocessing(classes=("cat", "dog"), shape=(1, 8, 8), gain=(2.0,), bias=(-1.0,))
    >>> preprocessing(torch.ones(4, 1, 8, 8)).mean().item()
    1.0
    """

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    gain: tuple[float, ...]
    bias: tuple[float, ...]
    log_mel: LogMel | None = None
    pixels: tuple[float, float] | None = None
    shift: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    task: str = "classification"
    output_scale: tuple[float, ...] = ()
    output_offset: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        channels = self.shape[0] if self.shape else 0
        lengths = {len(self.gain), len(self.bias), len(self.shift) or 1}
        if len(self.shape) not in (2, 3) or min(self.shape) < 1 or math.prod(self.shape) > _MOST_VALUES:
            raise UserError(f"samples have shape {self.shape}, which must be (C, H, W) or (C, T) and not too large")
        if not lengths <= {1, channels} or not all(map(math.isfinite, (*self.gain, *self.bias, *self.shift))):
            raise UserError(
                f"gain, bias and shift hold {lengths} numbers for {channels} channels: give one finite number, or one "
                "for each channel"
            )
        if len(self.inputs) not in (0, 4) or not all(map(math.isfinite, self.inputs)):
            raise UserError(f"inputs are {self.inputs}: give lowest, highest, mean and standard deviation, or nothing")
        if not 2 <= len(self.classes) <= _MOST_CLASSES and not (self.output_scale and not self.classes):
            raise UserError(f"{len(self.classes)} classes: give 2 to {_MOST_CLASSES:,}")
        if len(self.output_scale) != len(self.output_offset) or len(self.output_scale) > _MOST_CLASSES:
            raise UserError("output_scale and output_offset hold different numbers of values: give one for each output")
        if self.log_mel and self.shape != (1, self.log_mel.frames, self.log_mel.bands):
            raise UserError(f"samples of shape {self.shape} do not come from {self.log_mel}: change one of the two")

    @staticmethod
    def of(source: IdentityDataset, split: IdentityDataset, log_mel: LogMel | None = None) -> "Preprocessing":
        """Return the preprocessing of networks trained on `split`, the result of `split_for` for `source`.

        The physical values of `source` are `x * scale + offset`. If it is standardized already, such as images with
        their own constants, they are the stored values.

        ```python
        source = load_dataset("digits")
        preprocessing = Preprocessing.of(source, split_for(source, PersonSettings(), seed=0))
        ```
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
            task=source.task,
            output_scale=() if source.classes else tuple(split.target_scale.tolist()),
            output_offset=() if source.classes else tuple(split.target_offset.tolist()),
        )

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return len(self.classes) or len(self.output_scale)

    def __call__(self, values: Tensor) -> Tensor:
        """Convert physical values `(B, C, ...)` to inputs of the same shape, float32."""
        each = (-1, *(1,) * (values.ndim - 2))
        if self.shift:
            values = values.double() - values.new_tensor(self.shift, dtype=torch.float64).view(each)
        values = values.float()
        gain, bias = (values.new_tensor(numbers).view(each) for numbers in (self.gain, self.bias))
        return torch.addcmul(bias, values, gain)

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return outputs of the network, `(B, K)`, in the unit of the data; logits stay as they are."""
        if not self.output_scale:
            return outputs
        return outputs * outputs.new_tensor(self.output_scale) + outputs.new_tensor(self.output_offset)

    def to_targets(self, labels: Tensor) -> Tensor:
        """Return what the network is trained on: class indices as they are, or numbers without their unit."""
        if not self.output_scale:
            return labels
        return (labels - labels.new_tensor(self.output_offset)) / labels.new_tensor(self.output_scale)

    def to_json(self) -> str:
        """Return one line of JSON, which `from_json` reads."""
        tree = dataclasses.asdict(self)
        return json.dumps(
            {key: value for key, value in tree.items() if (value or key not in _OPTIONAL) and (key, value) != _USUAL}
        )

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        """Read the JSON of `to_json`. The text may come from an untrusted source.

        Raise `UserError` if it is anything else.
        """
        try:
            return _checked(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"no preprocessing can be read ({error})") from error


def _shifted(source: IdentityDataset, split: IdentityDataset, bias: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the bias, and the shift of channels whose values are far from 0; None if there are no such channels.

    Subtracting the shift first keeps the digits that float32 would lose.
    """
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
    """Return the physical values of black and white, by the first usual scale that fits the data; None if none does."""
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
    """Compute lowest, highest, mean and standard deviation of the inputs in training, rounded to four digits."""
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
    log_mel, pixels, task = tree.pop("log_mel"), tree.pop("pixels"), _text(tree.pop(*_USUAL))
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
    return Preprocessing(classes=classes, shape=shape, log_mel=log_mel, pixels=pixels, task=task, **numbers)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:  # isinstance would accept True
        raise TypeError(f"{value!r} is not an integer")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
