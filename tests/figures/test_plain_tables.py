"""Figures of tables that somebody has read by `pandas.read_csv`, which takes an empty control for a missing number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from pppl import figures
from pppl.figures.gates import channel_order

RESULTS = Path(__file__).parents[2] / "results"


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / name)


def _two() -> pd.DataFrame:
    return _read("digits/summary.csv").query("persons == '2 classes'")


def _ax() -> Any:
    return Figure().subplots()


DRAWN: dict[str, Callable[[], Any]] = {
    "accuracy_figure": lambda: figures.accuracy_figure(_read("digits/summary.csv")),
    "accuracy_vs_bytes": lambda: figures.accuracy_vs_bytes(_two(), _ax()),
    "accuracy_vs_macs": lambda: figures.accuracy_vs_macs(_two(), _ax()),
    "bytes_figure": lambda: figures.bytes_figure(_read("digits/summary.csv")),
    "gain_figure": lambda: figures.gain_figure(_read("plain_fsdd/table.csv.gz"), _read("plain_fsdd/gains.csv")),
    "gates": lambda: figures.gates(_read("digits/gates.csv"), channel_order(_read("digits/gates.csv")), _ax()),
    "gates_figure": lambda: figures.gates_figure(_read("digits/gates.csv")),
    "iso_figure": lambda: figures.iso_figure(_read("digits/curves.csv")),
    "iso_macs": lambda: figures.iso_macs(_read("digits/curves.csv"), [("l1", "")], _ax()),
    "list_figure": lambda: figures.list_figure(_read("leads_keywords/summary.csv")),
    "overview_figure": lambda: figures.overview_figure({"two": _two()}),
    "personal_gain": lambda: figures.personal_gain(
        _read("plain_fsdd/table.csv.gz").query("not seen"), _read("plain_fsdd/gains.csv").query("not seen"), _ax()
    ),
    "retraining": lambda: figures.retraining(_two().query("budget == 1"), [("full", "")], _ax()),
    "retraining_figure": lambda: figures.retraining_figure(_read("digits/summary.csv")),
    "score_list": lambda: figures.score_list(_two().query("budget == 1"), _ax()),
    "scores_figure": lambda: figures.scores_figure(_read("minilm/summary.csv")),
    "storage": lambda: figures.storage(_read("clinc150_domains/stream.csv"), _ax()),
    "storage_figure": lambda: figures.storage_figure(_read("clinc150_domains/stream.csv")),
    "support_kinds": lambda: figures.support_kinds(_read("support/summary.csv").query("seen"), _ax()),
    "supports_figure": lambda: figures.supports_figure(_read("support/summary.csv")),
    "sweep_figures": lambda: figures.sweep_figures(_read("digits_ppp/trials.csv"), _read("digits_ppp/importances.csv")),
    "task_scores": lambda: figures.task_scores(_read("minilm/summary.csv").query("task == 'average'"), _ax()),
}
_OTHERS = {"Looks", "render", "rendered", "style"}


def test_all_figures_are_here():
    assert set(figures.__all__) == DRAWN.keys() | _OTHERS


@pytest.mark.parametrize("name", DRAWN)
def test_a_table_read_by_hand_is_drawn(name: str):
    assert DRAWN[name]() is not None
