"""The data set that everything starts from: labelled samples, and whose they are."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError

TRAIN, VALIDATION, TEST = 0, 1, 2
# Values whose mean is so many standard deviations from 0 lose 1e-5 of one in float32, if they are scaled first.
FAR = 100
Value = TypeVar("Value")


def _one() -> Tensor:
    return torch.ones(1)


def _zero() -> Tensor:
    return torch.zeros(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentityDataset:
    """A labelled data set, held in memory as it is stored.

    **Arguments:**

    - `x`: `(N, C, H, W)` or `(N, C, T)`, uint8, float16 or float32.
    - `y`: `(N,)` class indices, int64.
    - `classes`: the class names.
    - `split`: `(N,)`, 0 train, 1 validation, 2 test; None where the source has no split.
    - `identity`: `(N,)`, the index of the speaker, writer or subject; None where nobody is known.
    - `identities`: their names.
    - `recording`: `(N,)`, which recording each sample was cut from; samples of one are never split. None where each
      sample is its own.
    - `scale`, `offset`: `(1,)` or `(C,)`; a value is `x * scale + offset`.
    - `center`: `(1,)` or `(C,)`, taken from `x` before that, exactly: where values are far from 0 and near each other,
      `x * scale` would round their differences away. None where nothing is.
    - `standardized`: whether these values are what a network is given; if not, `split_for` makes them so.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    split: np.ndarray | None = None
    identity: np.ndarray | None = None
    identities: tuple[str, ...] = ()
    recording: np.ndarray | None = None
    scale: Tensor = field(default_factory=_one)
    offset: Tensor = field(default_factory=_zero)
    center: Tensor | None = None
    standardized: bool = False

    def rows(self, split: int) -> np.ndarray:
        """Indices of the samples of a split. Raises `ValueError` where the data set has none yet (see `split_for`)."""
        if self.split is None:
            raise ValueError(f"{self.name} has no split: make one with split_for")
        return np.flatnonzero(self.split == split)

    def inputs(self, rows: np.ndarray | Tensor) -> Tensor:
        """What a network is given, `(B, C, ...)` float32."""
        return self.to_inputs(self.x[torch.as_tensor(rows, device=self.x.device)])

    def to_inputs(self, x: Tensor) -> Tensor:
        """Stored samples, `(B, C, ...)`, as float32 values `(x - center) * scale + offset`."""
        shape = (-1, *(1,) * (x.ndim - 2))
        stored = x.float() if self.center is None else x.float() - self.center.view(shape)
        return torch.addcmul(self.offset.view(shape), stored, self.scale.view(shape))

    def to(self, device: torch.device | str) -> "IdentityDataset":
        """The same data set on `device`, as it is stored."""
        tensors = {name: getattr(self, name) for name in ("x", "y", "scale", "offset", "center")}
        return dataclasses.replace(self, **{k: None if v is None else v.to(device) for k, v in tensors.items()})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, `(C, H, W)` or `(C, T)`."""
        return tuple(self.x.shape[1:])

    @cached_property
    def sha256(self) -> str:
        """Hash of all that a result can depend on: the data's identity in caches and in `run.json`."""
        digest = hashlib.sha256(_sha256(self.x))
        named = {"y": self.y.numpy(), "split": self.split, "identity": self.identity}
        named |= {} if self.recording is None else {"recording": self.recording}
        named |= {"scale": self.scale.numpy(), "offset": self.offset.numpy()}
        named |= {} if self.center is None else {"center": self.center.numpy()}
        for name, array in named.items():
            if array is not None:
                digest.update(f"{name} {array.shape} {array.dtype}".encode())
                digest.update(np.ascontiguousarray(array).data)
        digest.update(repr((self.classes, self.identities)).encode())
        return digest.hexdigest()


@lru_cache(maxsize=2)
def _sha256(x: Tensor) -> bytes:
    """Hash of the samples; remembered, since all splits of a data set share them."""
    array = np.ascontiguousarray(x.numpy())
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(array.data)
    return digest.digest()


class TimedCache:
    """What several methods and budgets need of the same samples, computed once.

    - `spared`: seconds that were not spent again. Who reports what a method costs adds them.
    """

    def __init__(self) -> None:
        self.spared = 0.0
        self._kept: dict[Hashable, tuple[Any, float]] = {}

    def __call__(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What `make` gives, or gave when it was asked for under this key before."""
        if key in self._kept:
            value, seconds = self._kept[key]
            self.spared += seconds
            return value
        start = synchronized_time()
        value = make()
        self._kept[key] = value, synchronized_time() - start
        return value

    def clear(self) -> None:
        """Forgets all of it."""
        self._kept.clear()


def synchronized_time() -> float:
    """Return the time of the clock once a GPU has done all that it was given, before or after what is timed."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True, kw_only=True)
class Support:
    """The samples that a personalizer sees.

    - `x`: `(N, C, ...)` inputs, float32.
    - `y`: `(N,)` labels; PPP and OCAP never read them.
    - `seed`: for the personalizer's own random choices.
    - `own`: the person's own samples, where a control gives another's in their place; else None.
    - `once`: keeps what methods compute of these samples.
    """

    x: Tensor
    y: Tensor
    seed: int = 0
    own: "Support | None" = None
    once: TimedCache = field(default_factory=TimedCache, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.x) == 0:
            raise UserError("the support set has no samples: give at least one sample of the person")
        if len(self.x) != len(self.y):
            raise UserError(f"the support set has {len(self.x)} samples but {len(self.y)} labels")

    def to(self, device: torch.device | str) -> "Support":
        """The same support set on `device`; itself where it is there already."""
        wanted = torch.device(device)
        if self.x.device.type == wanted.type and wanted.index in (None, self.x.device.index):
            return self
        own = None if self.own is None else self.own.to(device)
        return type(self)(x=self.x.to(device), y=self.y.to(device), seed=self.seed, own=own)


class NoSamples(Support):
    """Stands where samples would be of which there are none at hand; nothing can be read of them."""

    def __post_init__(self) -> None:
        """Unlike a support set it may be empty."""

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> "NoSamples":
        """No samples of shape `(C, ...)`."""
        return cls(x=torch.empty(0, *shape), y=torch.empty(0, dtype=torch.int64))
