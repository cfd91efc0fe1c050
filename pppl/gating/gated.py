"""Puts gates on a backbone, which stays as it is."""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..backbones import Backbone, hook_groups
from ..system.errors import UserError
from .gate import apply_gate, gates_of, logistic_noise, straight_through


class GatedOutput(NamedTuple):
    """What a gated forward pass gives; lists hold one tensor per group.

    - `logits`: `(B, num_classes)`.
    - `gates`: what multiplied the channels, `(B, C_l)`.
    - `gate_logits`: of the probability that each gate is open, `(B, C_l)`.
    """

    logits: Tensor
    gates: list[Tensor]
    gate_logits: list[Tensor]

    def embedding(self) -> Tensor:
        """E(x), all open probabilities side by side, `(B, D)`."""
        return torch.cat(self.gate_logits, dim=1).sigmoid()


class _AllDecided(Exception):
    """Ends a forward pass at the last gate."""


def _out_of_order(backbone: Backbone, index: int) -> UserError:
    producer = backbone.groups[index].producer
    return UserError(
        f"backbone {backbone.spec.backbone} cannot be gated: {producer!r} is called twice, or before a group that "
        "stands before its own; name groups in the order of the forward pass, each with a layer that is called once"
    )


class GatedNetwork(nn.Module):
    """A backbone with a gate on every channel group.

    In training each gate is sampled; in evaluation it is open where its logit is not negative, without noise.

    **Arguments:**

    - `backbone`: any registered network; its own `forward` stays ungated.
    - `width`: hidden units of each gate.
    - `temperature`: of the relaxation.
    """

    def __init__(self, backbone: Backbone, *, width: int = 16, temperature: float = 2 / 3):
        super().__init__()
        self.backbone = backbone
        self.temperature = temperature
        self.gates = gates_of(backbone, width=width)

    def forward(self, x: Tensor, masks: Sequence[Tensor | None] | None = None) -> GatedOutput:
        """Classifies `x`, `(B, C, ...)`.

        **Arguments:**

        - `masks`: per group `(C_l,)`, used in place of the gate's own decision; None where the gate decides.
        """
        gates: list[Tensor] = []
        gate_logits: list[Tensor] = []
        logits = self._run(x, masks, gates, gate_logits, whole=True)
        assert logits is not None
        return GatedOutput(logits, gates, gate_logits)

    def decide(self, x: Tensor, masks: Sequence[Tensor | None] | None = None) -> list[Tensor]:
        """The `gate_logits` that `forward` gives; the pass ends at the last gate, what comes after it is not needed."""
        gate_logits: list[Tensor] = []
        self._run(x, masks, [], gate_logits, whole=False)
        return gate_logits

    def _run(
        self,
        x: Tensor,
        masks: Sequence[Tensor | None] | None,
        gates: list[Tensor],
        gate_logits: list[Tensor],
        *,
        whole: bool,
    ) -> Tensor | None:
        """Fills `gates` and `gate_logits`; the logits, or None where the pass ends at the last gate."""
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

    def _noise(self, x: Tensor) -> Sequence[Tensor]:
        """Noise for all gates from one draw, per group `(B, C_l)`."""
        widths = self.backbone.widths
        return logistic_noise(len(x), sum(widths), device=x.device).split(widths, dim=1)
