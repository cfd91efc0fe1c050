"""Captions of figures and tables: what is shown, for which persons, and what the intervals are."""

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from ..system.printable import printable
from ..tables.metric import Metric, metric_of
from ..tables.schema import settings_of, with_names
from .accuracy_vs_macs import shown_budgets
from .protocols import are_people, by_protocol, counts_classes, kind_of
from .sweeps import completed_trials, short_name

_BOOTSTRAP = "95 % intervals are percentiles of a bootstrap over"


def caption_comparison(name: str, summary: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return the caption of a figure of a comparison on persons.

    **Arguments:**

    - `name`: of the figure's file, without extension.
    - `summary`, `table`: `summary.csv` and `table.csv.gz`.
    """
    summary = with_names(summary)
    table = with_names(table)
    shown = shown_budgets(summary) if name == "retraining" else sorted({*summary["budget"]} - {1.0})
    parts = [
        _in_metric(_COMPARISON[name], metric_of(summary)),
        _data(summary, shown),
        *_whom(summary, table),
        _intervals(table),
    ]
    return _joined(parts)


def caption_gates(gates: pd.DataFrame, summary: pd.DataFrame) -> str:
    """Return the caption of the gates figure.

    **Arguments:**

    - `gates`, `summary`: `gates.csv`, which may have fewer persons, and `summary.csv`.
    """
    gates = with_names(gates)
    summary = with_names(summary)
    shown = (
        "Probability that a channel is open, for each person (columns); channels (rows) of a layer are sorted by it."
    )
    whom = [f"{name}: n = {rows['identity'].nunique()} persons" for name, rows in by_protocol(gates)]
    seeds = [f"Seed {_listed(sorted(set(gates['seed'])))}." if "seed" in gates.columns else ""]
    return _joined([shown, _data(summary, []), _sentence(whom), *seeds])


def caption_accuracy_table(summary: pd.DataFrame, table: pd.DataFrame, budget: float) -> str:
    """Return the caption of the LaTeX table of scores at a budget."""
    summary = with_names(summary)
    table = with_names(table)
    shown = _in_metric("{Metric} on a person's queries{in_percent}, mean and [95 % interval]", metric_of(summary))
    if budget < 1:
        shown += f", at a budget of {budget * 100:g} % of the full network; what has no budget stands above the line"
    bold = (
        "Bold: the best at this budget, where it differs from the next (Wilcoxon signed-rank test paired over people, "
        "p < 0.05 with Holm's correction for all methods that the best is compared with)."
    )
    samples = (
        "Samples trained on: all that go through a training step, for the person or for everybody, beyond those of the "
        "full network."
    )
    whom = [_data(summary, []), *_whom(summary, table), _intervals(table)]
    return _joined([f"{shown}.", bold * (budget < 1), samples, *whom])


def caption_tasks(summary: pd.DataFrame, *, as_table: bool = False) -> str:
    """Return the caption of scores on text tasks.

    **Arguments:**

    - `summary`: `summary.csv`.
    - `as_table`: whether the caption is that of the LaTeX table, not of the figure.
    """
    summary = with_names(summary)
    tasks = [task for task in dict.fromkeys(summary["task"]) if task != "average"]
    shown = "in brackets" if as_table else "bars; dotted: full fine-tuning"
    scores = f"Scores on test examples times 100, mean and 95 % interval ({shown}), and what is stored of a task."
    none = ""
    metrics = {row["task"]: row["metric"] for row in summary.to_dict("records") if row["metric"]}
    named = f"{len(tasks)} tasks: {'; '.join(f'{printable(task)} ({metrics.get(task, none)})' for task in tasks)}."
    seeds = sorted(set(summary["n"]))
    rates = _listed(_distinct(summary["rate"]))
    count = f"n = {_listed(seeds)} {'seed' if seeds == [1] else 'seeds'} a task, rate {rates}."
    over = "test examples" if seeds == [1] else "seeds and test examples"
    return _joined(
        [scores, f"Encoder {_listed(_distinct(summary['encoder']))}, {named}", count, f"{_BOOTSTRAP} {over}."]
    )


def caption_stream(stream: pd.DataFrame, summary: pd.DataFrame) -> str:
    """Return the caption of the bytes stored as tasks arrive.

    **Arguments:**

    - `stream`, `summary`: `stream.csv` and `summary.csv`.
    """
    shown = "Bytes stored after each task: one base with a delta for each task, beside a whole network for each."
    method = f"Encoder {_listed(_distinct(summary['encoder']))}"
    if {"method", "seed"} <= set(stream.columns):
        method += f", deltas of {_listed(_distinct(stream['method']))}, seed {_listed(_distinct(stream['seed']))}"
    return _joined([shown, f"{method}, n = {len(stream)} tasks."])


def caption_sweep(name: str, trials: pd.DataFrame, shares: pd.DataFrame) -> str:
    """Return the caption of a figure of a sweep.

    **Arguments:**

    - `name`: of the figure's file, without extension.
    - `trials`, `shares`: `trials.csv` and `importances.csv`; the latter may be empty.
    """
    done = completed_trials(trials)
    count = f"n = {len(trials)} trials, {len(done)} of them finished"
    fail = len(done) - int(done["feasible"].to_numpy(bool).sum())
    counts = f"{count}, {fail} of these fail a constraint." if fail else f"{count}."
    settings = f"Settings: {_listed([short_name(key) for key in settings_of(trials.columns)])}."
    shown = _in_metric(_SWEEP[name], metric_of(trials)) + (
        f" {_BOOTSTRAP} trials." if name == "importances" and len(shares) else ""
    )
    return _joined([shown, settings, counts, _in_metric("{Metric} is on validation persons.", metric_of(trials))])


def _in_metric(text: str, metric: Metric) -> str:
    """Return a text with the names and units of a metric in their places."""
    return text.format(
        metric=metric.title,
        Metric=metric.heading,
        in_percent=" in %" * metric.percent,
        in_points=", in points" * metric.percent,
        steps="1 or 3 points" if metric.percent else "0.01 or 0.03",
        below="below" if metric.higher_is_better else "above",
    )


_COMPARISON = {
    "accuracy_vs_macs": "{Metric} on a person's queries against the fraction of the full network's MACs: means with "
    "95 % intervals (bars, or bands of what is not pruned).",
    "score_list": "{Metric} on a person's queries: means with 95 % intervals. Open marks do not prune; the dotted line "
    "is the full network.",
    "accuracy_vs_bytes": "{Metric} on a person's queries against the size of the person's file, diff pruning at "
    "several rates: means with 95 % intervals; lines without markers are levels to compare with.",
    "iso_macs": "The least fraction of the full network's MACs at which mean {metric} is no more than {steps} "
    "{below} the full network's on the same persons, with 95 % intervals; an arrow, or a bar without colour, says that "
    "no budget suffices.",
    "personal_gain": "{Metric} with a mask of the person's own samples less that with a control's{in_points}: a twin "
    "is somebody else with the same classes, other classes are the same person's. Means with 95 % intervals, and where "
    "there is room a dot for each person and seed.",
    "supports": "{Metric} on a person's queries with several kinds of support sets, of the same persons: means with "
    "95 % intervals.",
    "retraining": "{Metric} on a person's queries against the samples that go through a training step beyond those of "
    "the full network, for the person and for everybody, gates among them: means with 95 % intervals. What trains "
    "nothing stands side by side at none.",
}
_SWEEP = {
    "history": "Validation {metric} of each trial in the order of trials, and the best so far among those that keep to "
    "all constraints.",
    "pareto": "Validation {metric} against the fraction of the full network's MACs; the line joins trials that none "
    "beats in both.",
    "importances": "How much each setting matters among the better trials (PED-ANOVA).",
    "contour": "Validation {metric} over the two settings that matter most, a point for each trial; a star is the best "
    "trial.",
    "parallel": "Every trial as a line through its settings, whose least and largest values stand at the ends.",
}


def _data(summary: pd.DataFrame, budgets: Sequence[float]) -> str:
    data = f"Data set {_listed(_distinct(summary['dataset']))}, backbone {_listed(_distinct(summary['backbone']))}"
    if not budgets:
        return f"{data}."
    return f"{data}, {'budget' if len(budgets) == 1 else 'budgets'} {_listed([f'{b * 100:g}' for b in budgets])} %."


def _whom(summary: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Return sentences on `n`, people, seeds and support samples."""
    protocols = []
    for name, rows in _without_kinds(summary):
        counts, people = rows["n"].to_numpy(int), int(rows["people"].to_numpy().max())
        least, count = counts.min(), counts.max()
        n = f"{count}" if least == count else f"{least} to {count}"
        protocols.append(f"{name}: n = {n} person-seed pairs of {people} {_kind(rows)}{_queries(rows, table)}")
    seeds, shots = sorted(set(table["seed"])), _distinct(table["shots"])
    of_each = " of each class" if counts_classes(table) else ""
    return [
        _sentence(protocols),
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}, {_listed(shots)} support samples{of_each}.",
    ]


def _without_kinds(summary: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each protocol with its name; kinds of support sets are of the same persons."""
    names = [kind_of(str(each))[0] for each in summary["persons"]]
    return [(name, summary.loc[rows.index]) for name, rows in by_protocol(summary.assign(persons=names))]


def _queries(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return the least and the most queries of a person; empty for tables of earlier versions, which lack them."""
    if "queries" not in table.columns:
        return ""
    seen = table["seen"].astype(str) == str(rows["seen"].iloc[0])
    of = table.loc[table["persons"].isin(rows["persons"]) & seen, "queries"]
    least, most = (int(of.min()), int(of.max())) if len(of) and of.notna().all() else (0, 0)
    return f", {least}{'' if least == most else f' to {most}'} queries each" if most else ""


def _kind(rows: pd.DataFrame) -> str:
    return "people" if are_people(rows) else "subsets of classes"


def _intervals(table: pd.DataFrame) -> str:
    """Return the sentence on the intervals; they are over seeds, too, if there are several."""
    whom = "people, each with all their rows" if are_people(table) else "persons"
    return f"95 % t intervals over {'seeds and ' * (table['seed'].nunique() > 1)}{whom}."


def _distinct(values: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(values))


def _listed(values: Collection[object]) -> str:
    *first, last = (printable(str(value)) for value in values) if values else ("none",)
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part) + "\n"
