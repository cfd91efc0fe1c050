"""Networks that files describe, built without memory first: a file cannot ask for one much larger than itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from ..backbones import Backbone, ShapeSpec, build
from ..system.errors import UserError

# How many layers, parameters and buffers a network may have for each tensor of its file, and beyond that: some layers
# have no parameters, and others are replaced after construction.
_PARTS, _FEW_PARTS = 16, 1000
# How many values its tensors may have for each value of its file, whose channels may be a few of them; or at least.
_VALUES, _FEW_VALUES = 100, 1 << 30
_REGISTER = (
    hooks.register_module_module_registration_hook,
    hooks.register_module_parameter_registration_hook,
    hooks.register_module_buffer_registration_hook,
)


class TooLarge(UserError):
    """A network is much larger than the file that describes it."""

    def __init__(self) -> None:
        super().__init__("its network has far more layers or weights than the file")


def build_on_meta(spec: ShapeSpec, *, tensors: int, values: int) -> Backbone:
    """Build the network of a file without memory.

    **Arguments:**

    - `tensors`: how many tensors the file has.
    - `values`: how many values these have.

    Raise `TooLarge` once the network is much larger, and `UserError` if it cannot be built.
    """
    with _bounded(tensors, values), torch.device("meta"):
        return build(spec)


def build_bounded(spec: ShapeSpec, *, tensors: int, values: int) -> Backbone:
    """Build the network of a file, first without memory unless its code reads values of tensors.

    Raise `TooLarge` once the network is much larger than the file, and `UserError` if it cannot be built.
    """
    try:
        build_on_meta(spec, tensors=tensors, values=values)
    except TooLarge:
        raise
    except UserError:
        pass  # told below if it is for another reason
    with _bounded(tensors, values):
        return build(spec)


@contextmanager
def _bounded(tensors: int, values: int) -> Iterator[None]:
    """Stop the construction of a network once it is much larger than its file."""
    left = _Left(tensors, values)
    handles = [register(left) for register in _REGISTER]
    try:
        yield
    except Exception as error:
        if left.is_used_up:  # libraries may raise something else instead
            raise TooLarge from error
        raise
    finally:
        for handle in handles:
            handle.remove()
    if left.is_used_up:
        raise TooLarge


class _Left:
    """A hook of all modules, which counts what may still be registered in the thread that has made it."""

    def __init__(self, tensors: int, values: int):
        self._parts, self._values = _PARTS * tensors + _FEW_PARTS, max(_VALUES * values, _FEW_VALUES)
        self._thread = threading.get_ident()

    @property
    def is_used_up(self) -> bool:
        return min(self._parts, self._values) < 0

    def __call__(self, _module: nn.Module, _name: str, part: object) -> None:
        if threading.get_ident() == self._thread:
            self._parts -= 1
            self._values -= part.numel() if isinstance(part, Tensor) else 0
            if self.is_used_up:
                raise TooLarge
