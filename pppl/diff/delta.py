"""A task's difference to a shared base, and the hash that tells which base."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from .flat import Flat


@dataclass(frozen=True, kw_only=True, eq=False)
class Delta:
    """What makes a task's network of the base.

    - `shapes`: of the base's parameters that may differ, by name.
    - `positions`: per parameter, ascending, `(K_t,)` int64; those without a difference may be left out.
    - `values`: what is added there, `(K_t,)`.
    - `state`: dense parameters and buffers (batch statistics) that the task has for its own.
    - `base_sha256`: `base_sha256` of the network that it belongs to, without what `state` holds.
    - `metadata`: of the task, such as its name and labels.
    """

    shapes: Mapping[str, torch.Size]
    positions: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    base_sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many values differ."""
        return sum(len(positions) for positions in self.positions.values())

    @property
    def rate(self) -> float:
        """Their fraction."""
        return self.count / max(1, sum(shape.numel() for shape in self.shapes.values()))

    def to(self, dtype: torch.dtype) -> Self:
        """With values rounded to `dtype`, as a file of that dtype holds them."""
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
    """A `Delta` of positions in flat storage, `(K,)` ascending, and what is added there."""
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
    """Names of the buffers that training moves: those of batch normalization."""
    return [
        f"{path}.{name}" if path else name
        for path, layer in module.named_modules()
        if "running_mean" in layer._buffers
        for name, buffer in layer._buffers.items()
        if buffer is not None
    ]


def base_sha256(module: nn.Module, *, own: Iterable[str] = ()) -> str:
    """Hash of the parameters and buffers: names, dtypes, shapes and bytes.

    **Arguments:**

    - `own`: those that a task has for its own, such as a head, and that may be anything, under any of their names.
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
