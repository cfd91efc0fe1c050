"""Diff pruning: a sparse, learned difference per task on one shared network (Guo, Rush, Kim, ACL 2021)."""

from .delta import Delta, base_sha256, batch_statistics, delta_of
from .file import DeltaFile, delta_bytes, write_delta
from .fixed import FixedDiff, top_positions
from .flat import Flat, Roles, roles
from .relaxed import RelaxedDiff
from .store import DeltaStore

__all__ = [
    "Delta",
    "DeltaFile",
    "DeltaStore",
    "FixedDiff",
    "Flat",
    "RelaxedDiff",
    "Roles",
    "base_sha256",
    "batch_statistics",
    "delta_bytes",
    "delta_of",
    "roles",
    "top_positions",
    "write_delta",
]
