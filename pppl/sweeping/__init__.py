"""Settings searched by Optuna on validation persons: days long, killed at any time, on one machine or many."""

from .sweep import status, sweep

__all__ = ["status", "sweep"]
