from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pppl.figures import render
from pppl.figures.sweeps import contour, history, parallel, pareto
from pppl.system.errors import UserError


@pytest.fixture
def trials() -> pd.DataFrame:
    """The third is best but fails a constraint, the fourth was ended early."""
    return pd.DataFrame(
        {
            "trial": range(6),
            "state": ["complete"] * 3 + ["pruned"] + ["complete"] * 2,
            "score": [0.5, 0.7, 0.9, np.nan, 0.6, 0.8],
            "own_minus_other": [0.3, 0.3, 0.0, np.nan, 0.3, 0.3],
            "macs_fraction": [0.1, 0.3, 0.4, np.nan, 0.2, 0.5],
            "feasible": [True, True, False, False, True, True],
            "best": [False] * 5 + [True],
            "pareto": [True, True, False, False, True, True],
            "seconds": [1.0] * 6,
            "ppp.target_rate": [0.1, 0.2, 0.3, 0.4, 0.5, 0.35],
            "ppp.target_weight": [0.1, 1.0, 10.0, 3.0, 0.3, 2.0],
        }
    )


def test_the_best_so_far_keeps_to_constraints(trials: pd.DataFrame):
    ax = history(trials, Figure().subplots())
    of = {str(line.get_label()): line for line in ax.get_lines()}
    assert np.asarray(of["best so far"].get_ydata()).tolist() == [0.5, 0.7, 0.7, 0.8, 0.8]
    assert np.asarray(of["constraints fail"].get_xdata()).tolist() == [2]
    assert np.asarray(of["ended early"].get_xdata()).tolist() == [3]


def test_ticks_between_whole_percents_are_not_rounded(trials: pd.DataFrame):
    ax = history(trials.assign(score=0.9 + trials["score"] / 10), Figure().subplots())
    ax.set_yticks([0.95, 0.975])
    ax.figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["95 %", "97.5 %"]


def test_the_front_is_drawn_from_left_to_right(trials: pd.DataFrame):
    front = pareto(trials, Figure().subplots()).get_lines()[1]
    assert np.asarray(front.get_xdata()).tolist() == [0.1, 0.2, 0.3, 0.5]


def test_settings_of_many_orders_are_shown_by_their_logarithm(trials: pd.DataFrame):
    figure = Figure()
    ax = contour(trials, ["ppp.target_rate", "ppp.target_weight"], figure.subplots())
    figure.draw_without_rendering()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.1", "0.3", "1", "3", "10"]
    assert ax.get_xlabel() == "target_rate"
    (points,) = ax.collections
    assert len(np.asarray(points.get_offsets())) == len(trials[trials["state"] == "complete"]), "and no surface"


def test_a_line_is_a_trial(trials: pd.DataFrame):
    lines = parallel(trials, Figure().subplots()).get_lines()
    assert np.asarray(lines[0].get_ydata()).tolist() == pytest.approx([0, 0]), "the worst is the furthest behind"
    best = [line for line in lines if line.get_linewidth() == 1.6 and len(np.asarray(line.get_ydata()))]
    assert np.asarray(best[0].get_ydata()).tolist() == pytest.approx([0.625, np.log10(20) / 2])


def test_a_sweep_folder_is_drawn_again(trials: pd.DataFrame, tmp_path: Path):
    trials.to_csv(tmp_path / "trials.csv", index=False)
    assert {path.stem for path in render(tmp_path)} == {"history", "pareto", "contour", "parallel"}
    trials.drop(columns="score").to_csv(tmp_path / "trials.csv", index=False)
    with pytest.raises(UserError, match=r"trials.csv is corrupted: it has no column 'score'"):
        render(tmp_path)


def test_names_have_places_of_their_own(trials: pd.DataFrame, tmp_path: Path):
    trials["onda.scope"] = ["local", "global"] * 3
    ax = parallel(trials, Figure().subplots())
    assert {"global", "local"} <= {text.get_text() for text in ax.texts}
    best = next(line for line in ax.get_lines() if line.get_linewidth() == 1.6)
    assert np.asarray(best.get_ydata(), float).ravel()[2] == 0.0, "global"
    figure = Figure()
    ax = contour(trials, ["onda.scope", "ppp.target_weight"], figure.subplots())
    figure.draw_without_rendering()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["global", "local"]
    trials.to_csv(tmp_path / "trials.csv", index=False)
    assert {path.stem for path in render(tmp_path)} == {"history", "pareto", "contour", "parallel"}
