"""Flat storage for chosen parameters of a module, which lets one pass go over all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..system.errors import UserError, unknown

# Values per block. Each parameter starts a new block, so a value that belongs to a parameter is stored once per block.
BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Names of a module's parameters, grouped by what a task may change. Tied parameters have one name.

    >>> Roles(diff=("encoder.weight",), dense=("head.weight",), frozen=()).dense
    ('head.weight',)

    - `diff`: shared parameters with a sparse difference per task.
    - `dense`: parameters that each task has for itself, such as those of a head.
    - `frozen`: shared parameters that never change.
    """

    diff: tuple[str, ...]
    dense: tuple[str, ...]
    frozen: tuple[str, ...]


def roles(module: nn.Module, *, dense: Sequence[str] = (), frozen: Sequence[str] = ()) -> Roles:
    """Sort the parameters into roles by patterns such as `classifier.*`.

    >>> roles(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)), dense=["1.*"])
    Roles(diff=('0.weight', '0.bias'), dense=('1.weight', '1.bias'), frozen=())

    Parameters that match no pattern get a difference. Integer parameters are always frozen.

    Raise `UserError` for a pattern that matches no parameter.
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
    """The place of a parameter in the storage: its part and its first block."""

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
        """Number of blocks. The last one is padded with zeros."""
        return -(-self.size // BLOCK)

    @property
    def start(self) -> int:
        """Position of the first value in the whole storage."""
        return self.block * BLOCK


def _empty(blocks: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Allocate storage without setting it, `(blocks, BLOCK)`."""
    if device.type == "cpu" and blocks:  # NumPy asks Linux for huge pages, which makes scattered writes faster
        return torch.from_numpy(np.empty((blocks, BLOCK * dtype.itemsize), np.uint8)).view(dtype)
    return torch.empty(blocks, BLOCK, dtype=dtype, device=device)


class Flat:
    """Parameters of a module, stored in blocks, with one part of the storage for each dtype.

    >>> flat = Flat(nn.Linear(20, 20), ["weight", "bias"])
    >>> flat.size, [part.shape for part in flat.parts]
    (420, [torch.Size([3, 256])])

    The module's parameters become views of `parts` but stay the same objects, so optimizers and hooks keep working.
    Blocks are numbered through all parts. Parameters lie in the order of `slots`.

    **Arguments:**

    - `names`: names of floating-point parameters that are all on one device.

    Raise `UserError` if a parameter is not floating-point, or if they are not on exactly one device.
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
        """The dtype of differences: float64 if a parameter is float64, else float32."""
        return torch.float64 if torch.float64 in self.dtypes else torch.float32

    def empty(self) -> list[Tensor]:
        """Allocate storage like `parts`: the padding is zero, the rest is not set."""
        sizes = [end - start for start, end in zip(self.edges, self.edges[1:], strict=False)]
        parts = [_empty(blocks, dtype, self.device) for blocks, dtype in zip(sizes, self.dtypes, strict=True)]
        for slot in self.slots.values():
            last = slot.block + slot.blocks - 1 - self.edges[slot.part]
            if slot.size % BLOCK:
                parts[slot.part][last, slot.size % BLOCK :] = 0
        return parts

    def views(self, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter's name and its view of `parts`, in the parameter's shape."""
        for slot in self.slots.values():
            first = (slot.block - self.edges[slot.part]) * BLOCK
            yield slot.name, parts[slot.part].view(-1)[first : first + slot.size].view(slot.shape)

    def point(self, parts: Sequence[Tensor]) -> None:
        """Make the module compute with the values in `parts`."""
        for name, view in self.views(parts):
            self.parameters[name].data = view

    def rows(self, part: int) -> slice:
        """Return the blocks of a part, as a slice of all blocks."""
        return slice(self.edges[part], self.edges[part + 1])

    def spans(self, positions: Tensor) -> Iterator[tuple[Slot, slice]]:
        """Yield each parameter that holds some of the ascending `positions`, `(K,)`, and their slice of these."""
        for slot in self.slots.values():
            limits = torch.tensor([slot.start, slot.start + slot.size], device=positions.device)
            first, end = torch.searchsorted(positions, limits).tolist()
            if end > first:
                yield slot, slice(first, end)

    def lengths(self) -> Tensor:
        """Return the number of blocks of each parameter, `(parameters,)`, in the order of `slots`."""
        return torch.tensor([slot.blocks for slot in self.slots.values()], device=self.device)

    def padding(self) -> Tensor:
        """Return the positions of the padding, which belong to no parameter."""
        ends = [(slot.start + slot.size, (slot.block + slot.blocks) * BLOCK) for slot in self.slots.values()]
        return torch.cat([torch.arange(start, end, device=self.device) for start, end in ends])
