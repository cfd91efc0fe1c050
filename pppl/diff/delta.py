"""A task's difference to a shared base network, and the hash that identifies the base."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from .flat import Flat


@dataclass(frozen=True, kw_only=True, eq=False)
class Delta:
    """The difference that turns the base network into a task's network.

    >>> positions, values = {"weight": torch.tensor([0, 7])}, {"weight": torch.tensor([0.5, -1.0])}
    >>> shapes = {"weight": torch.Size((4, 5))}
    >>> Delta(shapes=shapes, positions=positions, values=values, state={}, base_sha256="").rate
    0.1

    - `shapes`: shapes of the base's parameters that may differ, by name.
    - `positions`: per parameter, the ascending positions of its differences, `(K_t,)` int64. A parameter without
      differences may be missing.
    - `values`: the differences to add at these positions, `(K_t,)`.
    - `state`: dense parameters and buffers (batch statistics) that belong to this task alone.
    - `base_sha256`: `base_sha256` of the base network, without the tensors in `state`.
    - `metadata`: further facts about the task, such as its name and labels.
    """

    shapes: Mapping[str, torch.Size]
    positions: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    base_sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of values that differ."""
        return sum(len(positions) for positions in self.positions.values())

    @property
    def rate(self) -> float:
        """Fraction of the values that differ."""
        return self.count / max(1, sum(shape.numel() for shape in self.shapes.values()))

    def to(self, dtype: torch.dtype) -> Self:
        """Return this delta with values rounded to `dtype`, as a file of that dtype stores them."""
        values = {name: value.to(dtype) for name, value in self.values.items()}
        return type(self)(**{**self.__dict__, "values": values})


def delta_of(
    flat: Flat,
    positions: Tensor,
    values: Tensor,
    *,
    state: Mapping[str, Tensor],
    base_sha256: str,
    metadata: Mapping[str, str] | None = None,
) -> Delta:
    """Make a `Delta` from ascending positions in flat storage, `(K,)`, and the values to add there, `(K,)`.

    >>> module = nn.Linear(2, 2)
    >>> sha256 = base_sha256(module)
    >>> delta = delta_of(Flat(module, ["weight"]), torch.tensor([0, 3]), torch.ones(2), state={}, base_sha256=sha256)
    >>> delta.count, delta.rate
    (2, 0.5)
    """
    parts: dict[str, Tensor] = {}
    added: dict[str, Tensor] = {}
    for slot, rows in flat.spans(positions):
        parts[slot.name] = (positions[rows] - slot.start).cpu()
        added[slot.name] = values[rows].detach().cpu().clone()
    shapes = {name: slot.shape for name, slot in flat.slots.items()}
    return Delta(
        shapes=shapes,
        positions=parts,
        values=added,
        state={name: tensor.detach().cpu().clone() for name, tensor in state.items()},
        base_sha256=base_sha256,
        metadata=metadata or {},
    )


def batch_statistics(module: nn.Module) -> list[str]:
    """Return the names of the buffers of batch normalization, which change during training.

    >>> batch_statistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    ['1.running_mean', '1.running_var', '1.num_batches_tracked']
    """
    return [
        f"{path}.{name}" if path else name
        for path, layer in module.named_modules()
        if "running_mean" in layer._buffers
        for name, buffer in layer._buffers.items()
        if buffer is not None
    ]


def base_sha256(module: nn.Module, *, own: Iterable[str] = ()) -> str:
    """Hash the module's parameters and buffers: their names, dtypes, shapes and bytes.

    >>> len(base_sha256(nn.Linear(2, 2)))
    64

    **Arguments:**

    - `own`: names of tensors to leave out because each task has its own, such as those of a head. A tied parameter is
      left out under all of its names.
    """
    digest, state, left_out = hashlib.sha256(), module.state_dict(), set(own)
    named = dict(module.named_parameters(remove_duplicate=False))
    tied = {named[name] for name in left_out & named.keys()}
    left_out |= {name for name, parameter in named.items() if parameter in tied}
    for name in sorted(state.keys() - left_out):
        values = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
