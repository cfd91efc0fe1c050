"""Random changes of training batches, without per-sample Python.

Each function takes a batch and a generator on the CPU, whatever device the batch is on, so that the same seed gives the
same changes everywhere. Shape and dtype stay.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..system.errors import UserError


def crop(x: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Random crops of images `(B, C, H, W)` padded with zeros, each of the images' own size.

    The recipe of He et al., Deep Residual Learning, CVPR 2016, section 4.2. Any dtype; on uint8 the padding is black.
    """
    height, width = _images(x, "crop").shape[-2:]
    top, left = _draw(x, generator, 2 * padding + 1), _draw(x, generator, 2 * padding + 1)
    windows = pad(x, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)  # (B, C, top, left, H, W), a view
    return windows[_samples(x), :, top, left]


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images `(B, C, H, W)`, each mirrored left to right with probability 1/2. Any dtype."""
    mirrored = _draw(_images(x, "flip"), generator, 2).bool()
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def time_shift(x: Tensor, generator: torch.Generator, *, most: int = 5) -> Tensor:
    """Each sample moved by up to `most` steps to earlier or later; zeros fill the gap.

    Time is the third axis: of spectrograms `(B, C, T, F)` and of series `(B, C, T)`. Any dtype; on uint8 the gap has
    the raw value 0, the lowest of a spectrogram. The default is 100 ms of a spectrogram with a hop of 20 ms.
    """
    start = _draw(x, generator, 2 * most + 1)
    after_time = [0, 0] * (x.ndim - 3)
    windows = pad(x, [*after_time, most, most]).unfold(2, x.shape[2], 1)  # (B, C, start, ..., T), a view
    return windows[_samples(x), :, start].movedim(-1, 2)


def spec_augment(x: Tensor, generator: torch.Generator, *, masks: int = 2, frames: int = 10, bands: int = 8) -> Tensor:
    """Hides `masks` runs of up to `frames` frames, and as many of up to `bands` bands, of spectrograms `(B, C, T, F)`.

    Hidden values are 0, the mean of standardized data. SpecAugment (Park et al., Interspeech 2019) without its time
    warping, which gave the least there.
    """
    if not _images(x, "specaugment").is_floating_point():
        raise UserError(f"specaugment needs standardized data, whose mean is 0, not {x.dtype}")
    hidden_frames = _runs(x, generator, masks, frames, x.shape[2])[:, None, :, None]
    hidden_bands = _runs(x, generator, masks, bands, x.shape[3])[:, None, None, :]
    return x.masked_fill(hidden_frames | hidden_bands, 0)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "crop": crop,
    "flip": flip,
    "shift": time_shift,
    "specaugment": spec_augment,
}


def _runs(x: Tensor, generator: torch.Generator, masks: int, longest: int, length: int) -> Tensor:
    """Where each sample is hidden along an axis of `length`, `(B, length)` bool.

    A run's length is uniform on 0 to `longest`, and so is its place among those where it fits.
    """
    size = (len(x), masks, 1)
    lengths = torch.randint(min(longest, length) + 1, size, generator=generator)
    starts = (torch.rand(size, generator=generator) * (length - lengths + 1)).long()
    steps = torch.arange(length)
    return ((steps >= starts) & (steps < starts + lengths)).any(dim=1).to(x.device)


def _draw(x: Tensor, generator: torch.Generator, values: int) -> Tensor:
    """A whole number below `values` for each sample, `(B,)`."""
    return torch.randint(values, (len(x),), generator=generator).to(x.device)


def _samples(x: Tensor) -> Tensor:
    return torch.arange(len(x), device=x.device)


def _images(x: Tensor, name: str) -> Tensor:
    if x.ndim != 4:
        raise UserError(f"{name} takes (B, C, H, W), but the batch is {tuple(x.shape)}: leave {name} out")
    return x
