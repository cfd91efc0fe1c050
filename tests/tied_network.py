"""A small network with the features that make deltas difficult: tied weights, batch statistics, a head."""

import torch
from torch import Tensor, nn


class Tied(nn.Module):
    """A network of two layers that share a weight, a normalization with batch statistics between them, and a head."""

    def __init__(self, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.first = nn.Linear(20, 20, dtype=dtype)
        self.norm = nn.BatchNorm1d(20, dtype=dtype)
        self.second = nn.Linear(20, 20, dtype=dtype)
        self.second.weight = self.first.weight
        self.head = nn.Linear(20, 3, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(B, 3)` of inputs `(B, 20)`."""
        return self.head(self.second(torch.tanh(self.norm(self.first(x)))))


def make(dtype: torch.dtype = torch.float64) -> tuple[Tied, Tensor, Tensor]:
    """Return a network, inputs `(12, 20)` and labels `(12,)`, the same in every call."""
    torch.manual_seed(0)
    return Tied(dtype), torch.randn(12, 20, dtype=dtype), torch.arange(12) % 3
