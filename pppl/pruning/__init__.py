"""Scores to masks, masks to a smaller network, and what it costs."""

from .budget import budget_masks, threshold_masks
from .cost import Cost, CostModel
from .gradients import mean_gradients
from .importance import importance_scores
from .surgery import artifact_bytes, slice_network

__all__ = [
    "Cost",
    "CostModel",
    "artifact_bytes",
    "budget_masks",
    "importance_scores",
    "mean_gradients",
    "slice_network",
    "threshold_masks",
]
