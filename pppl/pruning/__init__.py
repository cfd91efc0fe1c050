"""Pruning: masks from scores, smaller networks from masks, and their cost."""

from .basis import Basis, BasisCost, basis_network, convolutions, decompose
from .budget import Costs, budget_masks, masks_within, threshold_masks
from .cost import Cost, CostModel
from .gradients import mean_gradients
from .hessian import filter_traces
from .importance import importance_scores
from .shared_weights import share_weights

__all__ = [
    "Basis",
    "BasisCost",
    "Cost",
    "CostModel",
    "Costs",
    "basis_network",
    "budget_masks",
    "convolutions",
    "decompose",
    "filter_traces",
    "importance_scores",
    "masks_within",
    "mean_gradients",
    "share_weights",
    "threshold_masks",
]
