"""A budget is kept exactly: never exceeded by a bit of a float, never unused for one."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pppl.backbones import build, spec_for
from pppl.deploy.limit import Limit
from pppl.pruning import BasisCost, CostModel, budget_masks, convolutions
from pppl.pruning.budget import Costs
from pppl.system.errors import UserError

NETWORK = build(spec_for("convnet", {"widths": (7, 9, 11)}, (2, 9, 9), 3)).eval()
COST = CostModel(NETWORK, (2, 9, 9))
BASIS = BasisCost(NETWORK, COST)
RANKS = [min(conv.out_channels, conv.weight[0].numel()) for conv in convolutions(NETWORK).values()]


def _cost(costs: Costs, widths: list[int], unit: str) -> Fraction:
    return Fraction(getattr(costs(widths), unit), getattr(COST.full, unit))  # type: ignore[operator]


@pytest.mark.parametrize(("costs", "full"), [(COST, [7, 9, 11]), (BASIS, RANKS)], ids=["channels", "basis"])
@pytest.mark.parametrize("unit", ["macs", "params"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 9999), budget=st.floats(0.35, 1))
@example(seed=0, budget=1 / 3 + 1 / 3)
@example(seed=1, budget=0.1 + 0.2 + 0.1)
@example(seed=2, budget=0.123456789123456789 * 4)
def test_what_just_fits_is_kept_and_one_bit_less_is_not(
    costs: Costs, full: list[int], unit: str, seed: int, budget: float
):
    scores = list(torch.rand(sum(full), generator=torch.Generator().manual_seed(seed)).split(full))

    def kept(within: float) -> list[int]:
        return [int(mask.sum()) for mask in budget_masks(scores, costs, within, unit=unit)]

    widths = kept(budget)
    exact = _cost(costs, widths, unit)
    assert float(exact) <= budget
    assert float(costs.fraction(np.array(widths), unit)) == float(exact)  # as the table tells it
    assert kept(float(exact)) == widths
    if exact > _cost(costs, [1] * len(full), unit):
        assert _cost(costs, kept(math.nextafter(float(exact), 0)), unit) < exact


@pytest.mark.parametrize("budget", [1e-6, 1e-12, 0.0450999999999])
def test_the_least_budget_that_is_told_is_possible(budget: float):
    scores = [torch.rand(width) for width in NETWORK.widths]
    for unit in ("macs", "params"):
        least = float(COST.fraction([1, 1, 1], unit))
        with pytest.raises(UserError) as error:
            budget_masks(scores, COST, min(budget, math.nextafter(least, 0)), unit=unit)
        told = float(str(error.value).rsplit(" ", 1)[1])
        assert least <= told <= 1.1 * least
        assert [int(mask.sum()) for mask in budget_masks(scores, COST, told, unit=unit)] == [1, 1, 1]


class _Tiny:
    """Costs next to nothing with one channel."""

    def fraction(self, widths: np.ndarray, unit: str = "macs") -> np.ndarray:
        return np.where(widths.sum(-1) > 1, 1.0, 0.00010000000000000002)


def test_the_least_budget_is_told_where_four_decimals_are_too_few():
    with pytest.raises(UserError) as error:
        budget_masks([torch.rand(3)], _Tiny(), 5e-5)
    told = float(str(error.value).rsplit(" ", 1)[1])
    assert [int(mask.sum()) for mask in budget_masks([torch.rand(3)], _Tiny(), told)] == [1]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.001MB", 1_001_000), ("4.35kB", 4350), ("0.007kB", 7), ("8.2kB", 8200), ("0.1params", 0.1), ("0.3", 0.3)],
)
def test_limits_are_whole_bytes_and_fractions_as_written(text: str, value: float):
    assert Limit.parse(text).value == value
