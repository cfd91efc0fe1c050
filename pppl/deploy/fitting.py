"""From a limit to the budget that meets it, and from a machine to the multiple of channels that it likes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..personalizers import PersonalModel
from ..system.errors import UserError

# Multiples of channels that are tried, and how far behind the best per MAC a smaller one may be to be taken.
ROUNDINGS = (1, 4, 8, 16, 32)
_AS_GOOD = 0.99
# Of a limit in ms: how much of it is used at least, where the search may stop, and how often it measures at most.
_USED, _TRIES = 0.95, 8
_STEPS = 16  # of a bisection over fractions of the parameters

# Makes the personal model of a budget. Raises `UserError` where a layer cannot keep a channel.
Make = Callable[[float], PersonalModel]


def fit_bytes(make: Make, size: Callable[[PersonalModel], int], limit: float) -> PersonalModel:
    """The largest model whose file has at most `limit` bytes, by bisection over the fraction of parameters.

    Raises `UserError` where no file is so small.
    """
    whole = make(1.0)
    if (least := size(whole)) <= limit:
        return whole
    low, high, best = 0.0, 1.0, None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        try:
            model = make(middle)
        except UserError:  # less than one channel per layer
            low = middle
            continue
        if size(model) <= limit:
            low, best = middle, model
        else:
            high, least = middle, size(model)
    if best is None:
        raise UserError(f"budget of {limit:g} bytes is too small: the smallest that was found takes {least:,} bytes")
    return best


def fit_latency(make: Make, milliseconds: Callable[[PersonalModel], float], limit: float, full: float) -> PersonalModel:
    """The model of most MACs that was found to take at most `limit` ms, and at least 0.95 of that where there is one.

    Interpolates between what was measured: milliseconds are nearly a line in MACs.

    **Arguments:**

    - `milliseconds`: measures a model.
    - `full`: milliseconds of the full network.

    Raises `UserError` where even the smallest network takes longer.
    """
    if full <= limit:
        return make(1.0)
    slower, faster, best = (1.0, full), (0.0, 0.0), None
    for _ in range(_TRIES):
        (low, fast), (high, slow) = faster, slower
        target = limit * (1 + _USED) / 2
        budget = low + (high - low) * min(max((target - fast) / (slow - fast), 0.02), 0.98)
        try:
            model = make(budget)
        except UserError:
            if best is None and high - budget < 1e-3:
                break
            faster = (budget, fast)
            continue
        took = milliseconds(model)
        if took > limit:
            slower = (budget, max(took, fast + 1e-6))
            continue
        faster, best = (budget, min(took, slow - 1e-6)), model
        if took >= _USED * limit:
            break
    if best is None:
        raise UserError(f"budget of {limit:g} ms cannot be met: the smallest that was tried takes {slower[1]:.3g} ms")
    return best


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """The multiple of channels to keep, and why."""

    round_to: int
    reason: str


def choose_rounding(made: Sequence[tuple[int, float]]) -> Rounding:
    """The smallest multiple whose speed per MAC is at most 1 % behind that of the best.

    **Arguments:**

    - `made`: of each multiple that was tried the speed-up as a part of what its MACs promise.
    """
    best = max(share for _, share in made)
    chosen, own = next((multiple, share) for multiple, share in made if share >= _AS_GOOD * best)
    others = ", ".join(f"{multiple}: {share:.0%}" for multiple, share in made)
    reason = f"layers keep multiples of {chosen} channels, {own:.0%} of the speed-up that the MACs promise ({others})"
    return Rounding(round_to=chosen, reason=reason)
