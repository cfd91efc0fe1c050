"""Scores to masks, masks to a smaller network, and what it costs."""

from .budget import budget_masks, threshold_masks
from .cost import Cost, CostModel
from .surgery import artifact_bytes, slice_network

__all__ = ["Cost", "CostModel", "artifact_bytes", "budget_masks", "slice_network", "threshold_masks"]
