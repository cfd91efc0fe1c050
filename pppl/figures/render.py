"""Files of all figures and LaTeX tables of a results folder, with captions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, replacing, write_bytes
from ..tables.journal import TABLE
from ..tables.metric import ACCURACY, declare_metric, metric_of
from ..tables.provenance import read_run
from . import captions
from .accuracy_vs_bytes import has_rates
from .accuracy_vs_macs import shown_budgets, shown_series
from .choice import check_names, choose_methods, choose_series, series_name
from .fonts import characters_of, fonts_for
from .frames import CURVES_NUMBERS, GAINS_NUMBERS, SUMMARY_NUMBERS, TASK_NUMBERS, check_columns, read_columns
from .latex import accuracy_table, scores_table
from .looks import Looks
from .panels import accuracy_figure, bytes_figure, gain_figure, gates_figure, iso_figure, retraining_figure
from .retraining import samples_of
from .score_list import has_one_budget, list_figure
from .support_kinds import has_kinds, supports_figure
from .sweep_panels import sweep_figures
from .sweeps import completed_trials
from .task_panels import scores_figure, storage_figure
from .venues import DEFAULT, style

# Extensions and possible names of the files of a figure and of a table.
_FIGURE, _TABLE = (".pdf", ".png", ".txt"), (".tex", ".txt")
_FIGURES = re.compile(
    "accuracy_vs_macs|score_list|accuracy_vs_bytes|iso_macs|personal_gain|gates|retraining|supports|task_scores|storage"
    "|history|contour|parallel|pareto|importances"
)
_TABLES = re.compile(r"scores|(accuracy|score)(_\d+){0,2}")


def rendered(folder: str | Path) -> list[Path]:
    """Return the files of a folder that have names of `render`, whoever wrote them.

    Check them with `claim` before long work: `render` does not replace files of somebody else.

    >>> rendered("no such folder")
    []
    """
    folder = expand(folder)
    kinds = (("figures", _FIGURES, _FIGURE), ("tables", _TABLES, _TABLE))
    return [
        path
        for name, stems, ends in kinds
        for path in sorted((folder / name).glob("*"))
        if path.suffix in ends and stems.fullmatch(path.stem)
    ]


def render(
    folder: str | Path,
    *,
    venue: str = DEFAULT,
    columns: int = 2,
    methods: Sequence[str] = (),
    out: str | Path | None = None,
    of: str = "",
) -> list[Path]:
    """Draw the figures of a results folder: `figures/NAME.png`, `.pdf`, and the caption as `.txt`.

    Each figure needs its tables, and is left out if an optional one is missing:

    - Comparison on persons: `accuracy_vs_macs`, or `score_list` if there is one budget, from `summary.csv`;
      `retraining` if a method trains beyond the full network; `accuracy_vs_bytes` if diff pruning has several rates;
      `iso_macs` from `curves.csv`; `personal_gain` from `gains.csv` and `table.csv.gz`; `gates` from `gates.csv`. With
      kinds of support sets, `supports` from `summary.csv` stands for all but `gates`.
    - Comparison on tasks: `task_scores` from `summary.csv`, `storage` from `stream.csv`.
    - Sweep: `history`, `contour`, `parallel` and, with several objectives, `pareto` from `trials.csv`; `importances`
      from `importances.csv`.

    LaTeX tables with captions are written, too: `tables/accuracy_10.tex` at a budget of 10 % (one for each budget of
    `retraining`), or `tables/scores.tex` of tasks.

    ```python
    render("results/mine", venue="ieee", columns=1, methods=["full", "ppp"], out="results/paper")
    ```

    **Arguments:**

    - `venue`, `columns`: those of `style`.
    - `methods`: those that figures and tables show, such as `ppp`, or `ppp twin` for a control; by default all.
    - `out`: where `figures` and `tables` are written; the folder itself by default.
    - `of`: a mark of the data; files in `out` with another mark are not replaced.

    **Returns:** the PNG files.

    Labels, colours, markers and dashes are those of the experiment in `run.json` (`Looks.of_run`).

    Raise `UserError` if a table is missing or corrupted, the venue or a method is unknown, or a foreign file is in the
    way.
    """
    folder = expand(folder)
    run = read_run(folder)
    declare_metric(run)
    looks = Looks.of_run(run)
    named = {letter for each in looks.known.values() for letter in each.label}
    is_sweep = (folder / "trials.csv").exists()
    if is_sweep and methods:
        raise UserError(f"{folder} holds a sweep, which has settings in place of methods: leave out methods")
    with style(venue, columns=columns), fonts_for(characters_of(folder) | named):
        drawn = _of_sweep(folder) if is_sweep else _of_comparison(folder, looks, methods)
        return drawn.save(folder if out is None else expand(out), of)


@dataclass(frozen=True)
class _Drawn:
    """Figures and LaTeX tables by name, and their captions by the same names."""

    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """Add a figure."""
        self.figures[name], self.captions[name] = figure, caption

    def table(self, name: str, latex: str, caption: str) -> None:
        """Add a LaTeX table."""
        self.tables[name], self.captions[name] = latex, caption

    def save(self, out: Path, of: str) -> list[Path]:
        """Write all files, or none if a file of somebody else is in the way, and return the PNG files."""
        claim(self.paths(out), of=of)
        paths = [_save(figure, out, name, self.captions[name], of) for name, figure in self.figures.items()]
        for name, latex in self.tables.items():
            target = output_folder(out / "tables")
            write_bytes(target / f"{name}.tex", latex.encode(), of=of)
            write_bytes(target / f"{name}.txt", self.captions[name].encode(), of=of)
        return paths

    def paths(self, out: Path) -> list[Path]:
        """Return the files that `save` writes."""
        figures = [out / "figures" / f"{name}{end}" for name in self.figures for end in _FIGURE]
        return figures + [out / "tables" / f"{name}{end}" for name in self.tables for end in _TABLE]


def _of_sweep(folder: Path) -> _Drawn:
    trials = read_columns(folder / "trials.csv", ["state", "feasible", "best", "seconds"], ["trial"])
    check_columns(folder / "trials.csv", completed_trials(trials), [], ["score", "macs_fraction"])
    shares = pd.DataFrame()
    if (folder / "importances.csv").exists():
        shares = read_columns(
            folder / "importances.csv", ["key"], ["importance", "importance_low", "importance_high"], rows=False
        )
    drawn = _Drawn()
    for name, figure in sweep_figures(trials, shares).items():
        drawn.figure(name, figure, captions.caption_sweep(name, trials, shares))
    return drawn


def _of_comparison(folder: Path, looks: Looks, methods: Sequence[str]) -> _Drawn:
    summary = read_columns(folder / "summary.csv", ["method"], [])
    if "encoder" in summary.columns:
        check_names(methods, summary["method"])
        return _of_tasks(folder, choose_methods(summary, methods))
    return _of_persons(folder, summary, looks, methods)


def _of_tasks(folder: Path, summary: pd.DataFrame) -> _Drawn:
    check_columns(folder / "summary.csv", summary, ["encoder", "rate", "metric", "task_bytes"], TASK_NUMBERS)
    drawn = _Drawn()
    drawn.figure("task_scores", scores_figure(summary), captions.caption_tasks(summary))
    drawn.table("scores", scores_table(summary), captions.caption_tasks(summary, as_table=True))
    if (folder / "stream.csv").exists():
        stream = read_columns(folder / "stream.csv", ["method", "seed"], ["step", "stored_bytes", "copies_bytes"])
        drawn.figure("storage", storage_figure(stream), captions.caption_stream(stream, summary))
    return drawn


def _of_persons(folder: Path, summary: pd.DataFrame, looks: Looks, methods: Sequence[str]) -> _Drawn:
    check_columns(
        folder / "summary.csv", summary, ["dataset", "backbone", "persons", "seen", "control"], SUMMARY_NUMBERS
    )
    check_columns(folder / "summary.csv", summary, [], ["retrain_samples"])
    check_names(methods, (series_name(*series) for series in shown_series(summary, looks)))
    summary = choose_series(summary, methods)
    names = ["persons", "seen", "method", "control", "seed", "identity", "shots"]
    rows = read_columns(folder / TABLE, names, ["budget", "score"])
    table = choose_series(rows, methods)
    drawn = _Drawn()
    for name, figure in _figures_of_persons(folder, summary, rows, looks, methods).items():
        drawn.figure(name, figure, captions.caption_comparison(name, summary, table))
    if (folder / "gates.csv").exists():
        frame = read_columns(folder / "gates.csv", ["persons", "seen", "identity"], ["layer", "channel", "probability"])
        frame["metric"] = metric_of(summary).name
        drawn.figure("gates", gates_figure(frame), captions.caption_gates(frame, summary))
    for budget in shown_budgets(summary):
        stem = "accuracy" if metric_of(summary) is ACCURACY else "score"
        name = stem if budget == 1 else f"{stem}_{budget * 100:g}".replace(".", "_")
        caption = captions.caption_accuracy_table(summary, table, budget)
        drawn.table(name, accuracy_table(summary, table, budget, looks=looks), caption)
    return drawn


def _figures_of_persons(
    folder: Path, summary: pd.DataFrame, table: pd.DataFrame, looks: Looks, methods: Sequence[str]
) -> dict[str, Figure]:
    if has_kinds(summary):
        return {"supports": supports_figure(summary, looks=looks)}
    if has_one_budget(summary):
        figures = {"score_list": list_figure(summary, looks=looks)}
    else:
        figures = {"accuracy_vs_macs": accuracy_figure(summary, looks=looks)}
    if has_rates(summary):
        check_columns(folder / "summary.csv", summary, [], ["artifact_bytes"])
        figures["accuracy_vs_bytes"] = bytes_figure(summary, looks=looks)
    if (folder / "curves.csv").exists():
        curves = read_columns(folder / "curves.csv", ["persons", "seen", "method", "control"], [], rows=False)
        if len(curves := choose_series(curves, methods)):
            check_columns(folder / "curves.csv", curves, [], CURVES_NUMBERS)
            figures["iso_macs"] = iso_figure(curves, looks=looks)
    if (folder / "gains.csv").exists():
        gains = read_columns(folder / "gains.csv", ["persons", "seen", "method", "against"], [], rows=False)
        if {"other", "twin"} & {*(gains := choose_methods(gains, methods))["against"]}:
            check_columns(folder / "gains.csv", gains, [], GAINS_NUMBERS)
            figures["personal_gain"] = gain_figure(choose_methods(table, methods), gains, looks=looks)
    if any(map(samples_of, summary.to_dict("records"))):
        figures["retraining"] = retraining_figure(summary, looks=looks)
    return figures


def _save(figure: Figure, out: Path, name: str, caption: str, of: str) -> Path:
    target = output_folder(out / "figures")
    with replacing(target / f"{name}.pdf", of=of) as path:
        figure.savefig(path, metadata={"CreationDate": None})
    with replacing(target / f"{name}.png", of=of) as path:
        figure.savefig(path)
    write_bytes(target / f"{name}.txt", caption.encode(), of=of)
    return target / f"{name}.png"
