"""Data sets, persons and batches. `load_dataset(name)` reads a registered source."""

from .identities import IdentityDataset, Person, Support, draw_persons
from .sources import SOURCES, load_dataset

__all__ = ["SOURCES", "IdentityDataset", "Person", "Support", "draw_persons", "load_dataset"]
