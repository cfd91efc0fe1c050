"""A network with gates on the channel groups of a backbone, which itself stays unchanged."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..backbones import Backbone, hook_groups, tensors_of
from ..system.errors import UserError
from .gate import apply_gate, gates_of, logistic_noise, straight_through


class GatedOutput(NamedTuple):
    """The result of a gated forward pass. The lists hold one tensor per group.

    - `logits`: logits of the classes, `(B, num_outputs)`.
    - `gates`: factors by which the channels were multiplied, `(B, C_l)`.
    - `gate_logits`: logits of the probability that each gate is open, `(B, C_l)`.
    """

    logits: Tensor
    gates: list[Tensor]
    gate_logits: list[Tensor]

    def embedding(self) -> Tensor:
        """Return the embedding E(x): the open probabilities of all channels side by side, `(B, D)`."""
        return torch.cat(self.gate_logits, dim=1).sigmoid()


class _AllDecided(Exception):
    """The signal that ends a forward pass at the last gate."""


def _out_of_order(backbone: Backbone, index: int) -> UserError:
    producer = backbone.groups[index].producer
    return UserError(
        f"backbone {backbone.spec.backbone} cannot be gated: {producer!r} is called twice, or before a group that "
        "stands before its own, which may have been left out (layer drop): name groups in the order of the forward "
        "pass, each with a layer that is called once in each pass"
    )


class GatedNetwork(nn.Module):
    """A backbone with a gate on every channel group.

    In training mode, each gate is sampled. In evaluation mode, there is no noise: a gate is open if its logit is not
    negative.

    **Arguments:**

    - `backbone`: any registered network; its own `forward` stays ungated.
    - `width`: number of hidden units of each gate.
    - `temperature`: temperature of the relaxation.

    >>> from pppl.backbones import build, spec_for
    >>> network = GatedNetwork(build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)))
    >>> [gates.shape for gates in network(torch.zeros(2, 1, 8, 8)).gates]
    [torch.Size([2, 4]), torch.Size([2, 8])]
    """

    def __init__(self, backbone: Backbone, *, width: int = 16, temperature: float = 2 / 3):
        super().__init__()
        self.backbone = backbone
        self.temperature = temperature
        self.gates = gates_of(backbone, width=width)

    def forward(self, x: Any, masks: Sequence[Tensor | None] | None = None) -> GatedOutput:
        """Return the outputs of samples `x`, `(B, C, ...)`, or of what else the backbone is called with.

        **Arguments:**

        - `masks`: per group, a mask `(C_l,)` that replaces the decision of the gate, or None to let the gate decide.
        """
        gates: list[Tensor] = []
        gate_logits: list[Tensor] = []
        logits = self._run(x, masks, gates, gate_logits, whole=True)
        assert logits is not None
        return GatedOutput(logits, gates, gate_logits)

    def decide(self, x: Any, masks: Sequence[Tensor | None] | None = None) -> list[Tensor]:
        """Return the `gate_logits` of `forward`. The pass ends at the last gate, since nothing after it is needed."""
        gate_logits: list[Tensor] = []
        self._run(x, masks, [], gate_logits, whole=False)
        return gate_logits

    def _run(
        self,
        x: Any,
        masks: Sequence[Tensor | None] | None,
        gates: list[Tensor],
        gate_logits: list[Tensor],
        *,
        whole: bool,
    ) -> Tensor | None:
        """Run a forward pass that fills `gates` and `gate_logits`. Return the logits if it is `whole`, else None."""
        noise = self._noise(x) if self.training else None

        def decide(index: int, inputs: Tensor) -> None:
            if index != len(gate_logits):
                raise _out_of_order(self.backbone, index)
            gate_logits.append(self.gates[index](inputs))
            if not whole and index == len(self.gates) - 1:
                raise _AllDecided

        def gate(index: int, activations: Tensor) -> Tensor:
            logits = gate_logits[index]
            mask = masks[index] if masks is not None else None
            if mask is None and noise is not None:
                gated, hard = straight_through(activations, logits, noise[index], self.temperature)
            else:
                hard = (logits >= 0).to(logits.dtype) if mask is None else mask.expand_as(logits)
                gated = apply_gate(activations, hard)
            gates.append(hard)
            return gated

        with suppress(_AllDecided), hook_groups(self.backbone, before=decide, after=gate):
            return self.backbone(x)
        return None

    def _noise(self, x: Any) -> Sequence[Tensor]:
        """Return noise for all gates from one draw, per group `(B, C_l)`."""
        widths, first = self.backbone.widths, tensors_of(x)[0]
        return logistic_noise(len(first), sum(widths), device=first.device).split(widths, dim=1)
