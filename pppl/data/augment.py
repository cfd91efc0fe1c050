"""Random augmentation of training batches, vectorized over the batch.

Each function takes a batch on any device and a generator on the CPU. So the same seed gives the same changes on every
device. Shape and dtype do not change.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..system.errors import UserError


def crop(x: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Pad images `(B, C, H, W)` with zeros and cut out a random crop of the original size.

    This is the recipe of He et al., Deep Residual Learning, CVPR 2016, section 4.2. Any dtype is allowed; on uint8 the
    padding is black.

    >>> crop(torch.ones(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """
    height, width = _images(x, "crop").shape[-2:]
    top, left = _draw(x, generator, 2 * padding + 1), _draw(x, generator, 2 * padding + 1)
    windows = pad(x, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)  # (B, C, top, left, H, W), a view
    return windows[_samples(x), :, top, left]


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each of the images `(B, C, H, W)` left to right with probability 1/2. Any dtype is allowed."""
    mirrored = _draw(_images(x, "flip"), generator, 2).bool()
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def time_shift(x: Tensor, generator: torch.Generator, *, most: int = 5) -> Tensor:
    """Shift each sample in time by up to `most` steps, earlier or later; zeros fill the gap.

    Time is the third axis of spectrograms `(B, C, T, F)` and of series `(B, C, T)`. Any dtype is allowed. On uint8 the
    gap has the stored value 0, the lowest of a spectrogram. The default is 100 ms if the hop is 20 ms.
    """
    start = _draw(x, generator, 2 * most + 1)
    after_time = [0, 0] * (x.ndim - 3)
    windows = pad(x, [*after_time, most, most]).unfold(2, x.shape[2], 1)  # (B, C, start, ..., T), a view
    return windows[_samples(x), :, start].movedim(-1, 2)


def spec_augment(x: Tensor, generator: torch.Generator, *, masks: int = 2, frames: int = 10, bands: int = 8) -> Tensor:
    """Mask random runs of frames and of bands in spectrograms `(B, C, T, F)`.

    Masked values are 0, the mean of standardized data. This is SpecAugment (Park et al., Interspeech 2019) without time
    warping, which helped the least in that paper.

    **Arguments:**

    - `masks`: number of runs of frames, and number of runs of bands.
    - `frames`, `bands`: greatest length of a run.

    Raise `UserError` if `x` is not four-dimensional or not floating point.
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
    """Draw the masked places along an axis of `length` for each sample, `(B, length)` bool.

    The length of a run is uniform on 0 to `longest`. Its place is uniform among the places where it fits.
    """
    size = (len(x), masks, 1)
    lengths = torch.randint(min(longest, length) + 1, size, generator=generator)
    starts = (torch.rand(size, generator=generator) * (length - lengths + 1)).long()
    steps = torch.arange(length)
    return ((steps >= starts) & (steps < starts + lengths)).any(dim=1).to(x.device)


def _draw(x: Tensor, generator: torch.Generator, values: int) -> Tensor:
    """Draw an integer below `values` for each sample, `(B,)`."""
    return torch.randint(values, (len(x),), generator=generator).to(x.device)


def _samples(x: Tensor) -> Tensor:
    return torch.arange(len(x), device=x.device)


def _images(x: Tensor, name: str) -> Tensor:
    if x.ndim != 4:
        raise UserError(f"{name} takes (B, C, H, W), but the batch is {tuple(x.shape)}: leave {name} out")
    return x
