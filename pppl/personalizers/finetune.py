"""`finetune` and the step `+finetune`: training on the support set's labels, of the full network or a pruned one."""

from dataclasses import asdict
from typing import Any

from ..config import Experiment
from ..data import Support
from ..training import finetune
from .base import After, Made, Personalizer, register, register_step
from .full import Full
from .global_model import GlobalModel


class FineTuned(After):
    """Whatever `first` gives, fine-tuned on the person's own labelled support set."""

    reads_labels = True

    @property
    def steps(self) -> int:
        """Those of `first`, and full batches of the support set."""
        config = self.experiment.finetune
        return self.first.steps + (config.pruned_steps if self.prunes else config.steps)

    def depends_on(self) -> dict[str, Any]:
        """What is fine-tuned, and how."""
        return super().depends_on() | {"finetune": asdict(self.experiment.finetune)}

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> Made:
        first = self.first._make(model, support, budget)
        config = self.experiment.finetune
        steps = config.pruned_steps if self.prunes else config.steps
        learning_rate = config.pruned_learning_rate if self.prunes else config.learning_rate
        tuned, samples = finetune(first.module, support, steps=steps, learning_rate=learning_rate)
        return first.changed(tuned, samples=samples)


@register("finetune")
def _finetune(experiment: Experiment) -> list[Personalizer]:
    return [FineTuned("finetune", Full("full", experiment))]


@register_step("finetune")
def _step(first: Personalizer) -> list[Personalizer]:
    return [FineTuned(f"{first.method}+finetune", first)]
