"""Limits are read and met, and multiples of channels chosen for a reason."""

from types import SimpleNamespace
from typing import Any

import pytest

from pppl.deploy import timing
from pppl.deploy.fitting import choose_rounding, fit_bytes, fit_latency
from pppl.deploy.limit import Limit
from pppl.deploy.timing import speed_ups, time_in_turns
from pppl.system.errors import UserError


@pytest.mark.parametrize(
    ("text", "value", "unit", "told"),
    [
        ("0.25", 0.25, "macs", "0.25 of the MACs"),
        ("1", 1.0, "macs", "1 of the MACs"),
        (".5 params", 0.5, "params", "0.5 of the parameters"),
        ("40kB", 40_000, "bytes", "40000 bytes"),
        ("1.5MB", 1_500_000, "bytes", "1.5e+06 bytes"),
        ("2.5ms", 2.5, "ms", "2.5 ms"),
    ],
)
def test_a_limit_is_a_number_with_a_unit(text: str, value: float, unit: str, told: str):
    limit = Limit.parse(text)
    assert (limit.value, limit.unit, str(limit)) == (value, unit, told)


@pytest.mark.parametrize("text", ["", "25%", "1.5", "0", "2params", "-1", "3 KB", "fast", "0ms", "nan"])
def test_a_limit_that_cannot_be_is_refused(text: str):
    with pytest.raises(UserError, match="budget"):
        Limit.parse(text)


def _made(budget: float) -> Any:
    if budget < 0.05:
        raise UserError("budget is too small")
    return SimpleNamespace(budget=budget)


def test_the_largest_model_that_fits_the_bytes_is_found():
    def size(model: Any) -> int:
        return 1000 + int(10_000 * model.budget)

    assert size(fit_bytes(_made, size, 3000)) == pytest.approx(3000, abs=2)
    assert fit_bytes(_made, size, 20_000).budget == 1
    with pytest.raises(UserError, match="1200 bytes is too small: the smallest file found takes"):
        fit_bytes(_made, size, 1200)


@pytest.mark.parametrize("limit", [2.0, 3.0, 5.0, 9.9])
@pytest.mark.parametrize("bend", [0.7, 1.0, 1.4])
def test_a_latency_is_met_from_below_by_few_measurements(limit: float, bend: float):
    asked: list[float] = []

    def milliseconds(model: Any) -> float:
        asked.append(model.budget)
        return 0.4 + 10 * model.budget**bend

    model = fit_latency(_made, milliseconds, limit, full=10.4)
    assert 0.9 * limit <= 0.4 + 10 * model.budget**bend <= limit
    assert len(asked) <= 8


def test_a_latency_that_cannot_be_met_is_refused_and_one_that_is_met_anyway_prunes_nothing():
    def milliseconds(model: Any) -> float:
        return 1 + 10 * model.budget

    assert fit_latency(_made, milliseconds, 20.0, full=11.0).budget == 1
    with pytest.raises(UserError, match=r"0\.5 ms cannot be met"):
        fit_latency(_made, milliseconds, 0.5, full=11.0)
    with pytest.raises(UserError, match=r"the smallest network tried takes .* ms, log-mel alone 0\.9 ms$"):
        fit_latency(_made, milliseconds, 0.5, full=11.0, explain=lambda: ", log-mel alone 0.9 ms")


def test_the_smallest_multiple_that_is_nearly_the_best_per_mac_is_chosen():
    rounding = choose_rounding([(1, 0.6), (4, 0.79), (8, 0.805), (16, 0.81)])
    assert rounding.round_to == 8
    assert rounding.reason == (
        "layers keep multiples of 8 channels, 80% of the speed-up that the MACs promise "
        "(1: 60%, 4: 79%, 8: 80%, 16: 81%)"
    )


def test_calls_are_timed_in_turns_and_the_first_of_a_few_is_left_out():
    order: list[str] = []
    took = time_in_turns({name: lambda name=name: order.append(name) for name in "ab"}, runs=10, warm_up=1)
    assert "".join(order) == "ab" + ("a" * 6 + "b" * 6) * 2
    assert all(each.low <= each.median <= each.high for each in took.values())


def test_what_else_a_machine_does_changes_no_speed_up(monkeypatch: pytest.MonkeyPatch):
    """A machine that becomes slower and slower, and does something else in two of three calls."""
    now, calls = 0.0, 0

    def call(seconds: float) -> None:
        nonlocal now, calls
        calls += 1
        now += seconds * (1 + calls / 10_000) + 0.02 * (calls % 3 > 0)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    found = speed_ups({"full": lambda: call(8e-3), "own": lambda: call(2e-3), "small": lambda: call(1e-3)}, "full")
    assert found == {"own": pytest.approx(4, rel=0.01), "small": pytest.approx(8, rel=0.01)}
    medians = time_in_turns({"full": lambda: call(8e-3), "own": lambda: call(2e-3)})
    assert medians["full"].median < 2 * medians["own"].median
