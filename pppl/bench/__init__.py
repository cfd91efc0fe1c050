"""How fast it is, beside named peers."""

from .bench import Result, bench

__all__ = ["Result", "bench"]
