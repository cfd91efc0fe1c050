"""The second stage of diff pruning: training the remaining differences at fixed positions."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .flat import BLOCK, Flat


def top_positions(scores: Tensor, flat: Flat, rate: float) -> Tensor:
    """Return the positions of the `round(rate * flat.size)` highest scores over the whole network, ascending.

    >>> flat = Flat(nn.Linear(2, 2), ["bias"])
    >>> flat.parts[0][0, :2] = torch.tensor([3.0, 5.0])
    >>> top_positions(flat.parts[0], flat, rate=0.5)
    tensor([1])

    **Arguments:**

    - `scores`: a score of at least 0 for each value of the storage, `(blocks, BLOCK)`.

    Raise `UserError` if the rate is not in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise UserError(f"the rate of differences is {rate}: it is a fraction in [0, 1]")
    scores, count, padding = scores.reshape(-1), round(rate * flat.size), flat.padding()
    if count == 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    least = _largest(scores, count + len(padding))  # as if all padding ranked first; a lower bound
    above = scores >= least
    above[padding] = False
    candidates = above.nonzero()[:, 0]
    return candidates[scores[candidates].topk(count, sorted=False).indices].sort().values


def _largest(scores: Tensor, count: int) -> Tensor:
    """Return the `count`-th largest score. On a CPU this needs one copy of the scores, where `topk` would need five."""
    if scores.device.type != "cpu":
        return scores.topk(count, sorted=False).values.min()
    values = scores.detach().to(torch.promote_types(scores.dtype, torch.float32), copy=True)
    values.numpy().partition(len(values) - count)
    return values[-count]


class FixedDiff:
    """Differences at fixed positions of a module's parameters. `values` is an ordinary parameter for any optimizer.

    >>> module = nn.Linear(4, 2)
    >>> fixed = FixedDiff(Flat(module, ["weight"]), torch.tensor([0, 5]))
    >>> optimizer = torch.optim.AdamW([fixed.values])
    >>> module(torch.randn(3, 4)).sum().backward()
    >>> fixed.gather()
    >>> optimizer.step()
    >>> fixed.scatter()

    No gradient is computed for parameters without a difference. `close` restores the base, bit for bit.

    **Arguments:**

    - `positions`: ascending positions in the storage, `(K,)`.
    - `values`: initial differences, `(K,)`; zeros by default.
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
        """Write base + values into the module."""
        for (part, index, rows), base in zip(self._of_parts(), self._base, strict=True):
            part.view(-1)[index] = (base + self.values.detach()[rows]).to(part.dtype)

    def gather(self) -> None:
        """Set the gradient of `values` from the module's gradients, and clear those."""
        gradient = torch.zeros_like(self.values)
        for name, (rows, index) in self._trained.items():
            parameter = self.flat.parameters[name]
            if parameter.grad is not None:  # None if the loss does not depend on the parameter
                gradient[rows] = parameter.grad.reshape(-1)[index].to(gradient.dtype)
                parameter.grad = None
        self.values.grad = gradient

    def close(self) -> None:
        """Restore the base and the original `requires_grad` of each parameter."""
        for (part, index, _), base in zip(self._of_parts(), self._base, strict=True):
            part.view(-1)[index] = base
        for name, parameter in self.flat.parameters.items():
            parameter.grad = None
            parameter.requires_grad_(self._requires_grad[name])

    def _of_parts(self) -> Iterator[tuple[Tensor, Tensor, slice]]:
        """Yield each part of the storage, the positions inside it, and their slice of all positions."""
        for part, edge, (first, end) in zip(self.flat.parts, self.flat.edges, pairwise(self._edges), strict=False):
            yield part, self.positions[first:end] - edge * BLOCK, slice(first, end)
