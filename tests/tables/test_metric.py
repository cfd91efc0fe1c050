"""Tables of another metric than accuracy: their statistics, figures, LaTeX, pages and notebooks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pppl import Experiment
from pppl.figures import accuracy_figure, gain_figure, render
from pppl.figures.significance import clear_best
from pppl.lab import ResultsFrame
from pppl.report import report
from pppl.report.estimate import Estimate
from pppl.report.terminal import as_text
from pppl.system.files import replacing
from pppl.tables.derived import derive_tables, write_tables
from pppl.tables.journal import COLUMNS
from pppl.tables.metric import ACCURACY, METRICS, Metric, declare_metric, metric_of

_EXPERIMENT = Experiment().replace(reference="ppp", questions={"what gates bring": ["ppp", "l1"]})


def _table(metric: str = "R2", worst: float = -0.6) -> pd.DataFrame:
    """Return rows of two seeds and ten people; some scores of L1 are far below 0."""
    rng, rows = np.random.default_rng(0), []
    series = [("full", "", 0.9), ("l1", "", worst), ("ppp", "own", 0.7), ("ppp", "twin", 0.4), ("ppp", "other", 0.3)]
    for seed in (0, 1):
        for person in range(10):
            for method, control, score in series:
                for budget in (1.0,) if method == "full" else (0.1, 0.25):
                    row: dict[str, Any] = dict.fromkeys(COLUMNS, 0) | {"task": "regression", "metric": metric}
                    row |= {"dataset": "hands", "backbone": "convnet", "persons": "person", "seen": False, "seed": seed}
                    row |= {"identity": f"p{person}", "method": method, "control": control, "budget": budget}
                    row |= {"shots": 5, "macs_fraction": budget, "params_fraction": budget, "score_full": 0.9}
                    row |= {"queries": 30, "artifact_bytes": 5000, "retrain_samples": 10 * (method == "l1")}
                    rows.append(row | {"score": score + 0.1 * budget + 0.02 * rng.standard_normal()})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _write(folder: Path, table: pd.DataFrame, **run: Any) -> None:
    write_tables(folder, table, _EXPERIMENT)
    with replacing(folder / "run.json") as path:
        path.write_text(json.dumps({"config": _EXPERIMENT.to_dict(), "packages": {}, **run}))


def test_values_are_shown_by_their_metric():
    accuracy, r2 = METRICS["accuracy"], METRICS["R2"]
    assert (accuracy.show(0.1234), accuracy.show(-1e-9), accuracy.unit, accuracy.points) == (
        "12.3",
        "0.0",
        " (%)",
        " (points)",
    )
    assert (r2.show(-0.1234), r2.show(-1e-9), r2.unit, r2.points) == ("-0.123", "0.000", "", " (R²)")
    assert r2.spread == (-np.inf, np.inf)
    assert accuracy.spread == (-1, 1)
    assert Estimate(0.012, 0.01, 0.014, r2).against("it") == "0.012 [0.010,\N{NO-BREAK SPACE}0.014] above it"


def test_a_table_without_a_metric_is_of_accuracy_and_that_of_text_tasks_of_scores():
    assert metric_of(pd.DataFrame({"method": ["ppp"]})) is ACCURACY
    assert metric_of(pd.DataFrame({"metric": ["R2", "R2"]})).name == "R2"
    assert metric_of(pd.DataFrame({"encoder": ["mini"], "metric": ["matthews"]})).title == "score"
    assert not metric_of("of nobody").percent


def test_intervals_are_clipped_to_the_limits_of_the_metric():
    tables = derive_tables(_table(), _EXPERIMENT)
    summary = tables["summary.csv"].set_index(["method", "control", "budget"])
    low = summary.loc[("l1", "", 0.1)]
    assert low["score_low"] < low["score"] < low["score_high"] < -0.5
    assert summary["score_high"].max() <= 1
    lead = low["reference_minus_this"]
    assert lead == pytest.approx(1.3, abs=0.05)
    assert low["reference_minus_this_high"] > lead, "a difference in R2 is not clipped to 1"
    for name in ("summary.csv", "curves.csv", "gains.csv", "answers.csv"):
        assert set(tables[name]["metric"]) == {"R2"}, name
    twin = tables["gains.csv"].query("against == 'twin'")["gain"]
    assert twin.to_numpy() == pytest.approx(0.3, abs=0.05)
    area = tables["curves.csv"].set_index("method").loc["l1", "area"]
    assert area < -0.5


def test_less_is_better_for_an_error():
    table = _table("MAE", worst=2.0)
    curves = derive_tables(table.assign(score_full=0.2), _EXPERIMENT)["curves.csv"].set_index("method")
    assert (curves.loc["ppp", "macs_within_1"] == 1.0).all(), "more error than the full network is not within"
    assert (derive_tables(table.assign(score_full=5.0), _EXPERIMENT)["curves.csv"]["macs_within_1"] < 1).all()
    at = table.query("budget == 0.1 and control in ('', 'own')")
    of = {str(method): rows for method, rows in at.groupby("method")}
    assert clear_best(of) == "ppp"


def test_a_regression_is_drawn_tabled_and_reported_in_its_metric(tmp_path: Path):
    _write(tmp_path, _table(), metric=METRICS["R2"].to_dict())
    drawn = {path.stem for path in render(tmp_path)}
    assert drawn == {"accuracy_vs_macs", "iso_macs", "personal_gain", "retraining"}
    captions = {path.stem: path.read_text() for path in (tmp_path / "figures").glob("*.txt")}
    assert captions["accuracy_vs_macs"].startswith("R² on a person's queries against")
    assert "mean R² is no more than 0.01 or 0.03 below" in captions["iso_macs"]
    assert captions["personal_gain"].startswith("R² with a mask")
    assert not any("ccuracy" in text or "points" in text for text in captions.values())
    latex = (tmp_path / "tables" / "score_10.tex").read_text()
    assert "-0.58" in latex
    caption = (tmp_path / "tables" / "score_10.txt").read_text()
    assert caption.startswith("R² on a person's queries, mean and [95 % interval]")
    text = report(tmp_path).read_text(encoding="utf-8")
    assert "What does a small, personal network cost in R², and" in text
    assert "R² on the persons&#x27; own queries" in text or "R² on the persons' own queries" in text
    assert "-0.58" in text
    assert "ccuracy" not in text.partition("<body>")[2].partition("Where it comes from")[0]
    assert "points" not in text.partition("<body>")[2].partition("Where it comes from")[0]
    assert "ll classes" not in text, "there are none"
    assert "samples (of the same classes)" not in text


def test_axes_hold_what_is_below_zero():
    tables = derive_tables(_table(), _EXPERIMENT)
    figure = accuracy_figure(tables["summary.csv"])
    ax = figure.subfigs[0].axes[0] if len(figure.subfigs) else figure.axes[0]
    bottom, top = ax.get_ylim()
    assert bottom <= -0.6
    assert top >= 1
    assert not any("%" in label.get_text() for label in ax.get_yticklabels())
    gain = gain_figure(_table(), tables["gains.csv"]).axes[0]
    assert any(0.2 < np.asarray(line.get_ydata(), float)[0] < 0.5 for line in gain.get_lines()), "not times 100"


def test_notebooks_and_terminals_show_plain_numbers():
    summary = derive_tables(_table(), _EXPERIMENT)["summary.csv"]
    shown = repr(ResultsFrame(summary))
    assert "R²" in shown
    assert "reference less this (R²)" in shown
    assert "accuracy" not in shown
    assert "-0.58" in shown
    assert as_text(summary).startswith("R² [95 % interval] at a budget of 0.1")


def test_a_folder_tells_a_metric_that_is_not_known_here(tmp_path: Path):
    decibels = Metric("SI-SDR", "SI-SDR in dB", percent=False, limits=(-np.inf, np.inf))
    told = json.loads(json.dumps(decibels.to_dict()))
    assert told["limits"] == [None, None]
    _write(tmp_path, _table("SI-SDR"), metric=told)
    try:
        render(tmp_path)
        assert (tmp_path / "figures" / "accuracy_vs_macs.txt").read_text().startswith("SI-SDR in dB on a person's")
        assert metric_of("SI-SDR") == decibels
    finally:
        METRICS.pop("SI-SDR", None)


def test_a_metric_of_this_package_stays_whatever_a_folder_tells():
    declare_metric({"metric": {"name": "accuracy", "title": "luck", "percent": False}})
    declare_metric({"metric": "nonsense"})
    assert METRICS["accuracy"] is ACCURACY
