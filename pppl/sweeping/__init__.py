"""Hyperparameter search with Optuna on validation persons: resumable, on one machine or several."""

from .sweep import status, sweep

__all__ = ["status", "sweep"]
