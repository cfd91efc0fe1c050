"""Channel gates on a plain backbone, their losses, and prototypes."""

from .gate import Gate, straight_through
from .gated import GatedNetwork, GatedOutput
from .losses import prototype_loss, target_rate_loss
from .prototype import Rule, prototype

__all__ = [
    "Gate",
    "GatedNetwork",
    "GatedOutput",
    "Rule",
    "prototype",
    "prototype_loss",
    "straight_through",
    "target_rate_loss",
]
