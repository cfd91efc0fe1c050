"""Names through tables, terminals and figures; tables that somebody has damaged."""

import gzip
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pppl import Experiment
from pppl.figures import accuracy_figure, gain_figure, gates_figure, iso_figure, render, retraining_figure, style
from pppl.figures.accuracy_vs_macs import accuracy_vs_macs, lower_limit
from pppl.figures.fonts import fonts_for
from pppl.figures.latex import escape
from pppl.figures.layout import log_ticks
from pppl.figures.sweep_panels import sweep_figures
from pppl.report import report
from pppl.report.columns import FORMATS, numeric
from pppl.report.html import element
from pppl.system.errors import UserError
from pppl.system.files import output_folder
from pppl.system.printable import align, cell_of, clip, columns_of, printable
from pppl.tables.derived import write_tables
from pppl.tables.journal import ADDED, COLUMNS, read_table, write_table
from pppl.tables.schema import COLUMN_TYPES, EARLIER, csv_text, load_frame, read_frame, with_names, write_csv

RESULTS = Path(__file__).parents[2] / "results"
NAMES = [
    *("NA", "nan", "None", "null", "", "inf", "007", "7", "1e3", "1.0", "True", " a ", "a", "$$h", "$x^2$", r"\alpha"),
    *("a\nb", "a\tb", "a\rb", "a\r\nb", 'q"q', "a,b;c", "\0", "\x1b[31m", "\u202eabc", "日本", "שלום", "😀", "\udcff"),
    *("50%_#&{}~", "<b onclick='x'>", "'", "#c", "\ufeffx", "n" * 300, "\u2028", "../x", "--", "[x]", "*"),
]


def test_names_come_back_from_a_table_as_they_are(tmp_path: Path):
    numbers = [0.1 + n for n in range(len(NAMES))]
    frame = pd.DataFrame(
        {"dataset": NAMES, "identity": NAMES[::-1], "seen": True, "n": range(len(NAMES)), "score": numbers}
    )
    write_table(tmp_path / "t.csv", frame)
    again = read_frame(tmp_path / "t.csv")
    assert {name: again[name].tolist() for name in frame} == {name: frame[name].tolist() for name in frame}


@pytest.mark.parametrize(
    "value", [0, 1, -3, 0.1, 1e-20, True, None, [8, 16], {"a": [None]}, "", *NAMES, '"a"', "[8, 16]"]
)
def test_values_of_settings_are_told_apart_in_tables(value: Any, tmp_path: Path):
    others = [each for each in (0, 1.5, True, None, [8, 16], "[8, 16]", "True", "x", "1.5", "null") if each != value]
    cells = [cell_of(each) for each in (value, *others)]
    assert len({(str(cell)) for cell in cells}) == len(cells)
    write_csv(tmp_path / "t.csv", csv_text(pd.DataFrame({"seconds": 1, "a.b": [cell_of(value), None]})))
    told = read_frame(tmp_path / "t.csv")["a.b"]
    assert told[0] == cells[0] or str(told[0]) == str(cells[0])
    assert told.isna().tolist() == [False, True]


def test_what_columns_hold_is_declared_once():
    kinds = {name: column.kind for name, column in COLUMN_TYPES.items()}
    assert {name: numeric(name) for name in kinds} == {name: kind == "number" for name, kind in kinds.items()}
    assert {kinds[name] for name in ("dataset", "identity", "control", "task", "metric")} == {"text"}
    assert {column.unit for column in COLUMN_TYPES.values()} <= {
        *FORMATS,
        "text",
        "metric",
        "points",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,a\n1,2\n", "two columns 'a'"),
        ("a,b\n1\n", "row 2 has 1 cells"),
        ("a,b\n1,2,3\n", "row 2 has 3 cells"),
        ("seen\nmaybe\n", "'seen'"),
        ("gain_low\n0.1\nNA\n", "'gain_low'"),
        ("", "no header"),
        ('a\n"open\n', "unexpected end"),
    ],
)
def test_a_damaged_table_is_told(text: str, told: str, tmp_path: Path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        read_frame(tmp_path / "t.csv")


def test_a_terminal_is_given_text_and_no_commands():
    assert printable("a\x1b[2Jb\n\u202e\udcff\x9b") == r"a\x1b[2Jb\n\u202e\udcff\x9b"
    assert printable("日本 שלום é 😀") == "日本 שלום é 😀"
    assert clip("n" * 300, 10) == "n" * 9 + "…"
    lines = align([("日本", "x"), ("e\u0301a", "y"), ("a\nb", "z")])
    assert len({columns_of(line) for line in lines}) == 1
    assert all("\n" not in line for line in lines)


def test_latex_and_pages_take_names_for_text():
    assert escape('[a] <b> "c" --- \\d *') == (
        r"{[}a{]} \textless{}b\textgreater{} \symbol{34}c\symbol{34} -{}-{}- \textbackslash{}d {*}"
    )
    assert element("b", "\x1b<", title='"\0') == '<b title="&quot;\\x00">\\x1b&lt;</b>'


def _folder(folder: Path) -> Path:
    """A results folder whose data set and people have odd names."""
    keys = {"dataset": "$a$\n<NA>", "backbone": "b", "persons": "person", "seen": False, "seed": 0, "shots": 2}
    rows = []
    for at, name in enumerate([*NAMES[:10], "日本", "\udcff"]):
        for method, control, budget in (
            ("full", "", 1.0),
            ("ppp", "own", 0.25),
            ("ppp", "other", 0.25),
            ("l1", "", 0.25),
        ):
            numbers = (
                dict.fromkeys(COLUMNS, 0) | EARLIER | {"macs_fraction": budget, "score": at / 20, "score_full": 0.5}
            )
            rows.append(numbers | keys | {"method": method, "control": control, "budget": budget, "identity": name})
    write_tables(folder, pd.DataFrame(rows, columns=list(COLUMNS)), Experiment())
    gates = [
        keys | {"identity": name, "layer": 1, "channel": c, "probability": 0.5} for name in NAMES[:10] for c in (0, 1)
    ]
    write_csv(folder / "gates.csv", csv_text(pd.DataFrame(gates)))
    return folder


def test_a_folder_of_odd_names_is_drawn_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = _folder(tmp_path)
    assert {path.stem for path in render(folder)} == {"score_list", "personal_gain", "gates"}
    text = report(folder).read_text(encoding="utf-8")
    assert r"$a$\n&lt;NA&gt;" in text
    assert "<NA>" not in text
    assert r"\textless" not in (folder / "tables" / "accuracy_25.tex").read_text()
    assert read_table(folder / "table.csv.gz")[0]["dataset"] == "$a$\n<NA>"
    assert capsys.readouterr().err.count("\n") <= 1


def test_a_script_without_a_font_is_told_once(capsys: pytest.CaptureFixture[str]):
    with style("icml"), fonts_for("a\u0378日"):
        for _ in range(2):
            figure = Figure()
            figure.suptitle("日 $x")
            figure.canvas.draw()
    assert capsys.readouterr().err.count("\n") <= 1


def _summary(budgets: list[float], methods: list[tuple[str, str]], accuracy: float = 0.5) -> pd.DataFrame:
    common: dict[str, Any] = {
        "dataset": "d",
        "backbone": "b",
        "persons": "2 classes",
        "seen": True,
        "n": 2,
        "people": 2,
    }
    common |= {"score": accuracy, "score_low": accuracy, "score_high": accuracy, "retrain_samples": 0}
    keys = [("full", "", 1.0), *((*key, budget) for key in methods for budget in budgets)]
    return pd.DataFrame([common | {"method": m, "control": c, "budget": b, "macs_fraction": b} for m, c, b in keys])


def _told(figure: Figure) -> list[int]:
    """How many labels within its ends each axis shows."""
    figure.canvas.draw()
    counts = []
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            places, labels = axis.get_ticklocs(), axis.get_ticklabels()
            if len(labels) or not len(places):  # a panel may share the numbers of its neighbour
                ticks = zip(places, labels, strict=True)
                counts.append(sum(low <= at <= high and bool(label.get_text()) for at, label in ticks))
    return counts


@pytest.mark.parametrize("budgets", [[0.25], [0.004], [1.0], [0.25, 0.4], [0.33]])
@pytest.mark.parametrize("methods", [[("ppp", "own"), ("ppp", "other")], [("l1", "")], []])
@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_every_axis_has_a_number(budgets: list[float], methods: list[tuple[str, str]], accuracy: float):
    summary = _summary(budgets, methods, accuracy)
    with style("icml"):
        assert min(_told(accuracy_figure(summary))) > 0
        assert min(_told(retraining_figure(summary.assign(retrain_samples=5)))) > 0


def test_ticks_of_a_logarithmic_axis():
    assert log_ticks(0.05, 0.6, (0.1, 0.5)) == [0.1, 0.5]
    assert log_ticks(0.28, 0.58, (0.1, 0.2, 0.5, 1.0)) == [0.3, 0.4, 0.5], "one alone tells no scale"
    assert log_ticks(0.217, 0.46, (0.1, 0.2, 0.5)) == [0.25, 0.3, 0.4]
    assert log_ticks(0.331, 0.332, (0.1, 0.2, 0.5)) == [0.331]
    assert lower_limit(pd.DataFrame({"score_low": [np.nan, 1.0]})) == 0.8


def test_one_person_one_budget_and_equal_gains_are_drawn():
    keys = {"persons": "person", "seen": False, "method": "ppp", "budget": 0.25, "seed": 0, "identity": "NA"}
    table = pd.DataFrame([keys | {"control": control, "score": 0.5} for control in ("own", "other")])
    gains = pd.DataFrame([keys | {"against": "other", "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}])
    gates = pd.DataFrame([keys | {"layer": 1, "channel": 0, "probability": 0.5}])
    ends = {f"macs_within_{points}{end}": 1.0 for points in "13" for end in ("", "_low", "_high")}
    with style("neurips"):
        assert min(_told(gain_figure(table, gains))) > 0
        assert min(_told(iso_figure(pd.DataFrame([keys | ends | {"control": "own"}])))) > 0
        figure = gates_figure(gates)
        figure.canvas.draw()
        assert [each.get_text() for each in figure.axes[0].get_xticklabels()] == ["NA"]


def test_a_summary_read_by_hand_is_drawn(tmp_path: Path):
    """By `pandas.read_csv` as it is an empty control is NaN."""
    write_csv(tmp_path / "summary.csv", csv_text(_summary([0.1, 0.2], [("l1", ""), ("mine", "")])))
    by_hand = pd.read_csv(tmp_path / "summary.csv")
    assert by_hand["control"].isna().all()
    accuracy_figure(by_hand)
    accuracy_vs_macs(by_hand, Figure().subplots())
    assert set(with_names(by_hand)["control"]) == {""}


@pytest.mark.parametrize(
    "values",
    [
        *([[8, 16], [4], {"a": None}, "[4]"], [None, "null", 1, "1"], [1e-300, 1.0, 1e300, 2.0], [0.1]),
        *([1.0, float("inf"), 2.0, 3.0], [True, False, True, None], NAMES[:8], [0, 0, 0, 0]),
    ],
)
def test_trials_of_any_values_are_drawn(values: list[Any], tmp_path: Path):
    common = {"state": "complete", "score": 0.5, "score_low": 0.5, "score_high": 0.5, "own_minus_other": 0.0}
    common |= {"macs_fraction": 0.1, "feasible": True, "best": False, "pareto": True, "seconds": 1.0}
    rows = [{"trial": at, **common, "x.$a": cell_of(each), "y.b": at} for at, each in enumerate(values)]
    write_csv(tmp_path / "trials.csv", csv_text(pd.DataFrame(rows)))
    trials = read_frame(tmp_path / "trials.csv")
    with style("icml"):
        for figure in sweep_figures(trials, pd.DataFrame()).values():
            assert max(_told(figure)) > 0


_PIECES = [
    b'"',
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b",",
    b",,",
    b"nan",
    b"inf",
    b"-",
    b"1e999",
    b"True",
    b"maybe",
    b"NA",
    b"",
]


@pytest.mark.parametrize(
    ("source", "name"), [("fsdd", "summary.csv"), ("fsdd", "table.csv.gz"), ("digits_ppp", "trials.csv")]
)
def test_mutated_tables_end_in_a_table_or_in_one_line(source: str, name: str, tmp_path: Path):
    draw = random.Random(0)
    written = (RESULTS / source / name).read_bytes()
    name, written = name.removesuffix(".gz"), gzip.decompress(written) if name.endswith(".gz") else written
    lines = written.splitlines(keepends=True)
    content = b"".join(lines[:12])
    for _ in range(500):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            at, cut = draw.randrange(len(changed) + 1), draw.choice([0, 1, 4, 60])
            changed[at : at + cut] = draw.choice(_PIECES)
        (tmp_path / name).write_bytes(bytes(changed))
        told = ""
        try:
            if name == "table.csv":
                assert all(set(row) >= set(COLUMNS) - {*ADDED} for row in read_table(tmp_path / name))
            else:
                read_frame(tmp_path / name)
        except (UserError, ValueError) as error:
            told = str(error)
        assert "\n" not in told


@pytest.mark.parametrize("name", ["a\0b", "n" * 300])
def test_a_folder_that_no_file_system_has_is_told(name: str, tmp_path: Path):
    with pytest.raises(UserError, match="choose another folder"):
        output_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "name", "verb"),
    [("fsdd", "summary.csv", "compare"), ("minilm", "summary.csv", "tasks"), ("digits_ppp", "trials.csv", "sweep")],
)
def test_the_remedy_for_a_damaged_table_names_the_command_that_wrote_it(
    source: str, name: str, verb: str, tmp_path: Path
):
    shutil.copy(RESULTS / source / "run.json", tmp_path)
    (tmp_path / name).write_text("a,a\n1,2\n")
    with pytest.raises(UserError, match=f"run `pppl {verb}` with the same --out again"):
        load_frame(tmp_path / name)
