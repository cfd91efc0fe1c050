"""The data sets that users bring, by path: an `.npz` file, a table, or a folder; or by name on the Hugging Face hub."""

from collections.abc import Callable
from pathlib import Path

from ...config import DataSettings
from ...system.errors import UserError
from ...system.files import expand
from ..npz import load_npz
from .arrow_table import read_parquet
from .hugging_face import HUB, is_saved, read_hub, read_saved
from .labelled import OwnData
from .media import refuse_settings
from .sample_folder import read_sample_folder
from .sample_table import CsvTable
from .table_samples import read_table

_GIVE = f"a folder, an .npz, .csv, .tsv or .parquet file, or {HUB}OWNER/NAME"


def is_of_users(name: str) -> bool:
    """Return whether a name is a path or one on the hub by its form, and so that of no registered source.

    >>> is_of_users("pets.csv"), is_of_users("./pets"), is_of_users("hf:ylecun/mnist"), is_of_users("digits")
    (True, True, True, False)
    """
    return name.startswith(HUB) or "/" in name or Path(name).suffix.lower() in _FILES


def is_missing(name: str) -> bool:
    """Return whether a user's own data are not there. What lies on the hub is never missing before it is read."""
    return not name.startswith(HUB) and not expand(name).exists()


def read_own(data: DataSettings) -> OwnData:
    """Read a user's own data set.

    Raise `UserError` if it is missing, damaged or of no known kind, or if settings do not fit it.

    ```python
    read_own(DataSettings(name="pets")).dataset  # a folder with cat/1.png, dog/1.png, ...
    ```
    """
    path = expand(data.name)
    if data.name.startswith(HUB):
        return read_hub(data)
    if path.is_dir():
        read = read_saved if is_saved(path) else _read_folder
    else:
        read = _FILES.get(path.suffix.lower())
        if read is None:
            wrong = "is of no kind that can be read" if path.exists() else "is not there"
            raise UserError(f"{data.name} {wrong}: give {_GIVE}")
    return read(path, data)


def _read_folder(path: Path, data: DataSettings) -> OwnData:
    refuse_settings(data, "columns")
    return read_sample_folder(path, data)


def _read_npz(path: Path, data: DataSettings) -> OwnData:
    refuse_settings(data, "columns", "size")
    dataset = load_npz(path)
    return OwnData(dataset, [f"{path}[{index}]" for index in range(len(dataset.y))])


def _read_csv(path: Path, data: DataSettings) -> OwnData:
    table = CsvTable(path, [*data.columns.values, *data.columns.single().values()])
    return read_table(path.stem, table, data, [table.how])


def _read_parquet(path: Path, data: DataSettings) -> OwnData:
    return read_table(path.stem, read_parquet(path), data)


_FILES: dict[str, Callable[[Path, DataSettings], OwnData]] = {
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
