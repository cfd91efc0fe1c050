"""The registry of data sources: their description, location, download and loader."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..config import DataSettings
from ..system.errors import UserError, unknown
from ..system.files import cache_folder, expand
from ..system.plugins import load_plugins
from ..system.registries import Registry, place
from .download import Archive
from .features import LogMel
from .identities import IdentityDataset
from .own import OwnData, is_of_users, read_own
from .own.media import refuse_settings


def _move(unpacked: Path, destination: Path) -> None:
    """Move the folder named like `destination` out of an unpacked archive that needs no conversion.

    Raise `UserError` if the archive has no such folder.
    """
    if not (unpacked / destination.name).exists():
        raise UserError(f"the archive holds no {destination.name}: it is not the published one")
    (unpacked / destination.name).rename(destination)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data source as listed by `pppl data list`.

    - `load`: reads the file or folder at `path`.
    - `samples`: number of samples; 0 if it is not known before they are read.
    - `size`, `identities`, `licence`: texts of `pppl data list`.
    - `file`: name of the file or folder in the data folder; empty for data that a required package contains.
    - `archives`: files that `pppl data prepare` downloads; empty if no lasting address is known.
    - `package`: name of a package that contains the data and must be installed in place of a download.
    - `convert`: writes the file or folder, given the folder of all unpacked archives, or that of the package.
    - `origin`: a text that says what users must put at `path` themselves, if nothing is downloaded.
    - `log_mel`: the transform that turned recordings into samples; None for other data.
    """

    load: Callable[[Path], IdentityDataset]
    samples: int = 0
    size: str = "not told"
    identities: str = "not told"
    licence: str = "not told"
    file: str = ""
    archives: tuple[Archive, ...] = ()
    package: str = ""
    convert: Callable[[Path, Path], None] = _move
    origin: str = ""
    log_mel: LogMel | None = None

    @property
    def path(self) -> Path | None:
        """Path of the file or folder, even if it does not exist; None for data that a required package contains."""
        return data_folder() / self.file if self.file else None

    def present(self) -> bool:
        """Return whether the data are on this machine."""
        return self.path is None or self.path.exists()

    def missing(self, name: str) -> UserError:
        """Return the error for a source that is not present. It says how to get the data and where to put them."""
        if self.package:
            how = f"`pip install {self.package}`, then `pppl data prepare {name}` makes it, or put it at {self.path}"
        elif self.archives:
            how = f"`pppl data prepare {name}` downloads it ({self.size}), or put it at {self.path}"
        else:
            how = f"it is not downloaded, put {self.origin} at {self.path}; its licence is {self.licence}"
        return UserError(f"data set {name} is not there: {how} (PPPL_DATA names another data folder)")


def data_folder() -> Path:
    """Return the folder of the data sources: `$PPPL_DATA` if set, else `data` in the user's cache folder.

    >>> path = data_folder() / "omniglot.npz"
    """
    return cache_folder("PPPL_DATA", "data")


def load_dataset(data: str | DataSettings) -> IdentityDataset:
    """Read a registered source, or a user's own data: a file, a folder, or a data set of the Hugging Face hub.

    **Arguments:**

    - `data`: the settings of an experiment, or their `name` alone.

    Raise `UserError` if the name is not registered, or if the data are missing or damaged.

    >>> dataset = load_dataset("digits")
    >>> tuple(dataset.x.shape), len(dataset.classes)
    ((1797, 1, 8, 8), 10)
    """
    return read_data(data).dataset


def read_data(data: str | DataSettings) -> OwnData:
    """Read what `load_dataset` does, with the names of the samples.

    >>> read_data("digits").samples[3]
    'sample 3'
    """
    settings = DataSettings(name=data) if isinstance(data, str) else data
    if is_own_data(settings.name):
        return read_own(settings)
    source = find_source(settings.name)
    if not source.present():
        raise source.missing(settings.name)
    refuse_settings(settings, "columns", "size")
    dataset = source.load(source.path or data_folder())
    if not isinstance(dataset, IdentityDataset):
        made = f"{place(source.load)}) returns {dataset!r:.40}"
        raise UserError(f"data set {settings.name} ({made}: return an IdentityDataset")
    name = settings.name if source.file.endswith(".npz") else dataset.name
    dataset = dataclasses.replace(dataset, name=name, log_mel=source.log_mel or dataset.log_mel)
    return OwnData(dataset, [f"sample {index}" for index in range(len(dataset.y))])


def is_own_data(name: str) -> bool:
    """Return whether a name stands for a user's own data, present or not, and not for a registered source.

    >>> is_own_data("pets.csv"), is_own_data("digits")
    (True, False)
    """
    if is_of_users(name):
        return True
    load_plugins(())
    return name not in SOURCES and name != "" and expand(name).exists()


SOURCES: Registry[Source] = Registry("data set")
Load = TypeVar("Load", bound=Callable[[Path], IdentityDataset])


def register_source(name: str, **about: Any) -> Callable[[Load], Load]:
    """Return a decorator that adds a function as a source of data: it gets a path and returns an `IdentityDataset`.

    ```python
    @register_source("noise", licence="CC0")
    def load(_):
        x, y = torch.rand(40, 1, 8, 8), torch.arange(40) % 2
        return IdentityDataset(name="noise", x=x, y=y, classes=("a", "b"))
    ```

    **Arguments:**

    - `about`: fields of `Source`. Without `file`, the function gets the data folder.

    Raise `UserError` if the name is taken, or if a field is unknown.
    """
    known = {field.name for field in dataclasses.fields(Source)} - {"load"}

    def add(load: Load) -> Load:
        for key in about.keys() - known:
            raise unknown(f"field of data set {name} ({place(load)})", key, known)
        SOURCES.add(name, Source(load=load, **about), made_by=load)
        return load

    return add


def find_source(name: str) -> Source:
    """Return the source of a name. Raise `UserError` with the nearest name if there is none."""
    load_plugins(())
    return SOURCES.find(name)
