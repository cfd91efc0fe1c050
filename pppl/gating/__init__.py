"""Channel gates on a plain backbone, their losses, and prototypes."""

from .gate import Gate, straight_through
from .gated import GatedNetwork, GatedOutput
from .losses import prototype_loss, target_rate_loss
from .person_gates import GateInput, PersonGatedNetwork, relaxed_masks, with_gradient_of
from .prototype import Rule, prototype

__all__ = [
    "Gate",
    "GateInput",
    "GatedNetwork",
    "GatedOutput",
    "PersonGatedNetwork",
    "Rule",
    "prototype",
    "prototype_loss",
    "relaxed_masks",
    "straight_through",
    "target_rate_loss",
    "with_gradient_of",
]
