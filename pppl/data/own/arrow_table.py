"""Arrow tables, which Parquet files and Hugging Face data sets are read as."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...system.errors import UserError, first_line
from ...system.extras import Needing
from ..stored_file import AnyFile, StoredFile
from .sample_table import ColumnKind, SampleTable

# How recordings begin: wav, flac, ogg, aiff, and mp3 with a tag or without. Other files are images.
_SOUNDS = (b"RIFF", b"fLaC", b"OggS", b"FORM", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
_WEBP = b"WEBP"  # at byte 8 of an image that begins like a wav file
_FILE = {"bytes", "path"}


def read_parquet(path: Path) -> "ArrowTable":
    """Read a Parquet file. Raise `UserError` if it is missing or damaged, or if pyarrow is not installed."""
    if not path.is_file():
        raise UserError(f"{path} is not there: check the name of the file")
    with Needing(str(path), "hf"):
        parquet = importlib.import_module("pyarrow.parquet")
    try:
        table = parquet.ParquetFile(path).read()
    except Exception as error:  # pyarrow raises several kinds of errors on damaged files
        raise UserError(f"{path} is no Parquet file that can be read ({first_line(error)}): write it again") from error
    return ArrowTable(str(path), table, path.parent)


class ArrowTable(SampleTable):
    """A table of pyarrow. Names of classes are read from its metadata, where Hugging Face writes them.

    **Arguments:**

    - `table`: a `pyarrow.Table`.
    - `beside`: folder that relative paths of files begin in.

    Raise `UserError` if there are no rows.
    """

    def __init__(self, where: str, table: Any, beside: Path):
        if not len(table):
            raise UserError(f"{where} has no rows: give one for each sample")
        self.where, self._table, self._beside = where, table, beside
        features = _features(table.schema.metadata)
        self._classes = {
            name: tuple(map(str, about.get("names", ())))
            for name, about in features.items()
            if isinstance(about, dict) and about.get("_type") == "ClassLabel"
        }
        self.kinds = {name: self._kind(name) for name in table.column_names}

    def __len__(self) -> int:
        return len(self._table)

    def place(self, row: int) -> str:
        """Return the file or data set and the number of a row, from 0."""
        return f"{self.where}, row {row}"

    def class_names(self, name: str) -> Sequence[str]:
        """Return the names that a column of classes knows."""
        return self._classes.get(name, ())

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column as texts without the spaces around them; an unknown class is empty."""
        cells = self._table[name].to_pylist()
        if names := self._classes.get(name):
            return [names[cell] if cell is not None and 0 <= cell < len(names) else "" for cell in cells]
        whole = (int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells)
        return ["" if cell is None else str(cell).strip() for cell in whole]

    def numbers(self, name: str) -> np.ndarray:
        """Return the numbers of a column or of its arrays: uint8 as they are, others as float64."""
        import pyarrow as pa
        from pyarrow.compute import call_function

        array, shape = self._table[name].combine_chunks(), [len(self._table)]
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        while self._is_array(array.type):
            if isinstance(array.type, pa.BaseExtensionType):
                array = array.storage
                continue
            lengths = call_function("list_value_length", [array]).fill_null(-1).to_numpy(zero_copy_only=False)
            if (odd := np.flatnonzero(lengths != lengths[0])).size:
                row = int(odd[0]) // (len(array) // shape[0])
                raise UserError(f"{self.place(row)}: {name} has another shape than in row 0: cut or pad all to one")
            shape.append(int(lengths[0]))
            array = array.flatten()
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise UserError(f"{self.where}: {name} holds {array.type}, not numbers: name other columns")
        array = array if pa.types.is_uint8(array.type) and not array.null_count else array.cast(pa.float64())
        return np.array(array.to_numpy(zero_copy_only=False)).reshape(shape)

    def files(self, name: str) -> list[AnyFile]:
        """Return the images or recordings of a column: those in the table, or those at a path that it names."""
        return [self._file(row, cell) for row, cell in enumerate(self._table[name].to_pylist())]

    def _file(self, row: int, cell: Mapping[str, Any] | None) -> AnyFile:
        content, path = (cell or {}).get("bytes"), (cell or {}).get("path")
        if content is not None:
            return StoredFile(self.place(row), content)
        if path:
            return self._beside / path
        raise UserError(f"{self.place(row)} holds no file: leave the row out")

    def _kind(self, name: str) -> ColumnKind:
        import pyarrow as pa

        kind = self._table.schema.field(name).type
        if name in self._classes:
            return "class"
        if self._is_array(kind):
            return "array"
        if pa.types.is_struct(kind) and {kind.field(at).name for at in range(kind.num_fields)} == _FILE:
            return self._kind_of_file(self.files(name)[0])
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return "number"
        of_words = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_dictionary)
        return "text" if any(is_kind(kind) for is_kind in of_words) else "other"

    def _kind_of_file(self, file: AnyFile) -> ColumnKind:
        try:
            with file.open("rb") as stream:
                start = stream.read(12)
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}): put it where it was") from error
        return "audio" if start.startswith(_SOUNDS) and start[8:] != _WEBP else "image"

    @staticmethod
    def _is_array(kind: Any) -> bool:
        """Return whether a type is of lists, or stored as such."""
        import pyarrow as pa

        while isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _features(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Return what Hugging Face writes about columns, by name; empty if there is nothing, or nothing that it writes."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return features if isinstance(features, dict) else {}
    except (KeyError, TypeError, ValueError):
        return {}
