"""`finetune` and the step `+finetune`: training on the support set's labels, of the full network or a pruned one."""

from dataclasses import asdict
from typing import Any

from ..backbones import Backbone, classifier_of
from ..config import Experiment
from ..data import Support
from ..data.datamodule import check_augmentations
from ..pruning import CostModel
from ..training import finetune
from .full import Full
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_method, register_step


class FineTuned(Step):
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

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` also for an unknown augmentation, or where the last layer is not to be found."""
        super().check(backbone, cost)
        check_augmentations(self.experiment.finetune.augment)
        if self.experiment.finetune.layers == "last":
            classifier_of(backbone)

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first = self._first(model, support, budget)
        config = self.experiment.finetune
        steps = config.pruned_steps if self.prunes else config.steps
        learning_rate = config.pruned_learning_rate if self.prunes else config.learning_rate
        how = {"layers": config.layers, "augment": config.augment}
        tuned, samples = finetune(first.module, support, steps=steps, learning_rate=learning_rate, **how)
        return first.with_module(tuned, samples=samples)


@register_method("finetune")
def _finetune(experiment: Experiment) -> list[Personalizer]:
    return [FineTuned("finetune", Full("full", experiment))]


@register_step("finetune")
def _step(first: Personalizer) -> list[Personalizer]:
    return [FineTuned(f"{first.method}+finetune", first)]
