"""The data set type of the package: samples with class and person labels, and support sets drawn from them."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError
from .features import LogMel

TRAIN, VALIDATION, TEST = 0, 1, 2
# If the mean is this many standard deviations from 0, scaling in float32 before centring costs up to 1e-5 of a standard
# deviation.
FAR = 100
_TENSORS = ("x", "y", "scale", "offset", "center", "target_scale", "target_offset")
Value = TypeVar("Value")


def _one() -> Tensor:
    return torch.ones(1)


def _zero() -> Tensor:
    return torch.zeros(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentityDataset:
    """A data set with class labels and, if known, person labels. It is in memory, in the stored data type.

    **Arguments:**

    - `name`: name of the source, or of the file without its suffix.
    - `x`: `(N, C, H, W)` or `(N, C, T)`, uint8, float16 or float32.
    - `y`: targets; of a classification `(N,)` class indices, int64, of a regression `(N, D)` float32.
    - `classes`: class names; empty if targets are no classes.
    - `task`: name of what networks are trained for (`pppl.tasks`).
    - `split`: `(N,)`, 0 train, 1 validation, 2 test; None if the source has no split.
    - `identity`: `(N,)`, index of the speaker, writer or subject; None if there are no person labels.
    - `identities`: names of the people.
    - `recording`: `(N,)`, index of the recording that each sample was cut from. Samples of one recording stay in one
      split. None if each sample is its own recording.
    - `scale`, `offset`: `(1,)` or `(C,)`; a value is `x * scale + offset`.
    - `center`: `(1,)` or `(C,)`, subtracted from `x` before scaling: a value is `(x - center) * scale + offset`. Values
      that are far from 0 and close together need it, since `x * scale` would round their differences away. None if
      nothing is subtracted.
    - `standardized`: whether these values are the network's inputs; if not, `split_for` standardizes them.
    - `target_scale`, `target_offset`: `(1,)` or `(D,)`; a network is trained on `(y - target_offset) / target_scale`
      if targets are numbers. `split_for` sets them.
    - `log_mel`: the transform that turned recordings into samples; None for other data.
    - `about`: lines for people about how the user's own data were read.

    >>> x, y = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    >>> dataset = IdentityDataset(name="toy", x=x, y=y, classes=("cat", "dog"), scale=torch.tensor([1 / 255]))
    >>> dataset.inputs(torch.tensor([0, 2])).shape
    torch.Size([2, 1, 8, 8])
    """

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...] = ()
    task: str = "classification"
    split: np.ndarray | None = None
    identity: np.ndarray | None = None
    identities: tuple[str, ...] = ()
    recording: np.ndarray | None = None
    scale: Tensor = field(default_factory=_one)
    offset: Tensor = field(default_factory=_zero)
    center: Tensor | None = None
    standardized: bool = False
    target_scale: Tensor = field(default_factory=_one)
    target_offset: Tensor = field(default_factory=_zero)
    log_mel: LogMel | None = None
    about: tuple[str, ...] = ()

    def rows(self, split: int) -> np.ndarray:
        """Return the row indices of a split. Raise `ValueError` if the data set has no split (see `split_for`)."""
        if self.split is None:
            raise ValueError(f"{self.name} has no split: make one with split_for")
        return np.flatnonzero(self.split == split)

    def inputs(self, rows: np.ndarray | Tensor) -> Tensor:
        """Return the network's inputs of some rows, `(B, C, ...)` float32."""
        return self.to_inputs(self.x[torch.as_tensor(rows, device=self.x.device)])

    def targets(self, rows: np.ndarray | Tensor) -> Tensor:
        """Return what the network is trained on for some rows: class indices, `(B,)`, or standardized numbers."""
        y = self.y[torch.as_tensor(rows, device=self.y.device)]
        return (y - self.target_offset) / self.target_scale if y.is_floating_point() else y

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return outputs of a network, `(B, K)`, in the unit of `y`; logits stay as they are."""
        return outputs * self.target_scale + self.target_offset if self.y.is_floating_point() else outputs

    @property
    def strata(self) -> np.ndarray:
        """`(N,)`, what samples are drawn by: their class; 0 without classes."""
        return self.y.numpy() if self.classes else np.zeros(len(self.y), np.int64)

    @property
    def strata_count(self) -> int:
        """How many strata there are."""
        return max(1, len(self.classes))

    def to_inputs(self, x: Tensor) -> Tensor:
        """Convert stored samples `(B, C, ...)` to float32 values `(x - center) * scale + offset`."""
        shape = (-1, *(1,) * (x.ndim - 2))
        stored = x.float() if self.center is None else x.float() - self.center.view(shape)
        return torch.addcmul(self.offset.view(shape), stored, self.scale.view(shape))

    def to(self, device: torch.device | str) -> "IdentityDataset":
        """Return the same data set on `device`, in the stored data type."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        return dataclasses.replace(self, **{k: None if v is None else v.to(device) for k, v in tensors.items()})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, `(C, H, W)` or `(C, T)`."""
        return tuple(self.x.shape[1:])

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that a result can depend on. It identifies the data in caches and in `run.json`."""
        digest = hashlib.sha256(_sha256(self.x))
        named = {"y": self.y.numpy(), "split": self.split, "identity": self.identity}
        named |= {} if self.recording is None else {"recording": self.recording}
        named |= {"scale": self.scale.numpy(), "offset": self.offset.numpy()}
        named |= {} if self.center is None else {"center": self.center.numpy()}
        named |= {} if self.classes else {"targets": np.stack([self.target_scale.numpy(), self.target_offset.numpy()])}
        for name, array in named.items():
            if array is not None:
                digest.update(f"{name} {array.shape} {array.dtype}".encode())
                digest.update(np.ascontiguousarray(array).data)
        digest.update(repr((self.classes, self.identities)).encode())
        return digest.hexdigest()


def _sha256(x: Tensor) -> bytes:
    array = np.ascontiguousarray(x.numpy())
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(array.data)
    return digest.digest()


class TimedCache:
    """A cache of values that several methods and budgets compute from the same samples.

    - `spared`: seconds that reuse has saved. Add them to the measured time to report what a method costs.

    >>> cache = TimedCache()
    >>> cache("mean", lambda: 3), cache("mean", lambda: 4)
    (3, 3)
    """

    def __init__(self) -> None:
        self.spared = 0.0
        self._kept: dict[Hashable, tuple[Any, float]] = {}

    def __call__(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value cached under `key`. The first call computes it with `make`."""
        if key in self._kept:
            value, seconds = self._kept[key]
            self.spared += seconds
            return value
        start = synchronized_time()
        value = make()
        self._kept[key] = value, synchronized_time() - start
        return value

    def clear(self) -> None:
        """Remove all values; `spared` stays."""
        self._kept.clear()


def synchronized_time() -> float:
    """Return the clock time in seconds after all queued GPU work has finished. Call it before and after what you time.

    >>> start = synchronized_time()
    >>> synchronized_time() - start >= 0
    True
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True, kw_only=True)
class Support:
    """A support set: the samples from which a personalizer adapts the network.

    - `x`: `(N, C, ...)` inputs, float32.
    - `y`: `(N,)` labels; PPP and OCAP never read them.
    - `seed`: seed of the personalizer's random choices.
    - `own`: the person's own samples, if a control passes somebody else's samples as `x`; else None.
    - `once`: cache of what methods compute from these samples. Its keys name all that a value depends on besides the
      samples: the network, and each setting.

    Raise `UserError` if there are no samples, or not one label for each.

    >>> len(Support(x=torch.rand(5, 1, 8, 8), y=torch.tensor([0, 0, 1, 1, 1]), seed=3).x)
    5
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
        """Return the same support set on `device`: itself if it is there already, else a copy with an empty cache."""
        wanted = torch.device(device)
        if self.x.device.type == wanted.type and wanted.index in (None, self.x.device.index):
            return self
        own = None if self.own is None else self.own.to(device)
        return type(self)(x=self.x.to(device), y=self.y.to(device), seed=self.seed, own=own)


class NoSamples(Support):
    """An empty support set, for a model whose training samples are not at hand.

    >>> NoSamples.of_shape((1, 8, 8)).x.shape
    torch.Size([0, 1, 8, 8])
    """

    def __post_init__(self) -> None:
        """Accept an empty set, unlike `Support`."""

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> "NoSamples":
        """Return an empty set of samples of shape `(C, ...)`."""
        return cls(x=torch.empty(0, *shape), y=torch.empty(0, dtype=torch.int64))
