"""From a score per channel to the channels that stay."""

from collections.abc import Sequence
from math import ceil
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError


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
    device = scores[0].device
    arrays = [score.detach().cpu().double().numpy() for score in scores]
    flat = np.concatenate(arrays)
    layer = np.repeat(np.arange(len(arrays)), [len(a) for a in arrays])
    order = np.argsort(-flat, kind="stable")
    candidates = layer[order[: np.count_nonzero(flat > -np.inf)]]
    full = np.array([len(a) for a in arrays])
    # Row n: channels per layer when the best n of all are wanted; no column ever decreases.
    wanted = np.zeros((len(candidates) + 1, len(full)), np.int64)
    np.cumsum(candidates[:, None] == np.arange(len(full)), axis=0, out=wanted[1:])
    rounded = np.maximum(wanted // round_to * round_to, np.minimum(round_to, full))
    widths = np.where(wanted == full, full, rounded)
    fractions = cost.fraction(widths, unit)
    if fractions[0] > budget:
        least = f"{ceil(fractions[0] * 1e4) / 1e4:g}"
        raise UserError(
            f"budget {budget:g} is too small: the smallest network, {_channels(round_to)} per layer, takes "
            f"{least} of the {unit}; the least possible budget is {least}"
        )
    kept = widths[np.count_nonzero(fractions <= budget) - 1]
    return [torch.from_numpy(_best(a, int(k))).to(device) for a, k in zip(arrays, kept, strict=True)]


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(len(scores), bool)
    mask[np.argsort(-scores, kind="stable")[:count]] = True
    return mask
