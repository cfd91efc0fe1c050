"""`diff`, `diff_elementwise` and the step `+diff`: a sparse difference per person (Guo, Rush, Kim, ACL 2021).

`diff` has a gate per parameter tensor beside that of each value, `diff_elementwise` has not. Both leave the network as
large as it is. As a step behind a method that prunes (`ppp+diff`) it learns a difference on the weights that survive.
"""

from dataclasses import asdict
from typing import Any

from ..config import Experiment
from ..data import Support
from ..training import learn_delta
from ..training.delta_training import DiffSettings
from .full import Full
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, Step, register_method, register_step


class DiffPruned(Step):
    """Whatever `first` gives, with a difference that is learnt on the person's own labelled support set."""

    reads_labels = True
    reads = (DiffSettings,)
    settings: DiffSettings

    def __init__(self, method: str, first: Personalizer, *, rate: float, structured: bool = True):
        super().__init__(method, first)
        self.rate, self.structured = rate, structured

    @property
    def steps(self) -> int:
        """Those of `first`, and full batches in both stages."""
        return self.first.steps + self.settings.steps + self.settings.fixed_steps

    def depends_on(self) -> dict[str, Any]:
        """What differs, and how that is learnt; not the rates of other rows."""
        return super().depends_on() | {"diff": asdict(self.settings) | {"rates": [self.rate]}}

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first = self.output_of_first(model, support, budget)
        # Any other network is a person's own anyway: it is made anew for every rate.
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


def _of_every_rate(method: str, first: Personalizer, *, structured: bool = True) -> list[Personalizer]:
    main, *others = first.experiment[DiffSettings].rates
    names = {main: method} | {rate: f"{method}@{rate:g}" for rate in others}
    return [DiffPruned(name, first, rate=rate, structured=structured) for rate, name in names.items()]


@register_method("diff")
def _diff(experiment: Experiment) -> list[Personalizer]:
    return _of_every_rate("diff", Full("full", experiment))


@register_method("diff_elementwise")
def _diff_elementwise(experiment: Experiment) -> list[Personalizer]:
    return _of_every_rate("diff_elementwise", Full("full", experiment), structured=False)


@register_step("diff")
def _step(first: Personalizer) -> list[Personalizer]:
    return _of_every_rate(f"{first.method}+diff", first)
