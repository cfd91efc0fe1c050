"""The answer for a sweep: its trials, the best of them, and the settings that mattered most."""

from typing import Any

from ..config import LEAST_TRIALS
from ..tables.metric import metric_of
from ..tables.rivals import BASELINES
from ..tables.schema import settings_of
from .answer_rivals import tell_rivals
from .columns import FORMATS, is_missing
from .estimate import Estimate
from .folder import FolderTables
from .html import Html, element, join
from .names import protocol_of
from .table import TableRow
from .terminal_rivals import reference_row

_OTHER_PERSONS = "that with another person's samples"


def answer_sweep(results: FolderTables) -> list[Html]:
    """Return paragraphs on the number of trials, the best trial and its rivals, and the settings that mattered most."""
    return [_opening(results), *_best(results), *_rivals(results), *_importances(results)]


def _opening(results: FolderTables) -> Html:
    trials = results.main.rows
    done = [row for row in trials if row["state"] == "complete"]
    ended, kept = len(trials) - len(done), sum(row["feasible"] == "True" for row in done)
    early = f", {ended:,} of which ended early" if ended else ""
    fulfil = "all that finished" if kept == len(done) else f"{kept:,} of the {len(done):,} that finished"
    keep = f"; {fulfil} keep to the constraints" if results.config.get("constraints") else ""
    return element(
        "p",
        f"{len(trials):,} trials on validation persons{early}{keep}. ",
        "The best of many flatters itself: what it is worth on test persons is for a comparison to say.",
    )


def _best(results: FolderTables) -> list[Html]:
    row = next((row for row in results.main.rows if row["best"] == "True"), None)
    if row is None:
        return [element("p", "None of them is the best yet.")]
    parts: list[str] = [element("b", f"Trial {FORMATS['count'](row['trial'])}"), *_measured(row)]
    settings = [
        f"{name} = {_value(row[name])}" for name in settings_of(results.main.names) if not is_missing(row[name])
    ]
    parts += [" Its settings: ", join((element("code", setting) for setting in settings), ", "), "."]
    if "pareto" in results.main.names:
        front = sum(row["pareto"] == "True" for row in results.main.rows)
        parts.append(f" On the front are {front:,}: no trial beats them in all objectives.")
    return [element("p", *parts)]


def _measured(row: TableRow) -> list[str]:
    parts = [f" is the best: {metric_of(row).title} {Estimate.of(row, 'score').as_value}"]
    if not is_missing(row["own_minus_other"]):
        gain = Estimate(row["own_minus_other"], metric=metric_of(row))
        parts.append(f", {gain.against(_OTHER_PERSONS)}")
    return [*parts, f", at {FORMATS['percent'](row['macs_fraction'])} % of the MACs."]


def _value(value: Any) -> str:
    return FORMATS["number"](value) if isinstance(value, float) else str(value)


def _rivals(results: FolderTables) -> list[Html]:
    """Return a list of the controls and free baselines that beat the best trial, for each kind of persons."""
    table = results.tables.get(BASELINES)
    if table is None:
        text = "What it has to beat was not measured: full, full+classes, l1_local+retrain and its controls. "
        return [element("p", f"{text}`pppl compare` measures it on best.yaml with these methods in it.")]
    items = []
    for row in {(row["persons"], row["seen"]): row for row in table.rows}.values():
        rows = table.alike(row, ["persons", "seen"]).rows
        if (praised := reference_row(rows)) is not None:
            whom = element("strong", protocol_of(row, told=False))
            items.append(element("li", whom, ": ", tell_rivals(praised, rows, (), results.looks)))
    unit = f" In points of {results.metric.title}:" if results.metric.percent else ""
    return [element("p", f"What it has to beat on the same validation persons.{unit}"), element("ul", *items)]


def _importances(results: FolderTables) -> list[Html]:
    table = results.tables.get("importances.csv")
    if table is None:
        done = sum(row["state"] == "complete" for row in results.main.rows)
        lacking = f": {done} trials are complete, {LEAST_TRIALS - done} more are needed" * (done < LEAST_TRIALS)
        return [element("p", f"What mattered most is unknown{lacking}.")]
    rows = sorted(table.rows, key=lambda row: -row["importance"])[:3]
    shares = [join((element("code", row["key"]), f" {Estimate.of(row, 'importance').as_value}")) for row in rows]
    return [
        element(
            "p",
            f"What mattered most, as a share of the differences in {results.metric.title}: ",
            join(shares, ", "),
            ".",
        )
    ]
