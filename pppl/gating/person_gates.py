"""Gates for one person at a time: one decision per channel for a whole support set and a budget.

They go beyond the paper.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, evaluating, hook_groups
from ..tasks import Task
from .gate import apply_gate, gates_of
from .person_views import VIEWS, GateInput


class PersonGatedNetwork(nn.Module):
    """A backbone and gates that score its channels for a person.

    `view` is what the gates see of a sample, and its mean over the support set is the person's prototype. A linear
    layer, layer normalization, ReLU and another linear layer turn the prototype and the logarithm of the budget into
    scores.

    **Arguments:**

    - `backbone`: any registered network.
    - `task`: what the backbone is for; it tells how predictions are read.
    - `gate_input`: what the gates see, the name of a `PersonView`. `layers`, for comparison: a `Gate` on each layer's
      input, as for single samples; its mean open probability is the score.
    - `width`: number of hidden units.
    """

    def __init__(self, backbone: Backbone, task: Task, *, gate_input: GateInput = "predictions", width: int = 64):
        super().__init__()
        self.backbone, self.gate_input = backbone, gate_input
        if gate_input == "layers":
            self.gates = gates_of(backbone, width=width)
        else:
            self.sight = VIEWS[gate_input](backbone, task)
            self.hidden = nn.Linear(self.sight.size + 1, width)
            self.norm = nn.LayerNorm(width)
            self.out = nn.Linear(width, sum(backbone.widths))
            nn.init.normal_(self.out.weight, std=0.1)
            nn.init.zeros_(self.out.bias)

    @torch.no_grad()
    def begin_with(self, importance: list[Tensor]) -> None:
        """Give everybody the same scores, for all budgets: the ranks of these, `(C_l,)`, in each group.

        A score is the logit of a channel's rank, so that the same fraction of each group is kept.
        """
        ranks = [(scores.argsort().argsort() + 0.5) / len(scores) for scores in importance]
        self.out.bias.copy_(torch.cat(ranks).logit())
        self.out.weight.zero_()

    def view(self, x: Tensor, full: nn.Module) -> Tensor:
        """Return what the gates see of samples `(N, C, ...)`: `(N, K)`, or `(N, D)` if `gate_input` is `layers`.

        **Arguments:**

        - `full`: network whose predictions the gates see; it maps `(N, C, ...)` to logits `(N, K)`.
        """
        if self.gate_input != "layers":
            return self.sight(x, full)
        logits: list[Tensor] = []
        see = hook_groups(self.backbone, before=lambda index, inputs: logits.append(self.gates[index](inputs)))
        # In evaluation mode this pass leaves the running statistics alone, which are those of masked passes.
        with evaluating(self.backbone), see:
            self.backbone(x)
        return torch.cat(logits, 1).float().sigmoid()

    def scores(self, prototypes: Tensor, budgets: Tensor, moved: Tensor | None = None) -> Tensor:
        """Return the score of each channel for each person, `(P, D)`.

        **Arguments:**

        - `prototypes`: means of `view`, `(P, K)` or `(P, D)`.
        - `budgets`: fractions of the full network's MACs, `(P,)`.
        - `moved`: what is added to what gates read of prototypes, `(P, size)`.
        """
        if self.gate_input == "layers":
            return prototypes.logit(eps=1e-6)
        with torch.autocast(prototypes.device.type, enabled=False):  # bf16 would give many channels equal scores
            read = self.sight.read(prototypes)
            inputs = torch.cat([read if moved is None else read + moved, budgets.float().log()[:, None]], 1)
            return self.out(F.relu(self.norm(self.hidden(inputs))))

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        """Return the logits, `(B, K)`, of samples `(B, C, ...)`, each with its own mask, a row of `masks`, `(B, D)`."""
        parts = masks.split(self.backbone.widths, 1)

        def mask(index: int, activations: Tensor) -> Tensor:
            return apply_gate(activations, parts[index].to(activations.dtype))

        with hook_groups(self.backbone, after=mask):
            return cast(Tensor, self.backbone(x))


def relaxed_masks(scores: Tensor, cut: Tensor, temperature: float) -> Tensor:
    """Return how open channels are, between 0 and 1: `sigmoid((score - cut) / temperature)`, `(P, D)`.

    **Arguments:**

    - `scores`: `(P, D)`.
    - `cut`: `(P,)`, each person's threshold.

    >>> relaxed_masks(torch.tensor([[0.0, 9.0]]), torch.tensor([0.0]), temperature=1.0)
    tensor([[0.5000, 0.9999]])
    """
    return torch.sigmoid((scores - cut[:, None]) / temperature)


def with_gradient_of(masks: Tensor, relaxed: Tensor) -> Tensor:
    """Return the values of `masks`, `(P, D)` boolean, with the gradient of `relaxed` (straight through).

    >>> with_gradient_of(torch.tensor([[True, False]]), torch.tensor([[0.5, 0.5]]))
    tensor([[1., 0.]])
    """
    return masks + (relaxed - relaxed.detach())
