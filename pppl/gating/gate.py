"""A gate, which reads the input of a layer and decides which of its output channels are open."""

from math import prod
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, channels_in


class Gate(nn.Module):
    """A gate with one logit per channel: global average pooling, linear, batch normalization, ReLU, linear.

    The last layer starts with weights of standard deviation 1e-3 and with bias 2. Channels therefore start open with
    probability 0.88. This start is our choice, since the paper's text could not be read.

    **Arguments:**

    - `in_channels`: channels of the layer's input.
    - `channels`: number of gated channels.
    - `width`: number of hidden units.

    >>> Gate(8, 4, width=16)(torch.zeros(2, 8, 5, 5)).shape
    torch.Size([2, 4])
    """

    def __init__(self, in_channels: int, channels: int, *, width: int):
        super().__init__()
        self.hidden = nn.Linear(in_channels, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.logits = nn.Linear(width, channels)
        nn.init.normal_(self.logits.weight, std=1e-3)
        nn.init.constant_(self.logits.bias, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit per channel, `(B, C)`, for the layer's input, `(B, C_in, ...)`."""
        # The sum is divided after it is small: its gradient is a view, while that of a mean divides at every position.
        pooled = x.sum(tuple(range(2, x.ndim))) / prod(x.shape[2:]) if x.ndim > 2 else x  # (B, C_in)
        # Functions are called, since calling a module costs as much as one of these small products.
        norm = self.norm
        statistics = norm.running_mean, norm.running_var, norm.weight, norm.bias
        hidden = F.batch_norm(F.linear(pooled, self.hidden.weight), *statistics, self.training)
        return F.linear(hidden.relu_(), self.logits.weight, self.logits.bias)


def gates_of(backbone: Backbone, *, width: int) -> nn.ModuleList:
    """Return a gate for every channel group of a backbone. Each reads the input of its group's producer.

    A gate has the type of numbers of its producer, such as float64.
    """
    producers = [backbone.get_submodule(group.producer) for group in backbone.groups]
    return nn.ModuleList(
        Gate(channels_in(producer), channels, width=width).to(cast(Tensor, producer.weight).dtype)
        for producer, channels in zip(producers, backbone.widths, strict=True)
    )


def straight_through(activations: Tensor, logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Multiply activations by sampled gates, 0 or 1, that have the gradient of the binary concrete relaxation.

    The relaxation is that of Maddison et al. 2017, appendix B: with `p = sigmoid((logits + noise) / temperature)`, a
    gate is `1[p > 0.5]` and its gradient is that of `p`. With standard logistic noise, a gate opens with probability
    `sigmoid(logits)` at any temperature.

    **Arguments:**

    - `activations`: `(B, C, ...)`.
    - `logits`: `(B, C)`.
    - `noise`: `(B, C)`, from `logistic_noise`.

    **Returns:** the gated activations, `(B, C, ...)`, and the gates, `(B, C)`.

    >>> straight_through(torch.ones(1, 2, 3), torch.tensor([[4.0, -4.0]]), torch.zeros(1, 2), 2 / 3)[1]
    tensor([[1., 0.]])
    """
    return cast(tuple[Tensor, Tensor], _StraightThrough.apply(activations, logits, noise, temperature))


class _StraightThrough(torch.autograd.Function):
    """Sampling and multiplication as one node of the graph, which speeds up the training of small networks."""

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
            through = grad_output * activations
            through = through.sum(tuple(range(2, through.ndim))) if through.ndim > 2 else through  # (B, C)
            grad_gate = through if grad_gate is None else through + grad_gate
        if grad_gate is None:
            return grad_activations, None, None, None
        relaxed = torch.sigmoid_(noisy / ctx.temperature)
        grad_logits = torch.ops.aten.sigmoid_backward(grad_gate, relaxed).div_(ctx.temperature)
        return grad_activations, grad_logits, None, None


def apply_gate(activations: Tensor, gate: Tensor) -> Tensor:
    """Multiply activations, `(B, C, ...)`, by a gate, `(B, C)` or `(C,)`."""
    return activations * gate.view(*gate.shape, *(1,) * (activations.ndim - 2))


def logistic_noise(*shape: int, device: torch.device) -> Tensor:
    """Return standard logistic noise, `log u - log(1 - u)` with uniform u, of the given shape."""
    return torch.rand(*shape, device=device).logit_(eps=1e-7)
