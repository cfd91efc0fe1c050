"""The samples in a table: one a row, or one from all rows that are its time steps."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from ...config import DataSettings
from ...system.errors import UserError
from .column_choice import ChosenColumns, choose_columns
from .labelled import Labels, OwnData, make_dataset
from .media import Media, read_media, refuse_settings
from .sample_table import SampleTable

_SHOWN = 6  # names of columns in a line


def read_table(name: str, table: SampleTable, data: DataSettings, about: Sequence[str] = ()) -> OwnData:
    """Read a table as a data set.

    - Numbers with a column `sample`: its rows are the time steps of samples, `(N, C, T)`, in their order. Samples
      differ in the columns `sample`, `recording`, `person`, `label` or `split`.
    - Numbers without it: each row is a series of one channel, `(N, 1, T)`.
    - Arrays: `(T,)` in several columns are the channels of `(N, C, T)`. One column may hold `(C, T)` or `(C, H, W)`.
    - Images and recordings as in folders.

    **Arguments:**

    - `name`: of the data set.
    - `about`: more lines about how the table was read.

    Raise `UserError` if columns are missing or cannot be told, if samples differ in length, or as `make_dataset` does.
    """
    columns = choose_columns(table, data.columns)
    if columns.kind != "image":
        refuse_settings(data, "size")
    first = np.arange(len(table))
    if columns.kind in ("image", "audio"):
        media = read_media(columns.kind, table.files(columns.values[0]), data)
    elif columns.sample:
        steps = _steps(table, columns)
        values = np.stack([table.numbers(name)[steps] for name in columns.values], 1)  # (N, C, T)
        media, first = Media(torch.from_numpy(values)), steps[:, 0]
    else:
        media = Media(_rows(table, columns))
    samples = [table.place(row) for row in first.tolist()]
    lines = [_in_words(table, columns), *about]
    return make_dataset(name, table.where, media, _labels(table, columns, first), samples, lines)


def _steps(table: SampleTable, columns: ChosenColumns) -> np.ndarray:
    """Return the rows of each sample in their order, `(N, T)`. Raise `UserError` if samples differ in length."""
    keys = [*zip(*(table.texts(name) for name in columns.single().values()), strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    index = np.array([numbers[key] for key in keys])
    counts = np.bincount(index)
    (usual, _) = Counter(counts.tolist()).most_common(1)[0]
    if (odd := np.flatnonzero(counts != usual)).size:
        row, length = int((index == odd[0]).argmax()), int(counts[odd[0]])
        sample = table.texts(columns.sample)[row]
        raise UserError(
            f"{table.place(row)}: sample {sample} has {length:,} rows, most have {usual:,} ({len(odd):,} of "
            f"{len(counts):,} samples differ): cut or pad all to one length"
        )
    return np.argsort(index, kind="stable").reshape(len(counts), usual)


def _rows(table: SampleTable, columns: ChosenColumns) -> torch.Tensor:
    """Return one sample a row, `(N, C, ...)`."""
    arrays = [table.numbers(name) for name in columns.values]
    if columns.kind == "number":
        return torch.from_numpy(np.stack(arrays, 1)[:, None])
    shapes = {name: array.shape[1:] for name, array in zip(columns.values, arrays, strict=True)}
    if len(arrays) > 1:
        if len({*shapes.values()}) > 1 or arrays[0].ndim != 2:
            told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{table.where}: several columns of arrays are channels of one length, not {told}")
        return torch.from_numpy(np.stack(arrays, 1))
    (shape,) = shapes.values()
    if len(shape) not in (1, 2, 3) or 0 in shape:
        raise UserError(f"{table.where}: {columns.values[0]} has shape {shape}: give (T,), (C, T) or (C, H, W)")
    return torch.from_numpy(arrays[0][:, None] if len(shape) == 1 else arrays[0])


def _labels(table: SampleTable, columns: ChosenColumns, first: np.ndarray) -> Labels:
    """Return what the table says of each sample, in its first row."""

    def texts(name: str) -> list[str] | None:
        if not name:
            return None
        cells = table.texts(name)
        return [cells[row] for row in first.tolist()]

    numbers = table.numbers(columns.label)[first] if table.kinds[columns.label] == "number" else np.zeros(0)
    is_regression = bool((np.isfinite(numbers) & (numbers != np.floor(numbers))).any())
    return Labels(
        classes=numbers if is_regression else texts(columns.label) or [],
        names=table.class_names(columns.label),
        people=texts(columns.person),
        recordings=texts(columns.recording),
        splits=texts(columns.split),
    )


def _in_words(table: SampleTable, columns: ChosenColumns) -> str:
    """Describe in one line which column means what, and which ones are not read."""
    single = columns.single()
    values = f"{len(columns.values):,} columns, {columns.values[0]} to {columns.values[-1]}"
    shown = ", ".join(columns.values) if len(columns.values) <= _SHOWN else values
    left = [name or "one without a name" for name in table.kinds if name not in (*columns.values, *single.values())]
    not_read = f"; not read: {', '.join(left[:_SHOWN])}{', ...' * (len(left) > _SHOWN)}" if left else ""
    return f"values {shown}; {', '.join(f'{key} {name}' for key, name in single.items())}{not_read}"
