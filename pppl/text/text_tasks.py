"""Text tasks: GLUE, CLINC150, and tables with texts and labels."""

import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import TextColumns
from ..data.catalogue import data_folder
from ..data.own.sample_table import read_bytes
from ..system.errors import UserError, unknown
from ..tasks import TASKS, Task
from .metrics import METRICS
from .text_table import TABLES, USUAL_COLUMNS, read_text_csv, read_text_parquet

# The fraction and the largest number of examples to hold back if a task lacks a split.
_HELD_BACK, _MOST_HELD_BACK = 0.1, 1000
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Texts and targets.

    - `texts`: the one or two sentences of each text.
    - `targets`: class indices, or numbers in a regression, `(N,)`.
    """

    texts: list[tuple[str, ...]]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, rows: Iterable[int]) -> "Examples":
        """Return the examples of some rows, in that order."""
        rows = list(rows)
        return Examples(texts=[self.texts[row] for row in rows], targets=self.targets[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class TextTask:
    """A task with its three splits.

    - `metric`: a name in `METRICS` of `pppl.text.metrics`.
    - `labels`: the names of the classes; none for a regression.
    - `test`: the examples that results are reported on. GLUE hides the labels of its test split. The official
      development set takes its place.
    - `validation`: the examples for tuning. A task that has none holds back a tenth of its training examples, at most
      1,000.
    - `about`: lines about a user's file: what was read, and what may be a mistake in it.
    """

    name: str
    metric: str
    labels: tuple[str, ...]
    train: Examples
    validation: Examples
    test: Examples
    about: tuple[str, ...] = ()

    @property
    def kind(self) -> Task:
        """The kind of task: classification, or regression if it has no labels."""
        return TASKS["classification" if self.labels else "regression"]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of outputs `(B, outputs)` and targets `(B,)`."""
        return self.kind.loss(outputs, targets if self.labels else targets[:, None])

    def predict(self, outputs: Tensor) -> np.ndarray:
        """Return class indices, or numbers, `(N,)`, of outputs `(N, outputs)`."""
        predicted = self.kind.predict(outputs)
        return (predicted if self.labels else predicted[:, 0]).numpy()

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Return the metric of outputs `(N, outputs)` and targets `(N,)`."""
        return METRICS[self.metric](targets.numpy(), self.predict(outputs))

    @property
    def outputs(self) -> int:
        """The number of outputs of a network's head."""
        return len(self.labels) or 1


@dataclass(frozen=True, kw_only=True)
class _Glue:
    """Columns of an official TSV file, by name, or by number if it has no header."""

    texts: tuple[str | int, ...]
    label: str | int
    metric: str = "accuracy"
    labels: tuple[str, ...] = ("0", "1")


_GLUE = {
    "CoLA": _Glue(texts=(3,), label=1, metric="matthews"),
    "MRPC": _Glue(texts=("#1 String", "#2 String"), label="Quality", metric="accuracy and F1"),
    "RTE": _Glue(texts=("sentence1", "sentence2"), label="label", labels=("entailment", "not_entailment")),
    "SST-2": _Glue(texts=("sentence",), label="label"),
    "STS-B": _Glue(texts=("sentence1", "sentence2"), label="score", metric="Pearson and Spearman", labels=()),
}


def task_names() -> list[str]:
    """Return the names of all tasks but tables of users."""
    return [*(f"glue/{name}" for name in _GLUE), "clinc150", *(f"clinc150/{name}" for name in _domains())]


def load_task(name: str, columns: TextColumns = USUAL_COLUMNS) -> TextTask:
    """Return a task by name.

    Names are `glue/CoLA`, `clinc150` (150 intents), `clinc150/banking` (the 15 intents of a domain), or the path of a
    CSV or Parquet file.

    A file has the columns `text` and `label`. It may have `text2`, the second sentence of a pair, and `split`
    (`train`, `validation` or `test`). Without `split`, a tenth is held back for testing, and a tenth of the rest for
    validation. Commas, semicolons, tabs or bars separate the cells of a CSV file.

    **Arguments:**

    - `columns`: what the columns of a file are called.

    Raise `UserError` if the task is unknown, not there, or damaged.

    ```python
    load_task("clinc150/banking").labels
    ```
    """
    if Path(name).suffix.lower() in TABLES:
        return _load_table(Path(name), columns)
    family, _, part = name.partition("/")
    if family == "glue" and part in _GLUE:
        return _load_glue(part, data_folder() / "glue" / part)
    if family == "clinc150" and (not part or part in _domains()):
        return _load_clinc(name, part, data_folder() / "clinc150")
    raise unknown("task", name, task_names())


def _load_glue(name: str, folder: Path) -> TextTask:
    source = _GLUE[name]
    train, test = (_read_tsv(folder / f"{part}.tsv", source) for part in ("train", "dev"))
    return _with_validation(Path("glue") / name, source.metric, source.labels, train, test)


def _read_tsv(path: Path, source: _Glue) -> Examples:
    content = _read_text(path, "GLUE (gluebenchmark.com)")
    lines = content.rstrip("\n").split("\n")  # splitlines would split at more than line ends
    rows = [line.split("\t") for line in lines]
    columns: list[Any] = [*range(len(rows[0]))]
    if isinstance(source.label, str):
        columns, rows = rows[0], rows[1:]
    try:
        text_columns, label = [columns.index(column) for column in source.texts], columns.index(source.label)
        texts = [tuple(row[column] for column in text_columns) for row in rows]
        index = {name: i for i, name in enumerate(source.labels)}
        targets = [index[row[label]] if source.labels else float(row[label]) for row in rows]
    except (ValueError, IndexError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again") from error
    return Examples(texts=texts, targets=torch.tensor(targets))


def _domains() -> tuple[str, ...]:
    return (
        *("banking", "credit_cards", "kitchen_and_dining", "home", "auto_and_commute"),
        *("travel", "utility", "work", "small_talk", "meta"),
    )


def _load_clinc(name: str, domain: str, folder: Path) -> TextTask:
    origin = "CLINC150 (github.com/clinc/oos-eval)"
    contents = [_read_text(folder / name, origin) for name in ("data_full.json", "domains.json")]
    try:
        data, intents = map(json.loads, contents)
        labels = tuple(sorted(intents[domain] if domain else {label for _, label in data["train"]}))
        splits = [
            [(text, label) for text, label in data[part] if label in set(labels)] for part in ("train", "val", "test")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is damaged ({error}): fetch {origin} again") from error
    train, validation, test = (_make_examples(rows, labels) for rows in splits)
    return TextTask(name=name, metric="accuracy", labels=labels, train=train, validation=validation, test=test)


def _make_examples(rows: Sequence[tuple[str, str]], labels: Sequence[str]) -> Examples:
    index = {label: i for i, label in enumerate(labels)}
    return Examples(texts=[(text,) for text, _ in rows], targets=torch.tensor([index[label] for _, label in rows]))


def _load_table(path: Path, columns: TextColumns) -> TextTask:
    if path.suffix.lower() == ".parquet":
        file = read_text_parquet(path, columns)
    else:
        file = read_text_csv(path, _read_content(path, "a file of yours"), columns)
    task = _make_task(path, file.rows, file.columns)
    splits = ", ".join(f"{part} {len(getattr(task, part)):,}" for part in _SPLITS)
    summary = f"{path}: {len(file.rows):,} texts, {len(task.labels)} classes; columns {', '.join(file.columns)}"
    return dataclasses.replace(task, about=(f"{summary}; {splits} ({file.how})", *file.notes()))


def _make_task(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> TextTask:
    labels = tuple(sorted({row["label"] for row in rows}))
    if len(labels) < 2:
        raise UserError(f"{path} has {len(labels)} labels: a task needs 2 at least")
    texts = [tuple(row[key] for key in ("text", "text2") if key in columns) for row in rows]
    examples = Examples(texts=texts, targets=torch.tensor([labels.index(row["label"]) for row in rows]))
    if "split" not in columns:
        rest, test = _hold_back(examples, str(path), seed=1)
        return _with_validation(path, "accuracy", labels, rest, test)
    split_of = [row["split"].strip().casefold() for row in rows]
    parts = {part: examples.rows(i for i, split in enumerate(split_of) if split == part) for part in _SPLITS}
    for split in split_of:
        if split not in _SPLITS:
            raise unknown(f"split in {path}", split, _SPLITS)
    for part in ("train", "test"):
        if not parts[part]:
            raise UserError(f"{path} has no rows whose split is {part}: give some, or leave the column out")
    if not parts["validation"]:
        return _with_validation(path, "accuracy", labels, parts["train"], parts["test"])
    train, validation, test = (parts[part] for part in _SPLITS)
    return TextTask(name=path.stem, metric="accuracy", labels=labels, train=train, validation=validation, test=test)


def _with_validation(path: Path, metric: str, labels: tuple[str, ...], train: Examples, test: Examples) -> TextTask:
    rest, validation = _hold_back(train, str(path), seed=0)
    name = path.stem if path.suffix.lower() in TABLES else path.as_posix()
    return TextTask(name=name, metric=metric, labels=labels, train=rest, validation=validation, test=test)


def _hold_back(examples: Examples, origin: str, *, seed: int) -> tuple[Examples, Examples]:
    """Return most of the examples, and a random part that is held back. Raise `UserError` if there are too few."""
    if len(examples) < 2:
        raise UserError(f"{origin}: {len(examples)} examples are too few to hold some back: give at least 2")
    count = min(max(1, round(_HELD_BACK * len(examples))), _MOST_HELD_BACK)
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    return examples.rows(sorted(order[count:])), examples.rows(sorted(order[:count]))


def _read_text(path: Path, origin: str) -> str:
    """Return the text of a file, with newlines as line ends."""
    try:
        return io.TextIOWrapper(io.BytesIO(_read_content(path, origin)), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _read_content(path: Path, origin: str) -> bytes:
    return read_bytes(path, f"put {origin} there (PPPL_DATA names another data folder)")
