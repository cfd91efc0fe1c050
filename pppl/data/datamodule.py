"""Batches of a data set that lies in memory: whole batches by index, no per-sample Python."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ..system.errors import unknown
from .augment import AUGMENTATIONS
from .identities import TRAIN, VALIDATION, IdentityDataset

# This one fills with the mean, which is 0 after standardization only. The others fill with what is stored as 0: black,
# or silence.
_OF_INPUTS = ("specaugment",)


def check_augmentations(names: Sequence[str]) -> None:
    """Raises `UserError` for a name that is no augmentation."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)


def seen_in_a_pass(count: int, batch_size: int) -> int:
    """Return how many of `count` training samples one shuffled pass sees, as `Batches` leaves some out."""
    whole, rest = divmod(count, batch_size)
    return count if whole == 0 or rest >= batch_size / 2 else whole * batch_size


def batches_in_a_pass(count: int, batch_size: int) -> int:
    """Return how many batches one shuffled pass has, of `count` training samples."""
    return -(-seen_in_a_pass(count, batch_size) // batch_size)


class Batches:
    """Iterates over `(x, y)` batches of some rows: x `(B, C, ...)` float32, y `(B,)`, on the data set's device.

    **Arguments:**

    - `dataset`: on the device that batches are wanted on.
    - `rows`: `(n,)`, the samples to iterate over.
    - `batch_size`: over all processes together.
    - `seed`: each pass is shuffled and augmented anew, and a last batch smaller than half a batch is left out, since
      batch normalization needs company. Without a seed rows come in order, unaugmented, all of them.
    - `augment`: names of augmentations.
    - `rank`, `world_size`: which part of each batch this process gets; all parts are equally large.
    """

    def __init__(
        self,
        dataset: IdentityDataset,
        rows: Tensor,
        batch_size: int,
        *,
        seed: int | None = None,
        augment: Sequence[str] = (),
        rank: int = 0,
        world_size: int = 1,
    ):
        check_augmentations(augment)
        self.dataset, self.rows, self.batch_size = dataset, rows, batch_size
        self.augment, self.rank, self.world_size = augment, rank, world_size
        self.order = None if seed is None else torch.Generator().manual_seed(seed)  # the same in every process
        self.chance = torch.Generator().manual_seed((seed or 0) * world_size + rank)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size)
        keep_rest = rest >= self.world_size and (self.order is None or whole == 0 or rest >= self.batch_size / 2)
        return whole + keep_rest

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self.rows
        if self.order is not None:
            rows = rows[torch.randperm(len(rows), generator=self.order)]
        for index in rows.split(self.batch_size)[: len(self)]:
            share = len(index) // self.world_size
            own = index[self.rank * share : (self.rank + 1) * share].to(self.dataset.x.device)
            yield self.of(own)

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The batch of some rows, `(B,)`, augmented by the next random numbers."""
        return self._prepare(self.dataset.x[rows]), self.dataset.y[rows]

    def _prepare(self, stored: Tensor) -> Tensor:
        for name in self.augment:
            if name not in _OF_INPUTS:
                stored = AUGMENTATIONS[name](stored, self.chance)
        x = self.dataset.to_inputs(stored)
        for name in self.augment:
            if name in _OF_INPUTS:
                x = AUGMENTATIONS[name](x, self.chance)
        return x


class InMemoryData(pl.LightningDataModule):
    """A data set's training and validation rows as batches; shuffling and augmentation depend on `seed` only.

    The whole data set, as it is stored, moves to the trainer's device once.
    """

    def __init__(self, dataset: IdentityDataset, batch_size: int, seed: int, augment: Sequence[str] = ()):
        super().__init__()
        self.dataset, self.batch_size, self.seed, self.augment = dataset, batch_size, seed, augment

    def setup(self, stage: str) -> None:
        """Moves the data to the trainer's device."""
        assert self.trainer is not None
        self.on_device = self.dataset.to(self.trainer.strategy.root_device)

    def _batches(self, rows: Tensor, seed: int | None, augment: Sequence[str] = ()) -> Batches:
        assert self.trainer is not None
        place = {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}
        return Batches(self.on_device, rows, self.batch_size, seed=seed, augment=augment, **place)

    def train_dataloader(self) -> Batches:
        return self._batches(torch.from_numpy(self.dataset.rows(TRAIN)), self.seed, self.augment)

    def val_dataloader(self) -> Batches:
        # In the same order always, but mixed as in training: losses of gates look at whole batches, and data sets are
        # stored class by class.
        rows = torch.from_numpy(np.random.default_rng(0).permutation(self.dataset.rows(VALIDATION)))
        return self._batches(rows, None)
