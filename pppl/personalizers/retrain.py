"""The step `+retrain`: a static method's network fine-tuned on the global training set, the usual pipeline of pruning.

An upper bound for everything that happens on the device: it needs all the training data again for each budget.
"""

from ..data import Support
from ..data.datamodule import seen_in_a_pass
from ..system.errors import UserError
from .global_model import GlobalModel, RetrainSettings
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_step


@register_step("retrain")
class RetrainedForAll(Step):
    """Whatever static method `first` gives, retrained; everybody shares the result.

    Raises `UserError` where `first` looks at a person, which would be a training on everybody's data for each of them,
    or keeps gates.
    """

    support_from = "none"
    reads = (RetrainSettings,)
    settings: RetrainSettings

    def __init__(self, method: str, first: Personalizer):
        if first.support_from != "none":
            raise UserError(f"method {method} would retrain on everybody's data for each person: use +finetune")
        if first.gates is not None:
            raise UserError(f"method {method} would retrain a network with gates: leave +retrain out")
        super().__init__(method, first)

    @property
    def for_all(self) -> Personalizer:
        """All of it."""
        return self

    def train_samples(self, rows: int) -> int:
        """Those of `first`, and all that retraining goes through."""
        of_pass = seen_in_a_pass(rows, self.experiment.training.batch_size)
        return super().train_samples(rows) + self.settings.epochs * of_pass

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first = self.output_of_first(model, support, budget)
        network, seconds = model.retrain(first.module, self.settings)
        return first.with_module(network, seconds_before=first.seconds_before + seconds)
