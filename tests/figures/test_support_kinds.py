"""Kinds of support sets: the figure that shows them all, and the summary in the terminal that fits a screen."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from pppl.figures import render, support_kinds, supports_figure
from pppl.figures.support_kinds import has_kinds
from pppl.report.terminal import as_text

KINDS = ("1 shot", "5 shots", "5 shots, a fifth of others")


@pytest.fixture
def summary() -> pd.DataFrame:
    """Two methods, of which one prunes, for seen and unseen people with three kinds of support sets."""
    rows = []
    for (at, kind), seen, method in itertools.product(enumerate(KINDS), (True, False), ("full", "l1")):
        score, budget = 0.6 + 0.1 * at + 0.05 * seen, 1.0 if method == "full" else 0.25
        rows.append(
            {"dataset": "words", "backbone": "tc_resnet8", "persons": f"person+3 classes, {kind}", "seen": seen}
            | {"method": method, "control": "", "budget": budget, "macs_fraction": budget, "metric": "accuracy"}
            | {"score": score, "score_low": score - 0.1, "score_high": score + 0.1, "score_full": 0.9}
            | {"retrain_samples": 0, "train_samples": 0, "artifact_bytes": 1000, "n": 12, "people": 6}
        )
    return pd.DataFrame(rows)


def test_scores_stand_over_the_kinds_in_the_order_of_the_experiment(summary: pd.DataFrame):
    assert has_kinds(summary)
    assert not has_kinds(summary.assign(persons="person+3 classes"))
    unseen = summary.loc[~summary["seen"]]
    ax = support_kinds(unseen, Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == [*KINDS]
    handles, labels = ax.get_legend_handles_labels()
    assert len(labels) == 2
    for handle in handles:
        line = handle.lines[0]
        assert [round(place) for place in line.get_xdata()] == [0, 1, 2]
        assert line.get_ydata().tolist() == pytest.approx([0.6, 0.7, 0.8])
    titles = [ax.get_title() for ax in supports_figure(summary).axes]
    assert [title.replace("\n", " ") for title in titles] == [
        f"3 classes of a person, {whom} (n = 12, 6 people)" for whom in ("seen", "unseen")
    ]


def test_one_figure_stands_for_a_panel_for_each_kind(summary: pd.DataFrame, tmp_path: Path):
    table = summary.assign(seed=0, identity="ann:a+b+c", shots=5, queries=60)
    summary.to_csv(tmp_path / "summary.csv", index=False)
    table.to_csv(tmp_path / "table.csv.gz", index=False)
    assert [path.stem for path in render(tmp_path)] == ["supports"]
    assert (tmp_path / "figures" / "supports.txt").read_text().startswith("Accuracy on a person's queries with several")


def test_the_terminal_shows_four_kinds_of_persons_side_by_side(summary: pd.DataFrame):
    text = as_text(summary)
    heads = [line for line in text.splitlines() if line.startswith("method")]
    assert len(heads) == 2
    assert [head.count("person+3 classes") for head in heads] == [4, 2]
    assert text.count("samples trained on beyond it") == 1
    assert text.count("85.0 [75.0, 95.0]") == 2


def test_many_methods_have_a_row_for_those_that_take_steps_on_the_support_set(summary: pd.DataFrame):
    parts = [
        summary.assign(method=summary["method"] + f"@{name}", retrain_samples=10 * (name > "a")) for name in "abcde"
    ]
    figure = supports_figure(pd.concat(parts))
    assert [ax.get_title().replace("\n", " ") for ax in figure.axes] == [
        f"3 classes of a person, {whom}, {what}"
        for what in ("no step on the support set", "steps on the support set")
        for whom in ("seen", "unseen")
    ]
    assert [len(ax.get_legend_handles_labels()[1]) for ax in figure.axes] == [2, 2, 8, 8]


def test_kinds_have_no_order_that_a_line_could_show(summary: pd.DataFrame):
    handles, _ = support_kinds(summary.query("seen"), Figure().subplots()).get_legend_handles_labels()
    for handle in handles:
        assert handle.lines[0].get_linestyle() == "None"
        assert handle.lines[0].get_marker() not in ("", "None")
