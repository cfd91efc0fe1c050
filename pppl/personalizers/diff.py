"""`diff`, `diff_elementwise`, `ppp+diff`: a sparse difference per person (Guo, Rush, Kim, ACL 2021).

`diff` has a gate per parameter tensor beside that of each value, `diff_elementwise` has not. Both leave the network as
large as it is. `ppp+diff` first prunes the network by the person's prototype, then learns a difference on the weights
that survive.
"""

from typing import cast

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..training import learn_delta
from .base import GlobalModel, Made, Personalizer, register
from .full import Full
from .ppp import PPP


class DiffPruned(Personalizer):
    """Whatever `first` gives, with a difference that is learnt on the person's own labelled support set."""

    def __init__(
        self, method: str, experiment: Experiment, first: Personalizer, *, rate: float, structured: bool = True
    ):
        super().__init__(method, experiment)
        self.first, self.prunes, self.gates = first, first.prunes, first.gates
        self.rate, self.structured = rate, structured

    def _make(self, model: GlobalModel, support: Support, budget: float | None) -> Made:
        first = self.first._make(model, support, budget)
        tuned, delta, samples = learn_delta(
            first.module, support, self.experiment.diff, rate=self.rate, structured=self.structured
        )
        # A pruned network is a person's own anyway: the difference is merged into it.
        sent = None if self.prunes else delta
        return Made(module=cast(Backbone, tuned), masks=first.masks, retrain_samples=samples, delta=sent)


def _of_every_rate(
    method: str, experiment: Experiment, first: Personalizer, *, structured: bool = True
) -> list[Personalizer]:
    main, *others = experiment.diff.rates
    names = {main: method} | {rate: f"{method}@{rate:g}" for rate in others}
    return [DiffPruned(name, experiment, first, rate=rate, structured=structured) for rate, name in names.items()]


@register("diff")
def _diff(experiment: Experiment) -> list[Personalizer]:
    return _of_every_rate("diff", experiment, Full("full", experiment))


@register("diff_elementwise")
def _diff_elementwise(experiment: Experiment) -> list[Personalizer]:
    return _of_every_rate("diff_elementwise", experiment, Full("full", experiment), structured=False)


@register("ppp+diff")
def _ppp_diff(experiment: Experiment) -> list[Personalizer]:
    return _of_every_rate("ppp+diff", experiment, PPP("ppp", experiment, "own"))
