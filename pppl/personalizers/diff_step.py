"""`diff`, `diff_elementwise` and the step `+diff`: a sparse difference per person (Guo, Rush, Kim, ACL 2021).

`diff` has a gate for each value and one for each parameter tensor; `diff_elementwise` has only the former. The size of
the network does not change. Behind a method that prunes (`ppp+diff`) the step learns a difference of the kept weights.
"""

from dataclasses import asdict
from typing import Any

from ..config import Experiment
from ..data import Support
from ..training import learn_delta
from ..training.delta_training import DiffSettings
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Full, Personalizer, Step, register_method, register_step


class DiffPruned(Step):
    """The network of `first` with a sparse difference that is learnt on the person's labelled support set.

    **Arguments:**

    - `rate`: fraction of the parameters that differ.
    - `structured`: whether each parameter tensor has a gate, too.
    """

    reads_labels = True
    reads = (DiffSettings,)
    settings: DiffSettings

    def __init__(self, method: str, first: Personalizer, *, rate: float, structured: bool = True):
        super().__init__(method, first)
        self.rate, self.structured = rate, structured

    @property
    def steps(self) -> int:
        """Number of training steps: those of `first`, and full batches in both stages of diff pruning."""
        return self.first.steps + self.settings.steps + self.settings.fixed_steps

    def depends_on(self) -> dict[str, Any]:
        """Return what `first` depends on and the settings of diff pruning, with the rate of these rows only."""
        return super().depends_on() | {"diff": asdict(self.settings) | {"rates": [self.rate]}}

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with the difference; the delta is kept if it can be told from the network.

        That is so on the full network, and on a network that `first` cut by masks.
        """
        first = self.output_of_first(model, support, budget)
        # Any other network belongs to one person and is new for every rate, so caching it saves nothing.
        shared = first.module is model.full
        tuned, delta, samples = learn_delta(
            first.module,
            support,
            model.task,
            self.settings,
            rate=self.rate,
            structured=self.structured,
            once=support.once if shared else None,
        )
        return first.with_module(tuned, samples=samples, delta=delta if shared or first.masks is not None else None)


def _list_rates(method: str, first: Personalizer, *, structured: bool = True) -> list[Personalizer]:
    first_rate, *more_rates = first.experiment[DiffSettings].rates
    names = {first_rate: method} | {rate: f"{method}@{rate:g}" for rate in more_rates}
    return [DiffPruned(name, first, rate=rate, structured=structured) for rate, name in names.items()]


@register_method("diff")
def _diff(experiment: Experiment) -> list[Personalizer]:
    return _list_rates("diff", Full("full", experiment))


@register_method("diff_elementwise")
def _diff_elementwise(experiment: Experiment) -> list[Personalizer]:
    return _list_rates("diff_elementwise", Full("full", experiment), structured=False)


@register_step("diff")
def _step(first: Personalizer) -> list[Personalizer]:
    return _list_rates(f"{first.method}+diff", first)
