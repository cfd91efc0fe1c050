"""`DataSettings`: the data set of an experiment, and how a table of samples is read."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..system.errors import is_text
from .tree import expand_paths, require


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """The columns of a table of samples: a CSV or Parquet file, or a Hugging Face data set.

    A column that is left out is found by its type or name if only one can be meant.

    - `values`: the columns of numbers, in order; or the one column of images, recordings or series. With `sample`,
      numbers are the channels of a time step. Without it, they are the steps of one channel.
    - `label`: the class of each row, or a number to predict if it has fractions.
    - `person`: the speaker, writer or subject of each row.
    - `sample`: the sample that each row is a time step of. Steps have the order of the rows. Without it, each row is
      a sample.
    - `recording`: the recording that each row was cut from. A split never divides one.
    - `split`: `train`, `validation` or `test`.
    """

    values: tuple[str, ...] = ()
    label: str = ""
    person: str = ""
    sample: str = ""
    recording: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        named = [*self.values, *filter(None, self.single().values())]
        twice = next((name for name in named if named.count(name) > 1), "")
        require(not twice, f"data.columns names {twice!r} twice: a column has one meaning")

    def single(self) -> dict[str, str]:
        """Return the columns that have one value in a row, by what they mean."""
        return {key: value for key, value in vars(self).items() if key != "values"}


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The data set, or a part of it for a quick look.

    - `name`: a registered source (`pppl data list`); or the path of your own data: an `.npz`, `.csv`, `.tsv` or
      `.parquet` file, a folder of files, or one that `Dataset.save_to_disk` wrote; or `hf:OWNER/NAME` or
      `hf:OWNER/NAME/CONFIG` of the Hugging Face hub. A folder with the name of a source is written `./NAME`.
    - `columns`: the columns of a table.
    - `size`: height and width that image files are scaled to. Empty: they all have one size.
    - `classes`: the number of classes, the first ones. 0: all.
    - `people`: the number of people, those with the most samples. 0: all.
    - `samples`: the number of samples of each class, split and person. 0: all.
    """

    name: str = "digits"
    columns: ColumnSettings = field(default_factory=ColumnSettings)
    size: tuple[int, ...] = ()
    classes: int = 0
    people: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        require(is_text(self.name), f"data.name is {self.name!r}, which is not UTF-8 text: rename the file")
        for key in ("classes", "people", "samples"):
            value = getattr(self, key)
            require(value >= 0 and value != 1, f"data.{key} is {value}: 0 (all) or at least 2")
        two = len(self.size) in (0, 2) and min(self.size, default=1) >= 1
        require(two, f"data.size is {list(self.size)}: height and width in pixels, such as [32, 32]")
        expand_paths(self, "name")

    def to_hash(self) -> dict[str, Any]:
        """Return the settings that rows depend on. How the data are read is in the hash of the data itself."""
        tree = dataclasses.asdict(self)
        return {key: value for key, value in tree.items() if key not in ("columns", "size")}
