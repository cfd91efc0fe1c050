"""The registry of data sources: what they are, where they lie, and how they are read."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..system.errors import UserError, unknown
from ..system.files import cache_folder
from .download import Archive
from .features import LogMel
from .identities import IdentityDataset
from .npz import load_npz
from .sources import cifar, digits, omniglot


def _move(unpacked: Path, destination: Path) -> None:
    """For archives that hold the folder as it is read."""
    if not (unpacked / destination.name).exists():
        raise UserError(f"the archive holds no {destination.name}: it is not the published one")
    (unpacked / destination.name).rename(destination)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data source as `pppl data list` shows it.

    - `load`: reads what lies at `path`.
    - `file`: its file or folder in the data folder; empty for data that a package brings.
    - `archives`: what `pppl data prepare` downloads; none where no lasting address is known.
    - `package`: what must be installed instead, as the data are in it.
    - `convert`: makes the file from the folder into which all archives were unpacked, or that of the package.
    - `origin`: what people put there themselves, where nothing is downloaded.
    - `log_mel`: what made samples of recordings.
    """

    load: Callable[[Path], IdentityDataset]
    samples: int
    size: str
    identities: str
    licence: str
    file: str = ""
    archives: tuple[Archive, ...] = ()
    package: str = ""
    convert: Callable[[Path, Path], None] = _move
    origin: str = ""
    log_mel: LogMel | None = None

    @property
    def path(self) -> Path | None:
        """Where it lies, or would lie; None for data that a package brings."""
        return data_folder() / self.file if self.file else None

    def present(self) -> bool:
        return self.path is None or self.path.exists()

    def missing(self, name: str) -> UserError:
        """The error for a source that is not present: what to put where, and how to get it."""
        if self.package:
            how = f"`pip install {self.package}`, then `pppl data prepare {name}` makes it, or put it at {self.path}"
        elif self.archives:
            how = f"`pppl data prepare {name}` downloads it ({self.size}), or put it at {self.path}"
        else:
            how = f"it is not downloaded, put {self.origin} at {self.path}; its licence is {self.licence}"
        return UserError(f"data set {name} is not there: {how} (PPPL_DATA names another data folder)")


def data_folder() -> Path:
    """`$PPPL_DATA`, or `data` in the user's cache folder."""
    return cache_folder("PPPL_DATA", "data")


def load_dataset(name: str) -> IdentityDataset:
    """Reads a registered source, or a file in the identity-dataset format (a name that ends in `.npz`; see `load_npz`).

    Raises `UserError` for a name that is not registered, and for data that is not there or not as it should be.
    """
    if name.endswith(".npz"):
        return load_npz(name)
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    source = SOURCES[name]
    if not source.present():
        raise source.missing(name)
    dataset = source.load(source.path or data_folder())
    return dataclasses.replace(dataset, name=name) if source.file.endswith(".npz") else dataset


def _load_omniglot(path: Path) -> IdentityDataset:
    """Without drawers: a number is another person in every alphabet, and drew each character once."""
    return dataclasses.replace(load_npz(path), identity=None, identities=())


# Their modules need an audio library, which the other sources can do without.
def _load_fsdd(folder: Path) -> IdentityDataset:
    from .sources.fsdd import load

    return load(folder)


def _convert_speech_commands(unpacked: Path, destination: Path) -> None:
    from .sources.speech_commands import convert

    convert(unpacked, destination)


def _convert_shoulder_exercises(package: Path, destination: Path) -> None:
    from .sources.shoulder import convert

    convert(package, destination)


# The hashes are those of the publishers, as torchvision, torchaudio and TensorFlow Datasets have them too.
_KRIZHEVSKY = "https://www.cs.toronto.edu/~kriz"
_LAKE = "https://github.com/brendenlake/omniglot/raw/master/python"
_NPZ = "an .npz file in the identity-dataset format"

SOURCES: dict[str, Source] = {
    "digits": Source(
        load=lambda _: digits.load(),
        samples=1797,
        size="bundled with scikit-learn",
        identities="none: class subsets",
        licence="CC BY 4.0 (UCI 80: Alpaydin, Kaynak 1998)",
    ),
    "cifar10": Source(
        load=cifar.load_cifar10,
        file="cifar-10-batches-bin",
        samples=60_000,
        size="170 MB",
        identities="none: class subsets",
        licence="no formal licence (Krizhevsky 2009)",
        archives=(Archive(url=f"{_KRIZHEVSKY}/cifar-10-binary.tar.gz", hash="md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    ),
    "cifar100": Source(
        load=cifar.load_cifar100,
        file="cifar-100-binary",
        samples=60_000,
        size="169 MB",
        identities="none: class subsets",
        licence="no formal licence (Krizhevsky 2009)",
        archives=(Archive(url=f"{_KRIZHEVSKY}/cifar-100-binary.tar.gz", hash="md5:03b5dce01913d631647c71ecec9e9cb8"),),
    ),
    "omniglot": Source(
        load=_load_omniglot,
        file="omniglot.npz",
        samples=32_460,
        size="16 MB",
        identities="20 drawers per alphabet: class subsets",
        licence="MIT (Lake, Salakhutdinov, Tenenbaum 2015)",
        archives=(
            Archive(url=f"{_LAKE}/images_background.zip", hash="md5:68d2efa1b9178cc56df9314c21c6e718"),
            Archive(url=f"{_LAKE}/images_evaluation.zip", hash="md5:6b91aef0f799c5bb55b94e3f2daec811"),
        ),
        convert=omniglot.convert,
    ),
    "mnist_writers": Source(
        load=load_npz,
        file="mnist-writers.npz",
        samples=70_000,
        size="56 MB",
        identities="836 writers",
        licence="CC BY-SA 3.0 (LeCun et al. 1998; writers: QMNIST, Yadav, Bottou 2019)",
        origin=f"MNIST with the writers as {_NPZ} (https://github.com/facebookresearch/qmnist has them)",
    ),
    "shoulder_exercises": Source(
        load=load_npz,
        file="shoulder-exercises.npz",
        samples=3_605,
        size="11 MB",
        identities="10 subjects",
        licence="BSD-3 (Burns et al. 2018; in the package seglearn)",
        package="seglearn",
        convert=_convert_shoulder_exercises,
    ),
    "arabic_speech_commands": Source(
        load=load_npz,
        file="arabic-speech-commands.npz",
        samples=12_000,
        size="24 MB",
        identities="30 speakers",
        licence="CC BY 4.0 (Ghandoura, Hjabo, Al Dakkak 2021)",
        log_mel=LogMel(),
        origin=f"its log-mels as {_NPZ} (https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset)",
    ),
    "speech_commands": Source(
        load=load_npz,
        file="speech-commands-v0.02.npz",
        samples=105_829,
        size="2.4 GB",
        identities="2,618 speakers",
        licence="CC BY 4.0 (Warden 2018)",
        log_mel=LogMel(),
        archives=(
            Archive(
                url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
                hash="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            ),
        ),
        convert=_convert_speech_commands,
    ),
    "fsdd": Source(
        load=_load_fsdd,
        file="free-spoken-digit-dataset",
        samples=3_000,
        size="21 MB",
        identities="6 speakers",
        licence="CC BY-SA 4.0 (Jackson et al. 2016)",
        log_mel=LogMel(),
        # GitHub makes its archives anew, so that they have no lasting hash; a tag of a repository has.
        origin="the repository (git clone --branch v1.0.10 https://github.com/Jakobovski/free-spoken-digit-dataset)",
    ),
}
