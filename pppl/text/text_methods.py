"""Ways to give one encoder many tasks: diff pruning and its peers, trained through the same loop.

A method is a function that trains a network in place and says what a task's own file holds. Each task has its own head,
which every method trains, and all train for the same number of steps, in one stage or in two.
"""

from dataclasses import fields
from typing import Any

from ..config import TextDiffSettings
from .dense import bias_norm, for_lora, for_shira, full, last_layer, last_layer_of, lora, shira
from .setting import Method
from .sparse import diff, diff_elementwise, fisher_mask, gradient_mask, magnitude_mask

_DIFF: dict[str, Any] = {"reads": tuple(field.name for field in fields(TextDiffSettings))}
METHODS: dict[str, Method] = {
    "full": Method(full, 5e-5),
    "last_layer": Method(last_layer, 3e-4, check=lambda encoder, _: last_layer_of(encoder)),
    "bias_norm": Method(bias_norm, 1e-3),
    "lora": Method(lora, 5e-4, check=for_lora),
    "shira": Method(shira, 5e-4, check=for_shira),
    "gradient_mask": Method(gradient_mask, 5e-4),
    "fisher_mask": Method(fisher_mask, 5e-4),
    "magnitude_mask": Method(magnitude_mask, 5e-4, reads=("first_share", "first_rate")),
    "diff": Method(diff, 5e-4, **_DIFF),
    "diff_elementwise": Method(diff_elementwise, 5e-4, **_DIFF),
}
