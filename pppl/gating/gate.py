"""One gate: from a layer's input to a decision per output channel."""

from typing import Any, cast

import torch
from torch import Tensor, nn


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
        pooled = x.flatten(2).mean(-1)  # (B, C_in)
        return self.logits(torch.relu_(self.norm(self.hidden(pooled))))


def straight_through(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Hard gates, 0 or 1, with the gradient of the binary concrete relaxation (Maddison et al. 2017, appendix B).

    With `p = sigmoid((logits + noise) / temperature)` the value is `1[p > 0.5]` and the gradient that of `p`. With
    standard logistic noise a gate opens with probability `sigmoid(logits)`, whatever the temperature.

    **Arguments:**

    - `logits`: any shape.
    - `noise`: same shape, from `logistic_noise`.
    """
    return cast(Tensor, _StraightThrough.apply(logits, noise, temperature))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
        noisy = logits + noise
        ctx.save_for_backward(noisy)
        ctx.temperature = temperature
        return (noisy > 0).to(logits.dtype)  # the same as sigmoid(noisy / temperature) > 0.5

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        relaxed = torch.sigmoid(ctx.saved_tensors[0] / ctx.temperature)
        return grads[0] * relaxed * (1 - relaxed) / ctx.temperature, None, None


def logistic_noise(like: Tensor) -> Tensor:
    """Standard logistic noise, `log u - log(1 - u)`, of the shape of `like`."""
    return torch.rand_like(like).logit_(eps=1e-7)
