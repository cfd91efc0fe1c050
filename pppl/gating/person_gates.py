"""Gates for a person at a time: one decision per channel for a whole support set and a budget. Beyond the paper."""

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, evaluating, hook_groups
from .gate import apply_gate, gates_of

Sees = Literal["predictions", "layers", "nothing"]


class PersonGatedNetwork(nn.Module):
    """A backbone and the gates that score its channels for a person.

    The mean over the support set of what the gates see is the person's prototype; a linear layer, layer normalization,
    ReLU and another linear layer make scores of it and of the budget's logarithm.

    **Arguments:**

    - `backbone`: any registered network.
    - `sees`: `predictions`, the full network's probabilities of all classes; `layers`, for comparison, a `Gate` on each
      layer's input as for single samples, whose mean open probability is the score; `nothing`, the same scores for
      everybody.
    - `width`: hidden units.
    """

    def __init__(self, backbone: Backbone, *, sees: Sees = "predictions", width: int = 64):
        super().__init__()
        self.backbone, self.sees = backbone, sees
        self.classes = int(backbone.spec.options["num_classes"])
        if sees == "layers":
            self.gates = gates_of(backbone, width=width)
        else:
            self.hidden = nn.Linear(self.classes + 1, width)
            self.norm = nn.LayerNorm(width)
            self.out = nn.Linear(width, sum(backbone.widths))
            nn.init.normal_(self.out.weight, std=0.1)
            nn.init.zeros_(self.out.bias)

    def view(self, x: Tensor, full: nn.Module) -> Tensor:
        """What the gates see of samples `(N, C, ...)`: `(N, K)`, or `(N, D)` with `layers`.

        **Arguments:**

        - `full`: the network whose predictions are seen, `(N, C, ...)` to logits `(N, K)`.
        """
        if self.sees == "nothing":
            return x.new_zeros(len(x), self.classes)
        if self.sees == "predictions":
            return full(x).float().softmax(1)
        logits: list[Tensor] = []
        see = hook_groups(self.backbone, before=lambda index, inputs: logits.append(self.gates[index](inputs)))
        # Statistics are those of gated passes, whoever looks at samples in between.
        with evaluating(self.backbone), see:
            self.backbone(x)
        return torch.cat(logits, 1).float().sigmoid()

    def scores(self, prototypes: Tensor, budgets: Tensor) -> Tensor:
        """How much each channel is worth to each person, `(P, D)`.

        **Arguments:**

        - `prototypes`: `(P, K)` or `(P, D)`, means of `view`.
        - `budgets`: `(P,)`, fractions of the full network's MACs.
        """
        if self.sees == "layers":
            return prototypes.logit(eps=1e-6)
        with torch.autocast(prototypes.device.type, enabled=False):  # bf16 would rank many channels the same
            inputs = torch.cat([prototypes.float() * self.classes**0.5, budgets.float().log()[:, None]], 1)
            return self.out(F.relu(self.norm(self.hidden(inputs))))

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        """Logits `(B, K)` of samples `(B, C, ...)`, each through a mask, `(B, D)`."""
        parts = masks.split(self.backbone.widths, 1)

        def mask(index: int, activations: Tensor) -> Tensor:
            return apply_gate(activations, parts[index].to(activations.dtype))

        with hook_groups(self.backbone, after=mask):
            return cast(Tensor, self.backbone(x))


def relaxed_masks(scores: Tensor, cut: Tensor, temperature: float) -> Tensor:
    """How open channels are, between 0 and 1, `(P, D)`: `sigmoid((score - cut) / temperature)`; `cut` is `(P,)`."""
    return torch.sigmoid((scores - cut[:, None]) / temperature)


def with_gradient_of(masks: Tensor, relaxed: Tensor) -> Tensor:
    """The values of `masks`, `(P, D)` boolean, with the gradient of `relaxed`: straight through."""
    return masks + (relaxed - relaxed.detach())
