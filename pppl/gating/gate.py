"""One gate: from a layer's input to a decision per output channel."""

from math import prod
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, channels_in


class Gate(nn.Module):
    """Global average pool, linear, batch normalization, ReLU, linear: one logit per gated channel.

    Our choice (the paper's text could not be read): the last layer starts at N(0, 1e-3) weights and bias 2, so that
    channels start open with probability 0.88.

    **Arguments:**

    - `in_channels`: channels of the layer's input.
    - `channels`: channels that are gated.
    - `width`: hidden units.
    """

    def __init__(self, in_channels: int, channels: int, *, width: int):
        super().__init__()
        self.hidden = nn.Linear(in_channels, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.logits = nn.Linear(width, channels)
        nn.init.normal_(self.logits.weight, std=1e-3)
        nn.init.constant_(self.logits.bias, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C_in, ...)` to logits, `(B, C)`."""
        # A sum, scaled when it is small: its gradient is a view, that of a mean a division at every position.
        pooled = x.sum(tuple(range(2, x.ndim))) / prod(x.shape[2:])  # (B, C_in)
        # Functions, since calling a module costs as much as one of these small products.
        norm = self.norm
        statistics = norm.running_mean, norm.running_var, norm.weight, norm.bias
        hidden = F.batch_norm(F.linear(pooled, self.hidden.weight), *statistics, self.training)
        return F.linear(hidden.relu_(), self.logits.weight, self.logits.bias)


def gates_of(backbone: Backbone, *, width: int) -> nn.ModuleList:
    """A gate for every channel group of a backbone, each on its producer's input."""
    producers = [backbone.get_submodule(group.producer) for group in backbone.groups]
    return nn.ModuleList(
        Gate(channels_in(producer), channels, width=width)
        for producer, channels in zip(producers, backbone.widths, strict=True)
    )


def straight_through(activations: Tensor, logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Multiplies activations by sampled gates, 0 or 1, that have the gradient of the binary concrete relaxation
    (Maddison et al. 2017, appendix B).

    With `p = sigmoid((logits + noise) / temperature)` a gate is `1[p > 0.5]` and its gradient that of `p`. With
    standard logistic noise it opens with probability `sigmoid(logits)`, whatever the temperature.

    **Arguments:**

    - `activations`: `(B, C, ...)`.
    - `logits`: `(B, C)`.
    - `noise`: `(B, C)`, from `logistic_noise`.

    **Returns:** the gated activations, `(B, C, ...)`, and the gates, `(B, C)`.
    """
    return cast(tuple[Tensor, Tensor], _StraightThrough.apply(activations, logits, noise, temperature))


class _StraightThrough(torch.autograd.Function):
    """Sampling and multiplying as one node of the graph, which a small network's training step notices."""

    @staticmethod
    def forward(ctx: Any, activations: Tensor, logits: Tensor, noise: Tensor, temperature: float) -> Any:
        noisy = logits + noise
        gate = (noisy > 0).to(logits.dtype)  # the same as sigmoid(noisy / temperature) > 0.5
        ctx.save_for_backward(activations, noisy, gate)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return apply_gate(activations, gate), gate

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None, None, None]:
        activations, noisy, gate = ctx.saved_tensors
        grad_output, grad_gate = grads
        grad_activations = None
        if grad_output is not None:
            grad_activations = apply_gate(grad_output, gate)
            through = (grad_output * activations).sum(tuple(range(2, activations.ndim)))  # (B, C)
            grad_gate = through if grad_gate is None else through + grad_gate
        if grad_gate is None:
            return grad_activations, None, None, None
        relaxed = torch.sigmoid_(noisy / ctx.temperature)
        grad_logits = torch.ops.aten.sigmoid_backward(grad_gate, relaxed).div_(ctx.temperature)
        return grad_activations, grad_logits, None, None


def apply_gate(activations: Tensor, gate: Tensor) -> Tensor:
    """Multiplies activations `(B, C, ...)` by a gate `(B, C)` or `(C,)`."""
    return activations * gate.view(*gate.shape, *(1,) * (activations.ndim - 2))


def logistic_noise(*shape: int, device: torch.device) -> Tensor:
    """Standard logistic noise, `log u - log(1 - u)`."""
    return torch.rand(*shape, device=device).logit_(eps=1e-7)
