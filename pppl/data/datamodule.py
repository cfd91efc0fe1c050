"""Batches of a data set that lies in memory: whole batches by index, no per-sample Python."""

from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor

from .identities import TRAIN, VALIDATION, IdentityDataset


class Batches:
    """Iterates over `(x, y)` batches; each pass is shuffled anew when a generator is given.

    A last training batch smaller than half a batch is left out, since batch normalization needs company.
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int, generator: torch.Generator | None = None):
        self.x, self.y, self.batch_size, self.generator = x, y, batch_size, generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.x), self.batch_size)
        keep_rest = rest > 0 and (self.generator is None or whole == 0 or rest >= self.batch_size / 2)
        return whole + keep_rest

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.generator is None:
            order = torch.arange(len(self.x))
        else:
            order = torch.randperm(len(self.x), generator=self.generator)
        for index in order.split(self.batch_size)[: len(self)]:
            yield self.x[index], self.y[index]


class InMemoryData(pl.LightningDataModule):
    """A data set's training and validation splits as batches; the shuffling depends on `seed` only."""

    def __init__(self, dataset: IdentityDataset, batch_size: int, seed: int):
        super().__init__()
        self.dataset, self.batch_size = dataset, batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def _split(self, split: int, generator: torch.Generator | None) -> Batches:
        rows = torch.from_numpy(self.dataset.rows(split))
        return Batches(self.dataset.x[rows], self.dataset.y[rows], self.batch_size, generator)

    def train_dataloader(self) -> Batches:
        return self._split(TRAIN, self.generator)

    def val_dataloader(self) -> Batches:
        return self._split(VALIDATION, None)
