"""Pruning: masks from scores, smaller networks from masks, and their cost."""

from .basis import Basis, BasisCost, basis_network, convolutions, decompose
from .budget import Costs, budget_masks, masks_within, threshold_masks
from .cost import Cost, CostModel
from .cuts import filters
from .gradients import mean_gradients
from .group_check import check_groups
from .hessian import filter_traces
from .importance import importance_scores
from .shared_weights import share_weights
from .surgery import artifact_bytes, slice_network

__all__ = [
    "Basis",
    "BasisCost",
    "Cost",
    "CostModel",
    "Costs",
    "artifact_bytes",
    "basis_network",
    "budget_masks",
    "check_groups",
    "convolutions",
    "decompose",
    "filter_traces",
    "filters",
    "importance_scores",
    "masks_within",
    "mean_gradients",
    "share_weights",
    "slice_network",
    "threshold_masks",
]
