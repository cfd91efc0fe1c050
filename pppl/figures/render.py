"""Every figure of a results folder, as PNG and PDF."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UserError
from ..files import output_folder, replacing
from .accuracy_vs_bytes import accuracy_vs_bytes, has_rates
from .accuracy_vs_macs import accuracy_vs_macs
from .gates import gates
from .style import RC, TEXT_WIDTH
from .tasks import storage, task_scores


def render(folder: Path) -> list[Path]:
    """Draws what the tables of a folder tell.

    `figures/accuracy_vs_macs` from `summary.csv`, `figures/accuracy_vs_bytes` where diff pruning has several rates, and
    `figures/gates` from `gates.csv` where that is there; of a comparison on tasks, `figures/task_scores` from
    `summary.csv` and `figures/storage` from `stream.csv`.

    **Returns:** the PNG files. Raises `UserError` where a table is missing or corrupted.
    """
    figures: dict[str, Figure] = {}
    with mpl.rc_context(RC):
        summary = _read(folder / "summary.csv", ["method"], [])
        if "task" in summary.columns:
            _check(folder / "summary.csv", summary, ["metric", "task_bytes"], _TASK_NUMBERS)
            figures["task_scores"] = _scores_figure(summary)
        else:
            _check(folder / "summary.csv", summary, ["persons", "seen", "control"], _SUMMARY_NUMBERS)
            figures["accuracy_vs_macs"] = _accuracy_figure(summary)
            if has_rates(summary):
                _check(folder / "summary.csv", summary, [], ["artifact_bytes"])
                figures["accuracy_vs_bytes"] = _bytes_figure(summary)
        if (folder / "gates.csv").exists():
            frame = _read(folder / "gates.csv", ["persons", "seen", "identity"], ["layer", "channel", "probability"])
            figures["gates"] = _gates_figure(frame)
        if (folder / "stream.csv").exists():
            stream = _read(folder / "stream.csv", [], ["step", "stored_bytes", "copies_bytes"])
            figures["storage"] = _storage_figure(stream)
        return [_save(figure, folder, name) for name, figure in figures.items()]


# Columns that are empty where a row is what the others are compared with, or training diverged.
_PAIRED = [f"minus_{reference}{end}" for reference in ("full", "diff") for end in ("", "_low", "_high")]
_EMPTY = {name: [""] for name in ("wilcoxon_p", "ppp_minus_this", "task_bytes", *_PAIRED)}
_TASK_NUMBERS = ["score", "score_low", "score_high"]
_SUMMARY_NUMBERS = ["budget", "macs_fraction", "n", "people", "accuracy", "accuracy_low", "accuracy_high"]
_REMEDY = "run `pppl compare` with the same --out again, it rewrites the tables from its journal"


def _read(path: Path, names: list[str], numbers: list[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=_EMPTY)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; name a folder that `pppl compare` has written"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is corrupted ({' '.join(str(error).split())}); {_REMEDY}") from error
    _check(path, frame, names, numbers)
    return frame


def _check(path: Path, frame: pd.DataFrame, names: list[str], numbers: list[str]) -> None:
    for column in [*names, *numbers]:
        if column not in frame.columns:
            raise UserError(f"{path} is corrupted: it has no column {column!r}; {_REMEDY}")
    for column in numbers:
        if frame[column].dtype.kind not in "if" or frame[column].isna().to_numpy().any():
            raise UserError(f"{path} is corrupted: column {column!r} holds something that is no number; {_REMEDY}")


def _panels(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The frame by protocol, in the order of the table; seen and unseen people apart where there are both."""
    told = len(frame["seen"].unique()) > 1
    panels = []
    for persons, of_protocol in frame.groupby("persons", sort=False):
        for seen, rows in of_protocol.groupby("seen", sort=False):
            whom = {"True": ", seen", "False": ", unseen"}[str(seen)] * told
            panels.append((_protocol(str(persons)) + whom, rows))
    return panels


def _protocol(persons: str) -> str:
    """`2 classes` as `persons of 2 classes`, `person+2 classes` as `2 classes of a person`."""
    if persons == "person":
        return "all classes of a person"
    own = persons.removeprefix("person+")
    return f"persons of {persons}" if own == persons else f"{own} of a person"


def _grid(figure: Figure, panels: int) -> list[list[Axes]]:
    """Rows of at most three axes, what is left over removed."""
    rows = -(-panels // 3)
    columns = -(-panels // rows)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).tolist()
    for _ in range(rows * columns - panels):
        axes[-1].pop().remove()
    return axes


def _accuracy_figure(summary: pd.DataFrame) -> Figure:
    panels = _panels(summary)
    figure = Figure(figsize=(TEXT_WIDTH, 3.1 if len(panels) <= 3 else 5.4), layout="constrained")
    axes = _grid(figure, len(panels))
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        accuracy_vs_macs(rows, ax)
        count, people = int(rows["n"].to_numpy().max()), int(rows["people"].to_numpy().max())
        of = f", {people} people" if rows["persons"].iloc[0].startswith("person") else ""
        ax.set_title(f"{name} (n = {count}{of})")
    for first, *_ in axes:
        first.set_ylabel("accuracy on the person's queries")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, columnspacing=1.2)
    return figure


def _bytes_figure(summary: pd.DataFrame) -> Figure:
    panels = _panels(summary)
    figure = Figure(figsize=(TEXT_WIDTH, 2.6 if len(panels) <= 3 else 4.6), layout="constrained")
    axes = _grid(figure, len(panels))
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        accuracy_vs_bytes(rows, ax)
        ax.set_title(name)
    for first, *_ in axes:
        first.set_ylabel("accuracy on the queries")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _gates_figure(frame: pd.DataFrame) -> Figure:
    panels = _panels(frame)
    figure = Figure(figsize=(TEXT_WIDTH, 4.2 if len(panels) <= 3 else 7.2), layout="constrained")
    axes = _grid(figure, len(panels))
    lasts = [row[-1] for row in axes]
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        gates(rows, ax, colour_bar=ax in lasts)
        ax.set_title(name)
    return figure


def _scores_figure(summary: pd.DataFrame) -> Figure:
    by_task = {str(task): rows for task, rows in summary.groupby("task", sort=False)}
    # The average, which comes last in the table, first: the labels tell its bytes.
    names = [*list(by_task)[-1:], *list(by_task)[:-1]]
    rows = -(-len(names) // 5)
    columns = -(-len(names) // rows)
    height = rows * (0.65 + 0.19 * len(set(summary["method"])))
    figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for index, ax in enumerate(axes):
        if index >= len(names):
            ax.remove()
            continue
        task_scores(by_task[names[index]], ax)
        if index % columns:
            ax.tick_params(labelleft=False)
        ax.set_title(names[index].split("/")[-1].removesuffix(".csv").replace("_", " "))
        metric = by_task[names[index]]["metric"].iloc[0]
        ax.set_xlabel({"accuracy": "accuracy (%)", "": "score (%)"}.get(metric, metric))
    return figure


def _storage_figure(stream: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(TEXT_WIDTH / 2, 2.2), layout="constrained")
    storage(stream, figure.subplots())
    return figure


def _save(figure: Figure, folder: Path, name: str) -> Path:
    target: Callable[[str], Path] = lambda suffix: output_folder(folder / "figures") / f"{name}.{suffix}"  # noqa: E731
    with replacing(target("pdf")) as path:
        figure.savefig(path, metadata={"CreationDate": None})
    with replacing(target("png")) as path:
        figure.savefig(path)
    return target("png")
