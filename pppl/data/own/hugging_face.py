"""Data sets of the Hugging Face library `datasets`: from the hub, or from a folder that it has saved."""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...config import DataSettings
from ...system.errors import UserError, first_line
from ...system.extras import Needing
from ...system.progress import quieter
from .arrow_table import ArrowTable
from .labelled import SPLITS, OwnData
from .table_samples import read_table

HUB = "hf:"
_SPLIT = "split"  # the column that tells the split of each row


def is_saved(folder: Path) -> bool:
    """Return whether a folder was written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved(folder: Path, data: DataSettings) -> OwnData:
    """Read a folder that `save_to_disk` wrote.

    Raise `UserError` if it is damaged, if `datasets` is not installed, or as `read_table` does.

    ```python
    read_saved(Path("mnist"), DataSettings(name="mnist"))
    ```
    """
    with Needing(str(folder), "hf"):
        library = importlib.import_module("datasets")
    try:
        loaded = library.load_from_disk(str(folder))
    except Exception as error:  # of the library, of pyarrow and of json
        raise UserError(f"{folder} is damaged ({first_line(error)}): save it again with save_to_disk") from error
    return _read(folder.resolve().name, str(folder), loaded, data, folder)


def read_hub(data: DataSettings) -> OwnData:
    """Read a data set of the hub, `hf:OWNER/NAME` or `hf:OWNER/NAME/CONFIG`. It is downloaded once.

    No code of the data set is run: `datasets` 4 and later refuse data sets with code.

    Raise `UserError` if it cannot be loaded, if `datasets` is not installed, or as `read_table` does.
    """
    owner, _, rest = data.name.removeprefix(HUB).partition("/")
    name, _, config = rest.partition("/")
    with Needing(data.name, "hf"):
        library = importlib.import_module("datasets")
    try:
        # Else each time that the connection is tried again is a warning.
        with quieter(logging.getLogger("huggingface_hub"), logging.ERROR):
            loaded = library.load_dataset("/".join(filter(None, (owner, name))), config or None)
    except Exception as error:  # of the library, of the hub, of the network
        raise UserError(
            f"{data.name} cannot be loaded ({first_line(error)}): check name and connection, or save it where there "
            "is one with save_to_disk and give the folder"
        ) from error
    return _read(name or owner, data.name, loaded, data, Path())


def _read(name: str, where: str, loaded: Any, data: DataSettings, beside: Path) -> OwnData:
    import pyarrow as pa

    parts = {key: part for key, part in loaded.items() if len(part)} if isinstance(loaded, Mapping) else {"": loaded}
    known = {key: part for key, part in parts.items() if key.casefold() in SPLITS} if len(parts) > 1 else parts
    if not known:
        raise UserError(f"{where} has the splits {', '.join(parts)}, none of which is train: save the one to use alone")
    features = next(iter(known.values())).features
    tables = [part.with_format("arrow")[:].cast(features.arrow_schema) for part in known.values()]
    table, about = pa.concat_tables(tables), []
    if len(known) > 1:
        if _SPLIT in table.column_names:
            table = table.drop_columns([_SPLIT])
        split = [key for key, part in known.items() for _ in range(len(part))]
        table = table.append_column(_SPLIT, pa.array(split))
    if left := parts.keys() - known.keys():
        about = [f"splits that are not read: {', '.join(sorted(left))}"]
    return read_table(name, ArrowTable(where, table, beside), data, about)
