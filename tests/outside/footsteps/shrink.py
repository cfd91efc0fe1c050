"""`shrink`: keep the channels that are loudest on the person's own samples."""

from dataclasses import dataclass

import torch

from pppl import ScorePruner, evaluating, hook_groups, register_method, require


@dataclass(frozen=True, kw_only=True)
class ShrinkSettings:
    """The method `shrink`.

    - `power`: of an activation: 1 for its mean size, 2 for its energy.
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        require(self.power > 0, f"shrink.power is {self.power}: more than 0")


@register_method("shrink", settings=ShrinkSettings)
class Shrink(ScorePruner):
    """Score a channel by its mean activation, relative to those of its layer."""

    def scores(self, model, support, rule):
        """Return the scores of each group of channels, `(C_l,)`."""
        scores = [torch.zeros(width) for width in model.full.widths]

        def listen(index, x):  # (B, C, T)
            loudness = x.abs().pow(self.settings.power).mean((0, 2))
            scores[index] = loudness / loudness.mean().clamp(min=1e-12)

        with hook_groups(model.full, after=listen), evaluating(model.full), torch.no_grad():
            model.full(support.x)
        return scores
