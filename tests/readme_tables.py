"""The README's sentence and table: what to do for a person, from the comparisons with today's class prior."""

from collections.abc import Mapping
from pathlib import Path

import lead_tables
import pandas as pd

from pppl.report.markdown import markdown_table
from pppl.tables.schema import load_frame

_BUDGET = 0.1
# Of each column the folder, and the kind of persons.
_COLUMNS = {
    "photographs, 3 of 10 classes": ("leads_photographs", "3 classes"),
    "keywords, new speakers, 10 of 40": ("leads_keywords", "person+10 classes"),
    "spoken digits, new speakers, 3 of 10": ("leads_fsdd", "person+3 classes"),
    "exercises, new people, all 7": ("leads_shoulder", "person"),
}
# Of each row the methods of which the first is there; that of a person with all classes is without `+classes`.
_ROWS: Mapping[str, tuple[str, ...]] = {
    "nothing: the full network (`full`)": ("full",),
    "unlabelled samples: correct for their classes (`full+classes`)": ("full+classes",),
    "a list of their classes (`full+classes@told`)": ("full+classes@told",),
    "5 labelled samples of each class (`finetune`)": ("finetune",),
    "**a tenth of the MACs**, one network for all (`l1_local+retrain+classes`)": (
        *("l1_local+retrain+classes", "l1_local+retrain"),
    ),
    "the same, and labels (`l1_local+retrain+finetune`)": ("l1_local+retrain+finetune",),
    "the same, the best of five personal masks without labels (`ppp@...+classes`)": (),
}


def decisions(results: Path) -> str:
    """Return a table: what a person has and what to do then, with the accuracy on each data set."""
    summaries = {title: _summary(results / folder, persons) for title, (folder, persons) in _COLUMNS.items()}
    rows = [[row, *(_cell(each, methods) for each in summaries.values())] for row, methods in _ROWS.items()]
    return markdown_table(["what there is, and what to do", *summaries], rows)


def headline(results: Path) -> str:
    """Return the answer in a sentence, on photographs."""
    summary = _summary(results / "leads_photographs", "3 classes")
    full, corrected, small = (_cell(summary, (name,)) for name in ("full", "full+classes", "l1_local+retrain+classes"))
    return (
        f"On photographs, for people who use 3 of 10 classes, a ResNet-20 is right in {full} % of cases. If its "
        "outputs are corrected for the classes that it finds in 15 unlabelled samples, which is free, it is right in "
        f"{corrected} %. At a tenth of its MACs one network for everybody reaches {small} %, and the best of five "
        f"personal masks {_cell(summary, ())} %."
    )


def _summary(folder: Path, persons: str) -> pd.DataFrame:
    """Return the means of a kind of persons, unseen ones where persons are people, with the own samples."""
    rows = load_frame(folder / "summary.csv")
    chosen = folder.with_name(folder.name.replace("leads_", "labels_")) / "summary.csv"
    if chosen.exists():  # fine-tuning with the settings that validation persons chose, on the same persons and networks
        labels = load_frame(chosen)
        labels = labels[labels["method"].str.contains("finetune")]
        rows = pd.concat([rows[~rows["method"].isin(labels["method"])], labels])
    rows = rows[(rows["persons"] == persons) & rows["budget"].isin((_BUDGET, 1.0)) & rows["control"].isin(("", "own"))]
    return rows[~rows["seen"]].set_index("method") if persons.startswith("person") else rows.set_index("method")


def _cell(summary: pd.DataFrame, methods: tuple[str, ...]) -> str:
    if not methods:
        step = "+classes" if "full+classes" in summary.index else ""
        masks = summary[summary.index.isin([f"ppp@{mask}{step}" for mask in lead_tables.MASKS])]
        methods = (str(masks["score"].idxmax()),)
    method = next((each for each in methods if each in summary.index), None)
    if method is None:
        return "-"
    mean, low, high = (100 * summary.loc[method, f"score{end}"] for end in ("", "_low", "_high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"
