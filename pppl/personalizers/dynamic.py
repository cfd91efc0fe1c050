"""`ppp_dynamic` and `gated_dynamic`: the gated network as it is, each sample through its own gates.

No person is looked at and nothing is pruned: what gating comes to at best, at the mean cost of the samples (as in
Convolutional Networks with Adaptive Inference Graphs: Veit, Belongie, ECCV 2018). A device holds the whole network.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..gating import GatedNetwork
from ..pruning import Cost, CostModel
from ..system.errors import UserError
from ..training.gate_settings import PPPSettings
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, register_method
from .ppp import gate_samples, gates_read

_BATCH = 256


class DynamicNetwork(Backbone):
    """A gated network that gives logits; its `spec` and `groups` are those of the backbone inside.

    **Arguments:**

    - `cost`: of the backbone.
    """

    def __init__(self, gated: GatedNetwork, cost: CostModel):
        super().__init__()
        self.gated, self._cost = gated, cost
        self.spec, self.groups = gated.backbone.spec, gated.backbone.groups

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to logits, `(B, num_outputs)`."""
        return self.gated(x).logits

    def linear_layers(self) -> list[tuple[str, nn.Linear]]:
        """Those of the backbone, not of its gates."""
        return [(f"gated.backbone.{path}", layer) for path, layer in self.gated.backbone.linear_layers()]

    @torch.no_grad()
    def cost_on(self, x: Tensor) -> Cost:
        """Mean MACs of samples, `(B, C, ...)`, in the channels that are open; parameters of all channels.

        The gates' own, which a device needs here, are left out of both; the bytes of the file have them.
        """
        gates = [self.gated.decide(chunk) for chunk in x.split(_BATCH)]
        layers = [torch.cat(layer) for layer in zip(*gates, strict=True)]
        open_channels = torch.stack([(layer >= 0).sum(1) for layer in layers], 1)  # (B, L)
        macs = self._cost.fraction(open_channels.cpu().numpy()).mean() * self._cost.full.macs
        return Cost(macs=round(macs), params=self._cost.full.params)


class Dynamic(Personalizer):
    """Runs the gated network `gates`."""

    support_from = "none"
    prunes = False

    def __init__(self, method: str, experiment: Experiment, gates: str):
        super().__init__(method, experiment)
        if experiment[PPPSettings].training == "persons":
            raise UserError(f"method {method} has gates of each sample, ppp.training is persons: leave {method} out")
        self.gates = gates

    def depends_on(self) -> dict[str, Any]:
        """How gates are trained."""
        assert self.gates is not None
        return gates_read(self.gates, self.experiment)

    def train_samples(self, rows: int) -> int:
        """Those of its gates."""
        assert self.gates is not None
        return gate_samples(self.gates, self.experiment, rows)

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        assert self.gates is not None
        module = DynamicNetwork(cast(GatedNetwork, model.gated[self.gates]), model.cost)
        return MethodOutput(module=module, stated_cost=module.cost_on(support.x), cost_of=DynamicNetwork.cost_on)


@register_method("ppp_dynamic")
def _ppp(experiment: Experiment) -> list[Personalizer]:
    return [Dynamic("ppp_dynamic", experiment, "ppp")]


@register_method("gated_dynamic")
def _gated(experiment: Experiment) -> list[Personalizer]:
    return [Dynamic("gated_dynamic", experiment, "gated")]
