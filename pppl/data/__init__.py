"""Data sets, splits, persons and batches. `load_dataset(name)` reads a registered source or your own data."""

from . import sources  # noqa: F401 (its modules register themselves)
from .catalogue import SOURCES, data_folder, find_source, load_dataset, register_source
from .identities import IdentityDataset, NoSamples, Support, TimedCache, synchronized_time
from .person_pool import Person
from .persons import GroupName, draw_persons, people_left_out, person_groups
from .splits import TooFewPersons, limit, resolve_protocol, split_for, standardize_targets

__all__ = [
    "SOURCES",
    "GroupName",
    "IdentityDataset",
    "NoSamples",
    "Person",
    "Support",
    "TimedCache",
    "TooFewPersons",
    "data_folder",
    "draw_persons",
    "find_source",
    "limit",
    "load_dataset",
    "people_left_out",
    "person_groups",
    "register_source",
    "resolve_protocol",
    "split_for",
    "standardize_targets",
    "synchronized_time",
]
