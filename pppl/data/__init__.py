"""Data sets, persons and batches. `load_dataset(name)` reads a registered source or an `.npz` file."""

from .identities import IdentityDataset, Support
from .persons import Person, draw_persons, groups, resolved
from .sources import SOURCES, data_folder, load_dataset
from .splits import limited, split_for

__all__ = [
    "SOURCES",
    "IdentityDataset",
    "Person",
    "Support",
    "data_folder",
    "draw_persons",
    "groups",
    "limited",
    "load_dataset",
    "resolved",
    "split_for",
]
