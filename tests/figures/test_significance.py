import numpy as np
import pandas as pd
import pytest

from pppl.figures.significance import clear_best, p_value
from pppl.tables.summary import summarize

RNG = np.random.default_rng(0)


def _rows(accuracies: np.ndarray, people: int = 20) -> pd.DataFrame:
    """Of several seeds, `(seeds, people)`."""
    rows = [
        {"seed": seed, "identity": f"{person % people}:yes+no", "score": accuracy}
        for seed, of_seed in enumerate(accuracies)
        for person, accuracy in enumerate(of_seed)
    ]
    return pd.DataFrame(rows)


def test_only_a_difference_beyond_chance_is_clear():
    noise = RNG.normal(0, 0.02, (3, 20))
    one, near, far = (_rows(0.8 + noise), _rows(0.799 + noise[:, ::-1]), _rows(0.7 + noise[:, ::-1]))
    assert clear_best({"far": far, "one": one}) == "one"
    assert clear_best({"near": near, "one": one, "far": far}) is None, "the next is what counts"
    assert clear_best({"one": one}) is None, "better than nothing"


def test_more_methods_ask_for_more():
    """Six people who all gain have p = 0.03, which is not enough among many."""
    best, next_ = _rows(np.linspace(0.8, 0.9, 6)[None], 6), _rows(np.linspace(0.7, 0.85, 6)[None], 6)
    assert p_value(best, next_) == pytest.approx(2 / 2**6)
    assert clear_best({"best": best, "next": next_}) == "best"
    others = {f"other {at}": _rows(np.linspace(0.5, 0.6, 6)[None], 6) for at in range(3)}
    assert clear_best({"best": best, "next": next_} | others) is None


def test_p_values_are_those_of_the_summary():
    """`summary.csv` tests `ppp` against everything else: words and seeds of a person are averaged there as here."""
    common = {"dataset": "d", "backbone": "b", "persons": "person+2 classes", "seen": True, "budget": 0.1}
    one, other = (_rows(RNG.random((3, 30)), people=10) for _ in range(2))
    for seed in range(3):  # each person has words of several kinds
        one.loc[(one["seed"] == seed), "identity"] += [f"+{word}" for word in range(30)]
    other["identity"] = one["identity"]
    frames = [one.assign(method="ppp", control="own", **common), other.assign(method="l1", control="", **common)]
    summary = summarize(pd.concat(frames, ignore_index=True))
    assert summary.loc[summary["method"] == "l1", "wilcoxon_p"].item() == pytest.approx(p_value(one, other))
    assert p_value(one, one) == 1
