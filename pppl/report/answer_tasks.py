"""The answer for text tasks: what a sparse difference for each task costs in scores and in bytes."""

from collections.abc import Sequence

from ..figures.looks import label_task
from .columns import FORMATS
from .estimate import Estimate, overlap
from .folder import FolderTables
from .html import Html, element, join
from .table import TableRow


def answer_tasks(results: FolderTables) -> list[Html]:
    """Return paragraphs on what is compared, the best method on average, and what a stream of tasks stores."""
    tasks = [task for task in results.main.distinct("task") if task != "average"]
    shown = "average" if "average" in results.main.distinct("task") else tasks[0]
    rows = results.main.alike({"task": shown}, ["task"]).rows
    full = next((row for row in rows if row["method"] == "full"), None)
    adapted = sorted((row for row in rows if row["method"] != "full"), key=lambda row: -row["score"])
    over = f"the average over {len(tasks)} tasks" if shown == "average" else f"the task {shown}"
    opening = f"Scores in %, {over}, means over seeds with 95 % bootstrap intervals in brackets."
    sentences = [*_full(full), *_best(adapted), *_diff(adapted), *_smallest(adapted)]
    return [element("p", opening), element("p", join(sentences, " ")), *_stream(results)]


def _full(row: TableRow | None) -> list[Html]:
    if row is None:
        return []
    return [join((f"Full fine-tuning has {Estimate.of(row, 'score').as_value}{_stored(row)}.",))]


def _best(adapted: Sequence[TableRow]) -> list[Html]:
    if not adapted:
        return []
    best, *others = adapted
    also = overlap(sum(row["score_high"] >= best["score_low"] for row in others), len(others))
    of = f"Best of the {len(adapted)} others" if others else "Beside it"
    return [join((f"{of} is ", _described(best), f"{_stored(best)}{also}."))]


def _diff(adapted: Sequence[TableRow]) -> list[Html]:
    """Return a sentence on diff pruning; none if it is the best method."""
    diff = next((row for row in adapted[1:] if row["method"] == "diff"), None)
    return [] if diff is None else [join(("Here is ", _described(diff), f"{_stored(diff)}."))]


def _smallest(adapted: Sequence[TableRow]) -> list[Html]:
    small = [row for row in adapted if isinstance(row.get("task_bytes"), float) and row["task_bytes"] > 0]
    if len(small) < 2:
        return []
    least = min(small, key=lambda row: row["task_bytes"])
    return [join(("The least is stored by ", _described(least), f"{_stored(least)}."))]


def _described(row: TableRow) -> Html:
    less = Estimate.of(row, "minus_full")
    distance = f", {less.against('full fine-tuning')}" if less.value == less.value else ""
    score = f" with {Estimate.of(row, 'score').as_value}{distance}"
    return join((element("b", label_task(row["method"])), score))


def _stored(row: TableRow) -> str:
    size = row.get("task_bytes")
    return f", in {FORMATS['kilobytes'](size)} kB a task" if isinstance(size, float) and size == size else ""


def _stream(results: FolderTables) -> list[Html]:
    stream = results.tables.get("stream.csv")
    if stream is None:
        return []
    last = max(stream.rows, key=lambda row: row["step"])
    stored, copies = (f"{last[name] / 1e6:,.1f} MB" for name in ("stored_bytes", "copies_bytes"))
    text = f"After {last['step']:,.0f} tasks, deltas on one base take {stored} with it, whole copies {copies}."
    return [element("p", text)]
