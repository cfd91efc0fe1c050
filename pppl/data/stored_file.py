"""Files that lie in a table, as Parquet and Hugging Face data sets hold images and recordings."""

import io
from pathlib import Path
from typing import NamedTuple


class StoredFile(NamedTuple):
    """A file in a table. It opens and prints as a `Path` does.

    - `name`: what messages call it.
    - `content`: its bytes.

    >>> print(StoredFile("data set, row 3", b"RIFF"))
    data set, row 3
    """

    name: str
    content: bytes

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Return the content as a stream. Only `rb` is a mode."""
        assert mode == "rb"
        return io.BytesIO(self.content)

    def is_file(self) -> bool:
        """Return that it is there."""
        return True

    def __str__(self) -> str:
        return self.name


AnyFile = Path | StoredFile


def size_in_bytes(file: AnyFile) -> int:
    """Return the size of a file on disk or in a table."""
    return file.stat().st_size if isinstance(file, Path) else len(file.content)
