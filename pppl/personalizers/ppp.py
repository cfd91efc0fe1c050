"""`ppp`: Prototype-based Personalized Pruning (Kim, Chang, Yun, Kwak; ICASSP 2021; arXiv 2103.15564).

The prototype of a few unlabelled samples prunes the gated network; nothing is trained after that. `gated` is the
ablation: the same, but the gates were trained without the prototype loss. Both come with four controls: the person's
own prototype, everybody's (`population`), another person's (`other`) and a `random` mask of the same cost.
"""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..gating import Rule, prototype
from ..pruning import threshold_masks
from .base import GlobalModel, Personalizer, ScorePruner, SupportFrom, register

_CONTROLS: tuple[SupportFrom, ...] = ("own", "population", "other")


def gate_settings(method: str, experiment: Experiment) -> dict[str, Any]:
    """What the gates that `method` trains, `ppp` or `gated`, depend on: those of `gated` have no prototype loss."""
    settings = asdict(experiment.ppp)
    return settings if method == "ppp" else {k: v for k, v in settings.items() if not k.startswith("prototype_")}


class PPP(ScorePruner):
    """Prunes the gated network `method` by a prototype. Without a budget it keeps channels that are open on average."""

    version = 2

    def __init__(self, method: str, experiment: Experiment, support_from: SupportFrom):
        super().__init__(method, experiment)
        self.gates, self.control, self.support_from = method, str(support_from), support_from

    def depends_on(self) -> dict[str, Any]:
        """How gates are trained and prototypes taken, too."""
        return super().depends_on() | {"ppp": gate_settings(self.method, self.experiment)}

    def _network(self, model: GlobalModel) -> Backbone:
        return model.gated[self.method].backbone

    def _masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        return threshold_masks(scores) if budget is None else super()._masks(model, scores, budget)

    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        network = model.gated[self.method]
        if self.experiment.ppp.prototypes == "sequential":
            return prototype(network, support.x, sequential=rule)
        return support.once(("prototype", network), lambda: prototype(network, support.x))


class RandomMask(PPP):
    """The control of PPP that draws channels by lot."""

    def __init__(self, method: str, experiment: Experiment):
        super().__init__(method, experiment, "own")
        self.control = "random"

    def _masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        # No threshold here: a random mask is one of the same cost.
        return ScorePruner._masks(self, model, scores, budget)

    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        generator = torch.Generator().manual_seed(support.seed)
        return [torch.rand(width, generator=generator).to(support.x.device) for width in model.full.widths]


def _with_controls(method: str, experiment: Experiment) -> list[Personalizer]:
    return [*(PPP(method, experiment, whose) for whose in _CONTROLS), RandomMask(method, experiment)]


@register("ppp")
def _ppp(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("ppp", experiment)


@register("gated")
def _gated(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("gated", experiment)
