"""Data sets, persons and batches. `load_dataset(name)` reads a registered source or an `.npz` file."""

from .identities import IdentityDataset, Once, Support
from .persons import Person, draw_persons, groups
from .sources import SOURCES, data_folder, load_dataset
from .splits import TooFewPersons, limited, resolved, split_for

__all__ = [
    "SOURCES",
    "IdentityDataset",
    "Once",
    "Person",
    "Support",
    "TooFewPersons",
    "data_folder",
    "draw_persons",
    "groups",
    "limited",
    "load_dataset",
    "resolved",
    "split_for",
]
