"""The stream of tasks: one base network, a delta for each task, and the bytes stored after each step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..diff import DeltaFile, DeltaStore
from ..tables.journal import Row
from ..text.adapt import Prepared, evaluate
from ..text.encoder import TextClassifier

COLUMNS = ("step", "task", "method", "seed", "score", "score_at_end", "task_bytes", "stored_bytes", "copies_bytes")


def replay(
    encoder: str, rows: Sequence[Row], files: Mapping[str, Path], prepared: Mapping[str, Prepared]
) -> pd.DataFrame:
    """Return `stream.csv`: the deltas of one method, applied to one base in the order of the tasks.

    Each delta was trained from the base on its own task alone. It is scored when it is added, and again when all deltas
    are stored. `task_bytes` is the size of its file, including labels. `stored_bytes` is the size of the base and all
    deltas so far, `copies_bytes` that of as many whole networks.

    **Arguments:**

    - `rows`: one per task, in the order of the tasks.
    - `files`: the files of the deltas, by task.

    Raise `UserError` if a delta is missing or belongs to another base.
    """
    network = TextClassifier(encoder, 1).eval()
    size = sum(parameter.nbytes for parameter in network.encoder.parameters())
    store = DeltaStore(network, dense=["head.*"])

    def score_of(task: str) -> float:
        """Return the test score with a task's delta."""
        store.apply(task)
        return evaluate(network, prepared[task].task, prepared[task].test)[0]

    records, stored, copies = [], size, 0
    for step, row in enumerate(rows, start=1):
        task = row["task"]
        store.add(task, DeltaFile(files[task]))
        file = files[task].stat().st_size
        stored, copies = stored + file, copies + size
        record = {name: row[name] for name in ("task", "method", "seed")}
        record |= {"step": step, "score": score_of(task), "task_bytes": file}
        records.append(record | {"stored_bytes": stored, "copies_bytes": copies})
    at_end = {record["task"]: score_of(record["task"]) for record in records}
    return pd.DataFrame([r | {"score_at_end": at_end[r["task"]]} for r in records], columns=list(COLUMNS))
