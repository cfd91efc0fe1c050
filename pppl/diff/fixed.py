"""The second stage of diff pruning: the differences that stay, at fixed positions, are trained on."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .flat import BLOCK, Flat


def top_positions(scores: Tensor, flat: Flat, rate: float) -> Tensor:
    """Positions of exactly `round(rate * flat.size)` values, those with the highest scores over the whole network.

    `scores` is `(blocks, BLOCK)`, none below 0. Returns them in ascending order. Raises `UserError` where the rate is
    not in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise UserError(f"the rate of differences is {rate}: it is a fraction in [0, 1]")
    scores, count, padding = scores.reshape(-1), round(rate * flat.size), flat.padding()
    if count == 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    least = _largest(scores, count + len(padding))  # were all of the padding among them
    above = scores >= least
    above[padding] = False
    candidates = above.nonzero()[:, 0]
    return candidates[scores[candidates].topk(count, sorted=False).indices].sort().values


def _largest(scores: Tensor, count: int) -> Tensor:
    """The `count`-th largest; on a CPU through one copy, where `topk` would take five."""
    if scores.device.type != "cpu":
        return scores.topk(count, sorted=False).values.min()
    values = scores.detach().to(torch.promote_types(scores.dtype, torch.float32), copy=True)
    values.numpy().partition(len(values) - count)
    return values[-count]


class FixedDiff:
    """Differences at fixed positions of a module's parameters, an ordinary parameter for any optimizer.

        fixed = FixedDiff(flat, positions)
        optimizer = torch.optim.AdamW([fixed.values])
        loss(module(batch)).backward()
        fixed.gather()
        optimizer.step()
        fixed.scatter()

    Of parameters without a difference no gradient is computed. `close` brings the base back, bit for bit.

    **Arguments:**

    - `positions`: of the storage, ascending, `(K,)`.
    - `values`: to start from, `(K,)`; zeros by default.
    """

    def __init__(self, flat: Flat, positions: Tensor, values: Tensor | None = None):
        self.flat, self.positions = flat, positions
        start = torch.zeros(len(positions), dtype=flat.state_dtype, device=flat.device) if values is None else values
        self.values = nn.Parameter(start.to(flat.state_dtype).clone())
        edges = torch.tensor([edge * BLOCK for edge in flat.edges], device=flat.device)
        self._edges = torch.searchsorted(positions, edges).tolist()
        self._base = [part.view(-1)[index] for part, index, _ in self._of_parts()]
        self._trained = {slot.name: (rows, positions[rows] - slot.start) for slot, rows in flat.spans(positions)}
        self._requires_grad = {name: parameter.requires_grad for name, parameter in flat.parameters.items()}
        for name, parameter in flat.parameters.items():
            parameter.requires_grad_(name in self._trained)
        self.scatter()

    def scatter(self) -> None:
        """Writes base + values into the module."""
        for (part, index, rows), base in zip(self._of_parts(), self._base, strict=True):
            part.view(-1)[index] = (base + self.values.detach()[rows]).to(part.dtype)

    def gather(self) -> None:
        """Takes the gradient of `values` from the module, whose own gradients are then dropped."""
        gradient = torch.zeros_like(self.values)
        for name, (rows, index) in self._trained.items():
            parameter = self.flat.parameters[name]
            if parameter.grad is not None:  # it may have had no part in the loss
                gradient[rows] = parameter.grad.reshape(-1)[index].to(gradient.dtype)
                parameter.grad = None
        self.values.grad = gradient

    def close(self) -> None:
        """Brings the base back."""
        for (part, index, _), base in zip(self._of_parts(), self._base, strict=True):
            part.view(-1)[index] = base
        for name, parameter in self.flat.parameters.items():
            parameter.grad = None
            parameter.requires_grad_(self._requires_grad[name])

    def _of_parts(self) -> Iterator[tuple[Tensor, Tensor, slice]]:
        """Each part, the positions inside it, and which of all positions these are."""
        for part, edge, (first, end) in zip(self.flat.parts, self.flat.edges, pairwise(self._edges), strict=False):
            yield part, self.positions[first:end] - edge * BLOCK, slice(first, end)
