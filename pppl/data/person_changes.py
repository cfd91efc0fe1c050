"""Changes that a person keeps over all their samples: training draws them to make people who differ more.

A change is a function of standardized samples `(B, C, ...)` and of amounts `(B, n)` between -1 and 1. All samples of a
synthetic person have the same amounts. In batches without persons each sample has its own, so that every network sees
the same variety. How far each change goes is our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..system.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PersonChange:
    """A change of samples, and how many amounts it takes for each."""

    apply: Callable[[Tensor, Tensor], Tensor]
    amounts: int

    def __call__(self, x: Tensor, generator: torch.Generator, whose: Tensor | None = None) -> Tensor:
        """Return changed samples, with random amounts.

        **Arguments:**

        - `x`: standardized samples, `(B, C, ...)`.
        - `generator`: on the CPU.
        - `whose`: `(B,)`, index of the person of each sample; by default, each sample is somebody else's.
        """
        people = len(x) if whose is None else int(whose.max()) + 1
        drawn = (2 * torch.rand(people, self.amounts, generator=generator) - 1).to(x.device)
        return self.apply(x, drawn if whose is None else drawn[whose])


def voice(x: Tensor, amounts: Tensor) -> Tensor:
    """Change the speaker of spectrograms `(B, 1, T, F)`: their tempo, the length of their vocal tract, and the room.

    The tempo changes by up to a fifth. A vocal tract moves formants by up to 15 %, as people differ (Jaitly, Hinton
    2013 warp by up to 10 %); bands are moved in proportion to their index. A smooth curve over the bands, up to 0.7
    standard deviations, stands for the microphone and the room.

    >>> voice(torch.randn(2, 1, 49, 40), torch.zeros(2, 6)).shape
    torch.Size([2, 1, 49, 40])
    """
    if x.ndim != 4 or x.shape[1] != 1:
        raise UserError(f"voice takes spectrograms (B, 1, T, F), but the batch is {tuple(x.shape)}: leave voice out")
    frames, bands = x.shape[2:]
    time = _scaled(frames, 1.2 ** amounts[:, 0], middle=True)  # (B, T)
    band = _scaled(bands, 1.15 ** amounts[:, 1], middle=False)  # (B, F)
    curve = F.interpolate(amounts[:, None, 2:6], bands, mode="linear", align_corners=True)  # (B, 1, F)
    return _at(x, time[:, :, None].expand(-1, -1, bands), band[:, None].expand(-1, frames, -1)) + 0.7 * curve[:, None]


def hand(x: Tensor, amounts: Tensor) -> Tensor:
    """Change the writer of images `(B, C, H, W)`: slant, angle, width, height and the thickness of strokes.

    Letters lean by up to 0.3 of their height, turn by up to 0.2 radians and change their size by up to a fifth.
    Strokes get up to a pixel thicker or thinner.

    >>> hand(torch.randn(2, 1, 28, 28), torch.zeros(2, 5)).shape
    torch.Size([2, 1, 28, 28])
    """
    if x.ndim != 4:
        raise UserError(f"hand takes images (B, C, H, W), but the batch is {tuple(x.shape)}: leave hand out")
    slant, angle = 0.3 * amounts[:, 0], 0.2 * amounts[:, 1]
    wide, high = 1.2 ** amounts[:, 2], 1.2 ** amounts[:, 3]
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [torch.stack([wide * cos, -high * (sin - slant), none], 1), torch.stack([wide * sin, high * cos, none], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [*x.shape], align_corners=True)
    moved = F.grid_sample(x, grid, padding_mode="border", align_corners=True)
    thicker, thinner = F.max_pool2d(moved, 3, 1, 1), -F.max_pool2d(-moved, 3, 1, 1)
    more = amounts[:, 4, None, None, None]
    return moved + more.clamp(min=0) * (thicker - moved) + (-more).clamp(min=0) * (thinner - moved)


def wear(x: Tensor, amounts: Tensor) -> Tensor:
    """Change the wearer of a sensor, whose series are `(B, C, T)`: its position, their strength and their tempo.

    Every three channels are the axes of one sensor, which turns by up to 0.5 radians about each axis. Strength and
    tempo change by up to a fifth.

    >>> wear(torch.randn(2, 6, 128), torch.zeros(2, 5)).shape
    torch.Size([2, 6, 128])
    """
    if x.ndim != 3 or x.shape[1] % 3:
        raise UserError(f"wear takes (B, C, T), three channels a sensor, not {tuple(x.shape)}: leave wear out")
    moved = x.unflatten(1, (-1, 3)).movedim(2, -1)  # (B, S, T, 3)
    turned = (moved @ _rotations(0.5 * amounts[:, :3])[:, None]).movedim(-1, 2).flatten(1, 2)
    time = _scaled(x.shape[2], 1.2 ** amounts[:, 4], middle=True)[:, None]  # (B, 1, T)
    paced = _at(turned[:, :, None], torch.zeros_like(time), time)[:, :, 0]
    return paced * (1.2 ** amounts[:, 3])[:, None, None]


PERSON_CHANGES: dict[str, PersonChange] = {
    "voice": PersonChange(apply=voice, amounts=6),
    "hand": PersonChange(apply=hand, amounts=5),
    "wear": PersonChange(apply=wear, amounts=5),
}


def _scaled(size: int, factors: Tensor, *, middle: bool) -> Tensor:
    """Return the places to read along an axis of `size`, `(B, size)`, from 0 to 1: scaled about its middle or start."""
    at = torch.linspace(0, 1, size, device=factors.device)
    fixed = 0.5 if middle else 0.0
    return fixed + (at - fixed) * factors[:, None]


def _at(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the values of `(B, C, H, W)` at places from 0 to 1, `(B, H, W)` each, linearly interpolated."""
    grid = torch.stack([columns, rows], -1) * 2 - 1
    return F.grid_sample(x, grid, padding_mode="border", align_corners=True)


def _rotations(angles: Tensor) -> Tensor:
    """Return the rotations, `(B, 3, 3)`, about an axis each by the length of `angles`, `(B, 3)`."""
    a, b, c = angles.unbind(1)
    none = torch.zeros_like(a)
    crossed = torch.stack([none, -c, b, c, none, -a, -b, a, none], 1).view(-1, 3, 3)
    return torch.linalg.matrix_exp(crossed)
