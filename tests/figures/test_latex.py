import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from pppl.figures.latex import accuracy_table, escape, scores_table, tabular
from pppl.tables.summary import summarize


def _table(gap: float) -> pd.DataFrame:
    """Twenty persons, of whom `ppp` serves each by about `gap` better than L1 does."""
    rng = np.random.default_rng(0)
    series = (("full", "", 1.0, 0.99), ("l1", "", 0.1, 0.7), ("ppp", "own", 0.1, 0.7 + gap), ("ppp", "own", 0.35, 0.9))
    rows = [
        {"method": method, "control": control, "budget": budget, "score": mean + rng.normal(0, 0.02)}
        | {"seed": person % 2, "identity": f"{person}+{person + 1}", "macs_fraction": budget}
        | {"retrain_samples": 1200 * (method == "l1")}
        for method, control, budget, mean in series
        for person in range(20)
    ]
    return pd.DataFrame(rows).assign(dataset="d", backbone="b", persons="2 classes", seen=True, shots=5)


def _lines(latex: str) -> list[str]:
    return latex.splitlines()


@pytest.mark.parametrize(("gap", "bold"), [(0.1, 1), (0.0, 0)])
def test_the_best_is_bold_only_where_the_difference_is_significant(gap: float, bold: int):
    table = _table(gap)
    latex = accuracy_table(summarize(table), table, 0.1)
    assert latex.count(r"\textbf") == bold
    if bold:
        (line,) = (line for line in _lines(latex) if r"\textbf" in line)
        assert line.startswith("PPP, own prototype & \\textbf{"), "not the full network, which is better"


def test_rows_are_methods_and_what_does_not_prune_stands_apart():
    table = _table(0.1)
    summary = summarize(table)
    latex = accuracy_table(summary, table, 0.1)
    labels = [line.split(" & ")[0] for line in _lines(latex)[2:-2]]
    assert labels == ["method", r"\midrule", "full network", r"\midrule", "PPP, own prototype", "L1"]
    full = summary.query("method == 'full'").iloc[0]
    value, low, high = (f"{full[f'score{end}'] * 100:.1f}" for end in ("", "_low", "_high"))
    assert f"full network & {value} [{low}, {high}] & none \\\\" in latex
    assert "& 1,200 \\\\" in latex
    assert "90" not in accuracy_table(summary, table, 0.1).split("PPP")[1].split("&")[1], "of the other budget"


def test_training_of_gates_counts_like_training_after_pruning():
    table = _table(0.1)
    table["train_samples"] = np.where(table["method"] == "ppp", 5_000, 0)
    latex = accuracy_table(summarize(table), table, 0.1)
    (line,) = (line for line in _lines(latex) if line.startswith("PPP"))
    assert line.endswith("& 5,000 \\\\"), line


def test_tables_are_balanced():
    table = _table(0.1)
    for latex in (accuracy_table(summarize(table), table, 0.1), tabular(["a", "b", "c"], [[["1", "2", "3"]], []])):
        lines = _lines(latex)
        (columns,) = re.findall(r"^\\begin\{tabular\}\{(\w+)\}$", lines[0])
        assert lines[-1] == r"\end{tabular}"
        assert (lines[1], lines[-2]) == (r"\toprule", r"\bottomrule")
        assert latex.count("{") == latex.count("}")
        rows = [line for line in lines if line.endswith("\\\\")]
        assert {line.count("&") + 1 for line in rows} == {len(columns)}
        assert Counter(lines)[r"\midrule"] == sum(at == r"\midrule" for at in lines[2:-2])
        assert lines[-3] != r"\midrule", "no line without rows below"


def test_what_latex_would_take_for_commands_is_written_out():
    assert escape("50 % of a_b & {c} #1 ~ $x^2$ \\d") == (
        r"50 \% of a\_b \& \{c\} \#1 \textasciitilde{} \$x\textasciicircum{}2\$ \textbackslash{}d"
    )


def test_tasks_are_columns():
    rows = [
        {"task": task, "method": method, "score": score, "score_low": 0.5, "score_high": 0.75, "task_bytes": size}
        for task in ("glue/x_y", "average")
        for method, score, size in (("diff", 0.625, 5e5), ("full", 0.7, float("nan")))
    ]
    lines = _lines(scores_table(pd.DataFrame(rows)))
    assert lines[2] == r"method & glue/x\_y & average & kB a task \\"
    assert lines[4] == r"full fine-tuning & 70.0 [50.0, 75.0] & 70.0 [50.0, 75.0] &  \\"
    assert lines[5] == r"diff pruning & 62.5 [50.0, 75.0] & 62.5 [50.0, 75.0] & 500 \\"
