"""Data sets, persons and batches. `load_dataset(name)` reads a registered source or an `.npz` file."""

from .catalogue import SOURCES, data_folder, load_dataset
from .identities import IdentityDataset, NoSamples, Once, Support, now
from .persons import Person, draw_persons, groups, left_out
from .splits import TooFewPersons, limited, resolved, split_for

__all__ = [
    "SOURCES",
    "IdentityDataset",
    "NoSamples",
    "Once",
    "Person",
    "Support",
    "TooFewPersons",
    "data_folder",
    "draw_persons",
    "groups",
    "left_out",
    "limited",
    "load_dataset",
    "now",
    "resolved",
    "split_for",
]
