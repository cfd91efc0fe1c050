"""`finetune` and the step `+finetune`: the full network or a pruned one trained on the support set's labels."""

from dataclasses import dataclass
from typing import Literal

from ..backbones import Backbone, classifier_of
from ..config import Experiment, register_settings, require
from ..data import Support
from ..data.datamodule import check_augmentations
from ..pruning import CostModel
from ..training import finetune
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Full, Personalizer, Step, register_method, register_step


@register_settings("finetune")
@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """Fine-tuning on a support set with its labels (the baselines that retrain): Adam, full batches.

    The defaults are the best of a grid on validation persons of the digits.

    - `steps`: training steps on the whole support set, for the full network.
    - `learning_rate`: the learning rate, for the full network.
    - `pruned_steps`: training steps, for a network that was pruned before.
    - `pruned_learning_rate`: the learning rate, for a network that was pruned before.
    - `layers`: `all` layers are trained, or the `last` alone, the classifier.
    - `augment`: random changes of the support set in each step, by name, as in `training.augment`. Parts of a sample
      that a shift or mask empties are filled with the mean of the training data.
    """

    steps: int = 10
    learning_rate: float = 1e-4
    pruned_steps: int = 80
    pruned_learning_rate: float = 1e-3
    layers: Literal["all", "last"] = "all"
    augment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "pruned_steps"):
            require(getattr(self, name) >= 1, f"finetune.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "pruned_learning_rate"):
            require(getattr(self, name) > 0, f"finetune.{name} is {getattr(self, name)}: more than 0")


@register_step("finetune")
class FineTuned(Step):
    """The network of `first`, fine-tuned on the person's labelled support set."""

    reads_labels = True
    reads = (FinetuneSettings,)
    settings: FinetuneSettings

    @property
    def steps(self) -> int:
        """Number of training steps: those of `first`, and full batches of the support set."""
        config = self.settings
        return self.first.steps + (config.pruned_steps if self.prunes else config.steps)

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` for an unknown augmentation, or if `layers` is `last` and no classifier is found.

        Also raise it if `first` cannot work on such a network.
        """
        super().check(backbone, cost)
        check_augmentations(self.settings.augment, of_people=False)
        if self.settings.layers == "last":
            classifier_of(backbone)

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` after fine-tuning."""
        first = self.output_of_first(model, support, budget)
        config = self.settings
        steps = config.pruned_steps if self.prunes else config.steps
        learning_rate = config.pruned_learning_rate if self.prunes else config.learning_rate
        options = {"layers": config.layers, "augment": config.augment}
        tuned, samples = finetune(
            first.module, support, model.task, steps=steps, learning_rate=learning_rate, **options
        )
        return first.with_module(tuned, samples=samples)


@register_method("finetune")
def _finetune(experiment: Experiment) -> list[Personalizer]:
    return [FineTuned("finetune", Full("full", experiment))]
