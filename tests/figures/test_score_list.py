"""With one budget every method has a line of its own; with several, a curve."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from pppl.figures import list_figure, render, score_list

SCORES = {"full": 0.9, "l1": 0.6, "l2": 0.7}


@pytest.fixture
def summary() -> pd.DataFrame:
    """Three methods, of which two prune to a tenth, for seen and unseen people."""
    rows = []
    for seen, (method, score) in itertools.product((True, False), SCORES.items()):
        budget = 1.0 if method == "full" else 0.1
        rows.append(
            {"dataset": "words", "backbone": "tc_resnet8", "persons": "person", "seen": seen, "method": method}
            | {"control": "", "budget": budget, "macs_fraction": budget, "metric": "accuracy", "n": 12, "people": 6}
            | {"score": score, "score_low": score - 0.05, "score_high": score + 0.1, "score_full": 0.9}
            | {"retrain_samples": 0, "train_samples": 0, "artifact_bytes": 1000}
        )
    return pd.DataFrame(rows)


def test_each_method_is_on_its_line_with_its_interval(summary: pd.DataFrame):
    ax = score_list(summary.query("seen"), Figure().subplots(), [("l1", ""), ("full", ""), ("l2", "")])
    assert ax.get_ylim() == (2.5, -0.5), "from top to bottom"
    for place, (line, method) in enumerate(zip(ax.containers, ("l1", "full", "l2"), strict=True)):
        (mark, _, (bar,)) = line
        assert (mark.get_xdata().tolist(), mark.get_ydata().tolist()) == ([SCORES[method]], [place])
        assert bar.get_segments()[0][:, 0].tolist() == pytest.approx([SCORES[method] - 0.05, SCORES[method] + 0.1])
        assert (mark.get_markerfacecolor() == "white") == (method == "full"), "which does not prune"


def test_a_figure_has_a_panel_for_each_half_of_the_people(summary: pd.DataFrame):
    titles = [ax.get_title().replace("\n", " ") for ax in list_figure(summary).axes]
    assert titles == [f"all classes of a person, {whom} (n = 12, 6 people)" for whom in ("seen", "unseen")]


@pytest.mark.parametrize(("budgets", "name"), [((0.1, 0.1), "score_list"), ((0.1, 0.2), "accuracy_vs_macs")])
def test_curves_are_drawn_over_several_budgets_alone(
    summary: pd.DataFrame, tmp_path: Path, budgets: tuple[float, float], name: str
):
    for budget in budgets[1:]:
        summary.loc[summary["method"] == "l2", "budget"] = budget
    summary.to_csv(tmp_path / "summary.csv", index=False)
    summary.assign(seed=0, identity="ann", shots=5, queries=60).to_csv(tmp_path / "table.csv.gz", index=False)
    assert [path.stem for path in render(tmp_path)] == [name]
    assert (tmp_path / "figures" / f"{name}.txt").read_text().startswith("Accuracy on a person's queries")
