"""The command line: each verb calls a function of the same name."""

from .command import main

__all__ = ["main"]
