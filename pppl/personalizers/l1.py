"""`l1`: static pruning by the L1 norm of each filter (Li et al., ICLR 2017), one network for everybody."""

from collections.abc import Callable

from torch import Tensor

from ..config import Experiment
from ..data import Support
from ..gating import Rule
from .base import GlobalModel, Personalizer, ScorePruner, register, relative


class L1(ScorePruner):
    """Scores a channel by its filter's L1 norm. It looks at nobody's samples.

    **Arguments:**

    - `comparable`: makes the scores of layers comparable, `relative` or `uniform`.
    """

    support_from = "none"

    def __init__(self, method: str, experiment: Experiment, comparable: Callable[[list[Tensor]], list[Tensor]]):
        super().__init__(method, experiment)
        self.comparable = comparable

    def _scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        weights = [model.full.get_parameter(f"{group.producer}.weight") for group in model.full.groups]
        return self.comparable([weight.detach().flatten(1).abs().sum(1) for weight in weights])


@register("l1")
def _l1(experiment: Experiment) -> list[Personalizer]:
    # On validation persons `relative` does better without fine-tuning, `uniform` with it.
    return [L1("l1", experiment, relative)]
