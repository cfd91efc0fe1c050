"""The step `+retrain`: a static method's network fine-tuned on the global training set, as pruning usually does.

The result is an upper bound for methods that run on the device: each budget needs all the training data again.
"""

from ..data import Support
from ..data.datamodule import seen_in_a_pass
from ..system.errors import UserError
from .global_model import GlobalModel, RetrainSettings
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_step


@register_step("retrain")
class RetrainedForAll(Step):
    """The network of a static method `first`, retrained; everybody shares the result.

    Raise `UserError` if `first` reads a person's samples, since each person would need such a training, or if it has
    gates.
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
        """The step itself."""
        return self

    def train_samples(self, rows: int) -> int:
        """Return how many samples the training of `first` and the retraining go through, of `rows` in a pass."""
        in_a_pass = seen_in_a_pass(rows, self.experiment.training.batch_size)
        return super().train_samples(rows) + self.settings.epochs * in_a_pass

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the retrained network, with the seconds of its training if it comes from a cache."""
        first = self.output_of_first(model, support, budget)
        network, seconds = model.retrain(first.module, self.settings)
        return first.with_module(network, seconds_before=first.seconds_before + seconds)
