"""The registry of data sources: what they are, and how they are read."""

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import unknown
from . import digits
from .identities import IdentityDataset


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data source as `pppl data list` shows it."""

    load: Callable[[], IdentityDataset]
    samples: int
    size: str
    identities: str
    licence: str
    present: Callable[[], bool]


SOURCES: dict[str, Source] = {
    "digits": Source(
        load=digits.load,
        samples=1797,
        size="bundled with scikit-learn",
        identities="none: class subsets",
        licence="CC BY 4.0 (UCI 80: Alpaydin, Kaynak 1998)",
        present=lambda: True,
    ),
}


def load_dataset(name: str) -> IdentityDataset:
    """Reads a registered source. Raises `UserError` for a name that is not registered."""
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name].load()
