"""From a score per channel to the channels that stay."""

from collections.abc import Sequence
from math import ceil
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError

# Where scores without end are cut.
_FAR = 1e30


class Costs(Protocol):
    """What a network costs with so many channels."""

    def fraction(self, widths: np.ndarray, unit: str = "macs") -> np.ndarray:
        """Cost relative to the full network's of each row of `(N, L)`; no more channels cost less."""
        ...


def threshold_masks(scores: Sequence[Tensor], threshold: float = 0.5) -> list[Tensor]:
    """Keeps the channels that score at least `threshold`, and the best one of a layer where none does.

    `scores` and the result: per group, `(C_l,)`; the result is boolean.
    """
    masks = []
    for score in scores:
        mask = score >= threshold
        mask[score.argmax()] = True
        masks.append(mask)
    return masks


def budget_masks(
    scores: Sequence[Tensor], cost: Costs, budget: float, *, unit: str = "macs", round_to: int = 1
) -> list[Tensor]:
    """Keeps the channels that score highest over the whole network, as many as the budget allows.

    Layers keep a multiple of `round_to` channels (or all), and never none. Channels that score `-inf` stay out.

    **Arguments:**

    - `scores`: per group, `(C_l,)`, comparable between groups.
    - `budget`: fraction of the full network's cost, in (0, 1].
    - `unit`: `macs` or `params`.

    **Returns:** per group, `(C_l,)`, boolean. Raises `UserError` where even the smallest network is over the budget.
    """
    widths, flat = [len(score) for score in scores], torch.cat([*scores])[None]
    masks, _ = masks_within(flat, widths, cost, np.array([budget]), unit=unit, round_to=round_to)
    return list(masks[0].split(widths))


def masks_within(
    scores: Tensor,
    widths: Sequence[int],
    cost: Costs,
    budgets: np.ndarray,
    *,
    unit: str = "macs",
    round_to: int = 1,
) -> tuple[Tensor, Tensor]:
    """The masks that `budget_masks` makes, of many people at once, each with a budget of their own.

    **Arguments:**

    - `scores`: `(P, D)`, all groups side by side, `widths` channels of each.
    - `budgets`: `(P,)`.

    **Returns:** masks, `(P, D)` boolean, and where each person's scores were cut, `(P,)`: half-way between the last
    channel that was wanted and the first that was not.
    """
    values = scores.detach().cpu().double().numpy()  # (P, D)
    order = np.argsort(-values, axis=1, kind="stable")
    full, layer = np.asarray(widths), np.repeat(np.arange(len(widths)), widths)
    # Entry n: channels per layer when the best n of all are wanted; none ever decreases.
    wanted = np.zeros((len(values), values.shape[1] + 1, len(full)), np.int64)
    np.cumsum(layer[order][..., None] == np.arange(len(full)), axis=1, out=wanted[:, 1:])
    rounded = np.maximum(wanted // round_to * round_to, np.minimum(round_to, full))
    kept = np.where(wanted == full, full, rounded)  # (P, D + 1, L)
    fractions = cost.fraction(kept, unit)  # (P, D + 1)
    if (over := fractions[:, 0] > budgets).any():
        least = f"{_rounded_up(float(fractions[0, 0])):g}"
        raise UserError(
            f"budget {budgets[over][0]:.10g} is too small: the smallest network, {_channels(round_to)} per layer, "
            f"takes {least} of the {unit}; the least possible budget is {least}"
        )
    candidates = np.count_nonzero(values > -np.inf, axis=1)
    count = np.minimum(np.count_nonzero(fractions <= budgets[:, None], axis=1) - 1, candidates)  # (P,)
    chosen = np.take_along_axis(kept, count[:, None, None], 1)[:, 0]  # (P, L)
    masks = _best(values, full, chosen)
    ranked = np.take_along_axis(values, order, 1)
    last = np.stack([np.maximum(count - 1, 0), np.minimum(count, values.shape[1] - 1)], 1)
    cut = np.clip(np.take_along_axis(ranked, last, 1), -_FAR, _FAR).mean(1)
    return torch.from_numpy(masks).to(scores.device), torch.from_numpy(cut).to(scores)


def _rounded_up(fraction: float) -> float:
    """A short number that is no less: of four decimals, or of more where these would be too many or too few."""
    digits = 4
    while (rounded := ceil(fraction * 10**digits) / 10**digits) < fraction or rounded > 1.1 * fraction:
        digits += 1
    return rounded


def _best(values: np.ndarray, full: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """For each row of `(P, D)` the `chosen`, `(P, L)`, best channels of every layer."""
    ends = np.cumsum(full)
    masks = []
    for index, (end, width) in enumerate(zip(ends, full, strict=True)):
        rank = np.argsort(np.argsort(-values[:, end - width : end], axis=1, kind="stable"), axis=1, kind="stable")
        masks.append(rank < chosen[:, index, None])
    return np.concatenate(masks, axis=1)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
