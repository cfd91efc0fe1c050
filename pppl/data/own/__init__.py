"""Data that users bring: folders of files, tables, and data sets of Hugging Face, read as any other data set."""

from .labelled import OwnData
from .own_data import is_missing, is_of_users, read_own

__all__ = ["OwnData", "is_missing", "is_of_users", "read_own"]
