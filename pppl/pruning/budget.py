"""Masks from one score per channel, by a threshold or a budget."""

from collections.abc import Sequence
from math import ceil
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError

# Infinite scores are clipped to this size before two of them are averaged.
_FAR = 1e30


class Costs(Protocol):
    """The cost of a network as a function of its widths."""

    def fraction(self, widths: np.ndarray, unit: str = "macs") -> np.ndarray:
        """Return the cost relative to the full network's, for each row of widths, `(..., L)`.

        The cost must not fall when channels are added.
        """
        ...


def threshold_masks(scores: Sequence[Tensor], threshold: float = 0.5) -> list[Tensor]:
    """Keep the channels that score at least `threshold`, and the best one of a group in which none does.

    `scores` and the result are per group, `(C_l,)`; the result is boolean.

    >>> threshold_masks([torch.tensor([0.9, 0.1]), torch.tensor([0.2, 0.3])])
    [tensor([ True, False]), tensor([False,  True])]
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
    """Keep the channels with the highest scores over the whole network, as many as fit the budget.

    Every group keeps a multiple of `round_to` channels, or all of them, and never none. Channels that score `-inf` stay
    out unless a group needs them for this minimum.

    **Arguments:**

    - `scores`: per group, `(C_l,)`, comparable between groups.
    - `cost`: cost of the network, such as a `CostModel`.
    - `budget`: fraction of the full network's cost, in (0, 1].
    - `unit`: `macs` or `params`.

    **Returns:** per group, `(C_l,)`, boolean.

    Raise `UserError` if even the smallest network exceeds the budget.

    ```python
    masks = budget_masks(scores, CostModel(network, (3, 32, 32)), budget=0.2)
    ```
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
    """Return the masks of `budget_masks` for many people at once, each with a budget of their own.

    **Arguments:**

    - `scores`: `(P, D)`, the channels of all groups side by side.
    - `widths`: number of channels of each group.
    - `budgets`: `(P,)`, fractions of the full network's cost.

    **Returns:** masks, `(P, D)` boolean, and the score at which each person's channels were cut, `(P,)`. It lies
    half-way between the last channel that was wanted and the first that was not.
    """
    values = scores.detach().cpu().double().numpy()  # (P, D)
    order = np.argsort(-values, axis=1, kind="stable")
    full, layer = np.asarray(widths), np.repeat(np.arange(len(widths)), widths)
    # Entry n holds the channels per layer if the best n of all are wanted. It never falls as n grows.
    wanted = np.zeros((len(values), values.shape[1] + 1, len(full)), np.int64)
    np.cumsum(layer[order][..., None] == np.arange(len(full)), axis=1, out=wanted[:, 1:])
    rounded = np.maximum(wanted // round_to * round_to, np.minimum(round_to, full))
    kept = np.where(wanted == full, full, rounded)  # (P, D + 1, L)
    fractions = cost.fraction(kept, unit)  # (P, D + 1)
    if (over := fractions[:, 0] > budgets).any():
        least = f"{_rounded_up(float(fractions[0, 0])):g}"
        raise UserError(
            f"budget {budgets[over][0]:.10g} is too small: the smallest network, {_channels(round_to)} per layer, "
            f"takes {least} of the {'MACs' if unit == 'macs' else 'parameters'}; the least possible budget is {least}"
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
    """Return `fraction` rounded up to four decimals, or to more if four would raise it by more than a tenth."""
    digits = 4
    while (rounded := ceil(fraction * 10**digits) / 10**digits) < fraction or rounded > 1.1 * fraction:
        digits += 1
    return rounded


def _best(values: np.ndarray, full: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return masks, `(P, D)`, of the best channels in each row: of every layer as many as `chosen`, `(P, L)`, says."""
    ends = np.cumsum(full)
    masks = []
    for index, (end, width) in enumerate(zip(ends, full, strict=True)):
        rank = np.argsort(np.argsort(-values[:, end - width : end], axis=1, kind="stable"), axis=1, kind="stable")
        masks.append(rank < chosen[:, index, None])
    return np.concatenate(masks, axis=1)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
