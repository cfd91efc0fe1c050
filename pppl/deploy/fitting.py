"""A search for the budget that meets a limit, and the choice of the multiple of channels that suits a machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..personalizers import PersonalModel
from ..system.errors import UserError

# Multiples of channels to try, and the fraction of the best speed per MAC at which a smaller multiple is preferred.
ROUNDINGS = (1, 4, 8, 16, 32)
_NEARLY_BEST = 0.99
# The search for a limit in ms stops when this fraction of the limit is used, or after this many trials.
_LEAST_USE, _TRIES = 0.95, 8
_STEPS = 16  # of the bisection over fractions of the parameters

# A function that makes the personal model of a budget. It raises `UserError` if a layer cannot keep a channel.
Make = Callable[[float], PersonalModel]


def fit_bytes(make: Make, size: Callable[[PersonalModel], int], limit: float) -> PersonalModel:
    """Return the largest model whose file has at most `limit` bytes, by bisection over the fraction of parameters.

    ```python
    fit_bytes(make, lambda model: len(person.file(model.module).to_bytes()), limit=40_000)
    ```

    **Arguments:**

    - `make`: a function from a fraction of the parameters to a model.
    - `size`: a function that returns the bytes of a model's file.

    Raise `UserError` if no file is small enough.
    """
    whole = make(1.0)
    if (least := size(whole)) <= limit:
        return whole
    low, high, best = 0.0, 1.0, None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        try:
            model = make(middle)
        except UserError:  # less than one channel in some layer
            low = middle
            continue
        if size(model) <= limit:
            low, best = middle, model
        else:
            high, least = middle, size(model)
    if best is None:
        raise UserError(f"budget of {limit:g} bytes is too small: the smallest file found takes {least:,} bytes")
    return best


def fit_latency(
    make: Make,
    milliseconds: Callable[[PersonalModel], float],
    limit: float,
    full: float,
    *,
    explain: Callable[[], str] = lambda: "",
) -> PersonalModel:
    """Return the largest model found that takes at most `limit` ms.

    The search interpolates between measurements, since latency is nearly linear in MACs. It stops at a model that takes
    at least 0.95 of the limit, or after 8 trials.

    ```python
    fit_latency(make, measure, limit=2.5, full=measure(make(1.0)))
    ```

    **Arguments:**

    - `make`: a function from a fraction of the MACs to a model.
    - `milliseconds`: a function that measures a model.
    - `full`: milliseconds of the full network.
    - `explain`: a function that returns what else to say if the limit cannot be met, such as what takes the time.

    Raise `UserError` if even the smallest network tried takes longer.
    """
    if full <= limit:
        return make(1.0)
    slower, faster, best = (1.0, full), (0.0, 0.0), None
    for _ in range(_TRIES):
        (low, fast), (high, slow) = faster, slower
        target = limit * (1 + _LEAST_USE) / 2
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
        if took >= _LEAST_USE * limit:
            break
    if best is None:
        took = f"the smallest network tried takes {slower[1]:.3g} ms"
        raise UserError(f"budget of {limit:g} ms cannot be met: {took}{explain()}")
    return best


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """The multiple of channels that layers keep, and the reason for it."""

    round_to: int
    reason: str


def choose_rounding(made: Sequence[tuple[int, float]]) -> Rounding:
    """Choose the smallest multiple whose speed per MAC is at most 1 % below the best.

    >>> choose_rounding([(1, 0.6), (4, 0.795), (8, 0.8)]).round_to
    4

    **Arguments:**

    - `made`: each multiple tried, ascending, with its speed-up divided by the speed-up that its MACs promise.
    """
    best = max(share for _, share in made)
    chosen, own = next((multiple, share) for multiple, share in made if share >= _NEARLY_BEST * best)
    others = ", ".join(f"{multiple}: {share:.0%}" for multiple, share in made)
    reason = f"layers keep multiples of {chosen} channels, {own:.0%} of the speed-up that the MACs promise ({others})"
    return Rounding(round_to=chosen, reason=reason)
