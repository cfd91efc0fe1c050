"""Data sets, persons and batches. `load_dataset(name)` reads a registered source or an `.npz` file."""

from .catalogue import SOURCES, data_folder, load_dataset
from .identities import IdentityDataset, NoSamples, Support, TimedCache, synchronized_time
from .persons import Person, draw_persons, people_left_out, person_groups
from .splits import TooFewPersons, limit, resolve_protocol, split_for

__all__ = [
    "SOURCES",
    "IdentityDataset",
    "NoSamples",
    "Person",
    "Support",
    "TimedCache",
    "TooFewPersons",
    "data_folder",
    "draw_persons",
    "limit",
    "load_dataset",
    "people_left_out",
    "person_groups",
    "resolve_protocol",
    "split_for",
    "synchronized_time",
]
