"""Methods that score channels, and scores of different layers made comparable."""

from abc import abstractmethod
from dataclasses import asdict
from typing import Any

from torch import Tensor

from ..backbones import Backbone, slice_network
from ..data import Support
from ..gating import Rule
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer


class ScorePruner(Personalizer):
    """A method that scores channels, keeps the best that the budget allows, and slices the network.

    >>> ScorePruner.__abstractmethods__  # what a subclass overrides
    frozenset({'scores'})
    """

    def depends_on(self) -> dict[str, Any]:
        """Return the settings of pruning, and those that the method reads, by section."""
        return {"pruning": asdict(self.experiment.pruning)} | super().depends_on()

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network that is sliced by the scores."""

        def rule(scores: list[Tensor]) -> list[Tensor]:
            return self.masks(model, scores, budget)

        masks = rule(self.scores(model, support, rule))
        return MethodOutput(module=slice_network(self.network(model), masks), masks=masks)

    @abstractmethod
    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the scores of the channels, per group `(C_l,)`, comparable between groups.

        **Arguments:**

        - `rule`: the function that will make masks of the scores.
        """

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        """Return the masks, per group `(C_l,)`, that keep the highest scores within a budget."""
        return self.masks_within(budget, scores, model.cost)

    def network(self, model: GlobalModel) -> Backbone:
        """Return the network that is sliced."""
        return model.full


def relative(scores: list[Tensor]) -> list[Tensor]:
    """Return the scores divided by their layer's mean, which makes layers comparable (Torch-Pruning's default).

    >>> import torch
    >>> relative([torch.tensor([1.0, 3.0])])
    [tensor([0.5000, 1.5000])]
    """
    return [score / score.mean().clamp(min=1e-12) for score in scores]


def uniform(scores: list[Tensor]) -> list[Tensor]:
    """Return the rank of each score inside its layer, in (0, 1]: every layer then loses the same fraction of channels.

    >>> import torch
    >>> uniform([torch.tensor([5.0, 1.0])])
    [tensor([1.0000, 0.5000])]
    """
    return [(score.argsort().argsort() + 1) / len(score) for score in scores]
