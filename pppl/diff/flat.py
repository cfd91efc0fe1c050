"""Chosen parameters of any module as views of flat storage, so that one pass goes over all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..system.errors import UserError, unknown

# Every parameter starts at a multiple of this, so that what belongs to a parameter is stored once per block.
BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Names of a module's parameters by what a task may do with them; tied parameters have one name.

    - `diff`: shared, with a sparse difference per task.
    - `dense`: each task has its own, such as a head.
    - `frozen`: shared and never changed.
    """

    diff: tuple[str, ...]
    dense: tuple[str, ...]
    frozen: tuple[str, ...]


def roles(module: nn.Module, *, dense: Sequence[str] = (), frozen: Sequence[str] = ()) -> Roles:
    """Sorts the parameters by patterns such as `classifier.*`; all others, and none of integers, get a difference.

    Raises `UserError` for a pattern that matches no parameter.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    for pattern in (*dense, *frozen):
        if not any(fnmatchcase(name, pattern) for aliases in names.values() for name in aliases):
            raise unknown("parameter", pattern, (name for aliases in names.values() for name in aliases))
    sorted_names: dict[str, list[str]] = {"diff": [], "dense": [], "frozen": []}
    for parameter, aliases in names.items():
        if _matches(aliases, frozen) or not parameter.is_floating_point():
            role = "frozen"
        else:
            role = "dense" if _matches(aliases, dense) else "diff"
        sorted_names[role].append(aliases[0])
    return Roles(**{role: tuple(names) for role, names in sorted_names.items()})


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Where a parameter lies: in which part, from which block on."""

    name: str
    shape: torch.Size
    part: int
    block: int

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def blocks(self) -> int:
        """Number of blocks; the last is filled up with zeros."""
        return -(-self.size // BLOCK)

    @property
    def start(self) -> int:
        """Position of its first value in the whole storage."""
        return self.block * BLOCK


def _empty(blocks: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Unset storage, `(blocks, BLOCK)`."""
    if device.type == "cpu" and blocks:  # NumPy asks Linux for huge pages: scattered writes wait less for them
        return torch.from_numpy(np.empty((blocks, BLOCK * dtype.itemsize), np.uint8)).view(dtype)
    return torch.empty(blocks, BLOCK, dtype=dtype, device=device)


class Flat:
    """Parameters of a module, stored in blocks; one part of the storage for each dtype.

    The module's parameters become views of `parts`, and stay the same objects: optimizers and hooks go on to work.
    Blocks are numbered through all parts, and parameters lie in the order of `slots`.

    **Arguments:**

    - `names`: of the parameters, floating-point and on one device. Raises `UserError` where they are not.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]):
        self.parameters = {name: module.get_parameter(name) for name in names}
        devices = {parameter.device for parameter in self.parameters.values()}
        if len(devices) != 1:
            raise UserError(f"{len(devices)} devices hold these parameters: move the module to one device first")
        for name, parameter in self.parameters.items():
            if not parameter.is_floating_point():
                raise UserError(f"parameter {name} holds {parameter.dtype}: a difference needs floating-point values")
        self.device = devices.pop()
        self.dtypes = list(dict.fromkeys(parameter.dtype for parameter in self.parameters.values()))
        self.slots: dict[str, Slot] = {}
        self.edges = [0]  # part i holds the blocks from edges[i] to edges[i + 1]
        block = 0
        for part, dtype in enumerate(self.dtypes):
            for name, parameter in self.parameters.items():
                if parameter.dtype == dtype:
                    self.slots[name] = Slot(name=name, shape=parameter.shape, part=part, block=block)
                    block += self.slots[name].blocks
            self.edges.append(block)
        self.blocks, self.size = block, sum(slot.size for slot in self.slots.values())
        self.parts = self.empty()
        for name, view in self.views(self.parts):
            view.copy_(self.parameters[name].detach())
        self.point(self.parts)

    @property
    def state_dtype(self) -> torch.dtype:
        """What differences are computed in: single precision, or double where a parameter is."""
        return torch.float64 if torch.float64 in self.dtypes else torch.float32

    def empty(self) -> list[Tensor]:
        """Storage like `parts`, zero where no parameter lies and unset elsewhere."""
        sizes = [end - start for start, end in zip(self.edges, self.edges[1:], strict=False)]
        parts = [_empty(blocks, dtype, self.device) for blocks, dtype in zip(sizes, self.dtypes, strict=True)]
        for slot in self.slots.values():
            last = slot.block + slot.blocks - 1 - self.edges[slot.part]
            if slot.size % BLOCK:
                parts[slot.part][last, slot.size % BLOCK :] = 0
        return parts

    def views(self, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Each parameter's name and its view of `parts`, in the parameter's shape."""
        for slot in self.slots.values():
            first = (slot.block - self.edges[slot.part]) * BLOCK
            yield slot.name, parts[slot.part].view(-1)[first : first + slot.size].view(slot.shape)

    def point(self, parts: Sequence[Tensor]) -> None:
        """Makes the module compute with `parts`."""
        for name, view in self.views(parts):
            self.parameters[name].data = view

    def rows(self, part: int) -> slice:
        """The blocks of a part."""
        return slice(self.edges[part], self.edges[part + 1])

    def spans(self, positions: Tensor) -> Iterator[tuple[Slot, slice]]:
        """Which of ascending `positions`, `(K,)`, lie in each parameter; parameters without any are left out."""
        for slot in self.slots.values():
            limits = torch.tensor([slot.start, slot.start + slot.size], device=positions.device)
            first, end = torch.searchsorted(positions, limits).tolist()
            if end > first:
                yield slot, slice(first, end)

    def lengths(self) -> Tensor:
        """`(parameters,)`, the number of blocks of each, in the order of `slots`."""
        return torch.tensor([slot.blocks for slot in self.slots.values()], device=self.device)

    def padding(self) -> Tensor:
        """Positions of the storage where no parameter lies."""
        ends = [(slot.start + slot.size, (slot.block + slot.blocks) * BLOCK) for slot in self.slots.values()]
        return torch.cat([torch.arange(start, end, device=self.device) for start, end in ends])
