"""Benchmarks: the speed of this package relative to named peers."""

from .bench import Result, bench

__all__ = ["Result", "bench"]
