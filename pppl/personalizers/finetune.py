"""`finetune` and `l1_finetune`: training on the support set's labels, of the full network and of a pruned one."""

from typing import cast

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..training import finetune
from .base import GlobalModel, Made, Personalizer, register, uniform
from .full import Full
from .l1 import L1


class FineTuned(Personalizer):
    """Whatever `first` gives, fine-tuned on the person's own labelled support set."""

    def __init__(self, method: str, experiment: Experiment, first: Personalizer):
        super().__init__(method, experiment)
        self.first, self.prunes = first, first.prunes

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> Made:
        first = self.first._make(model, support, budget)
        config = self.experiment.finetune
        steps = config.pruned_steps if self.prunes else config.steps
        learning_rate = config.pruned_learning_rate if self.prunes else config.learning_rate
        tuned, samples = finetune(first.module, support, steps=steps, learning_rate=learning_rate)
        return Made(module=cast(Backbone, tuned), masks=first.masks, retrain_samples=samples)


@register("finetune")
def _finetune(experiment: Experiment) -> list[Personalizer]:
    return [FineTuned("finetune", experiment, Full("full", experiment))]


@register("l1_finetune")
def _l1_finetune(experiment: Experiment) -> list[Personalizer]:
    return [FineTuned("l1_finetune", experiment, L1("l1", experiment, uniform))]
