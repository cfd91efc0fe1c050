"""`ppp_dynamic` and `gated_dynamic`: the gated network as it is, every sample through its own gates.

Nothing is pruned for a person, and no support set is read. The rows show the best that gating can reach, at the mean
cost of the samples (as in Convolutional Networks with Adaptive Inference Graphs: Veit, Belongie, ECCV 2018). A device
holds the whole network.
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
    """A gated network that returns logits; its `spec` and `groups` are those of the backbone inside.

    **Arguments:**

    - `cost`: the cost model of the backbone.
    """

    def __init__(self, gated: GatedNetwork, cost: CostModel):
        super().__init__()
        self.gated, self._cost = gated, cost
        self.spec, self.groups = gated.backbone.spec, gated.backbone.groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, of samples `(B, C, ...)`."""
        return self.gated(x).logits

    def linear_layers(self) -> list[tuple[str, nn.Linear]]:
        """Return the linear layers of the backbone with their paths, without those of its gates."""
        return [(f"gated.backbone.{path}", layer) for path, layer in self.gated.backbone.linear_layers()]

    @torch.no_grad()
    def cost_on(self, x: Tensor) -> Cost:
        """Return the mean MACs of samples, `(B, C, ...)`, in their open channels, and the parameters of all channels.

        Neither counts the gates themselves, which a device needs here; the bytes of the file do.
        """
        gates = [self.gated.decide(chunk) for chunk in x.split(_BATCH)]
        layers = [torch.cat(layer) for layer in zip(*gates, strict=True)]  # per group (B, C_l)
        open_channels = torch.stack([(layer >= 0).sum(1) for layer in layers], 1)  # (B, L)
        macs = self._cost.fraction(open_channels.cpu().numpy()).mean() * self._cost.full.macs
        return Cost(macs=round(macs), params=self._cost.full.params)


class Dynamic(Personalizer):
    """A method that runs the gated network `gates` without pruning it.

    Raise `UserError` if gates are trained by persons.
    """

    support_from = "none"
    prunes = False

    def __init__(self, method: str, experiment: Experiment, gates: str):
        super().__init__(method, experiment)
        if experiment[PPPSettings].training == "persons":
            raise UserError(
                f"method {method} needs gates trained by samples, but ppp.training is persons: leave {method} out"
            )
        self.gates = gates

    def depends_on(self) -> dict[str, Any]:
        """Return the settings that the training of its gates reads, by section."""
        assert self.gates is not None
        return gates_read(self.gates, self.experiment)

    def train_samples(self, rows: int) -> int:
        """Return how many samples the training of its gates goes through, of `rows` in a pass."""
        assert self.gates is not None
        return gate_samples(self.gates, self.experiment, rows)

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the whole gated network, at its mean cost on the support set."""
        assert self.gates is not None
        module = DynamicNetwork(cast(GatedNetwork, model.gated[self.gates]), model.cost)
        return MethodOutput(module=module, stated_cost=module.cost_on(support.x), cost_of=DynamicNetwork.cost_on)


@register_method("ppp_dynamic")
def _ppp(experiment: Experiment) -> list[Personalizer]:
    return [Dynamic("ppp_dynamic", experiment, "ppp")]


@register_method("gated_dynamic")
def _gated(experiment: Experiment) -> list[Personalizer]:
    return [Dynamic("gated_dynamic", experiment, "gated")]
