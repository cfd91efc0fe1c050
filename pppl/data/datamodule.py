"""Batches of a data set in memory. A batch is indexed as a whole, without Python code per sample."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ..system.errors import unknown
from .augment import AUGMENTATIONS
from .identities import TRAIN, VALIDATION, IdentityDataset
from .person_changes import PERSON_CHANGES

# Augmentations of the standardized inputs: SpecAugment fills with 0, which is the mean only there. The others change
# the stored samples, where 0 is black or silence.
_OF_INPUTS = ("specaugment",)


def check_augmentations(names: Sequence[str], *, of_people: bool = True) -> None:
    """Check names of augmentations. Raise `UserError` for an unknown one.

    **Arguments:**

    - `of_people`: whether changes that make somebody else of a person are allowed.

    >>> check_augmentations(["crop", "flip"])
    """
    known = [*AUGMENTATIONS, *(PERSON_CHANGES if of_people else ())]
    for name in names:
        if name not in known:
            raise unknown("augmentation", name, known)


def seen_in_a_pass(count: int, batch_size: int) -> int:
    """Return how many of `count` training samples one shuffled pass sees: `Batches` drops a small last batch.

    >>> seen_in_a_pass(100, batch_size=32)
    96
    """
    whole, rest = divmod(count, batch_size)
    return count if whole == 0 or rest >= batch_size / 2 else whole * batch_size


def batches_in_a_pass(count: int, batch_size: int) -> int:
    """Return the number of batches in one shuffled pass over `count` training samples.

    >>> batches_in_a_pass(100, batch_size=32)
    3
    """
    return -(-seen_in_a_pass(count, batch_size) // batch_size)


class Batches:
    """An iterable of batches `(x, y)` of some rows: x `(B, C, ...)` float32, y `(B,)`, on the data set's device.

    **Arguments:**

    - `dataset`: the data set, on the device of the batches.
    - `rows`: `(n,)`, the samples to iterate over.
    - `batch_size`: size of a batch over all processes together.
    - `seed`: seed of shuffling and augmentation. Each pass is shuffled anew, and a last batch smaller than half a batch
      is dropped, since batch normalization needs several samples. With None all rows come in order; a last batch of
      fewer samples than there are processes is a part of the one before.
    - `augment`: names of augmentations.
    - `rank`, `world_size`: index of this process, and number of processes. Each gets a share of every batch,
      equal up to a sample.

    >>> from pppl.data import load_dataset
    >>> x, y = next(iter(Batches(load_dataset("digits"), torch.arange(100), 32, seed=0, augment=("crop",))))
    >>> x.shape, y.shape
    (torch.Size([32, 1, 8, 8]), torch.Size([32]))
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
        self.chance = torch.Generator().manual_seed(seed or 0)

    def __len__(self) -> int:
        if self.order is not None:
            return batches_in_a_pass(len(self.rows), self.batch_size)
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + (rest >= self.world_size or 0 < rest == len(self.rows))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows, count = self.rows, len(self)
        if self.order is not None:
            order = torch.randperm(len(rows), generator=self.order)
            rows = rows[order[: seen_in_a_pass(len(rows), self.batch_size)]]
        for at in range(count):
            end = len(rows) if at == count - 1 else (at + 1) * self.batch_size
            index = rows[at * self.batch_size : end].to(self.dataset.x.device)
            if self.augment:  # the whole batch, whose random numbers are the same for any number of processes
                x, y = self.of(index)
                yield self._share(x), self._share(y)
            else:
                yield self.of(self._share(index))

    def _share(self, values: Tensor) -> Tensor:
        return values.tensor_split(self.world_size)[self.rank]

    def of(self, rows: Tensor, whose: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the batch of some rows, `(B,)`, augmented with the next random numbers.

        **Arguments:**

        - `whose`: `(B,)`, index of the person of each sample, who keeps changes of people.
        """
        return self._prepare(self.dataset.x[rows], whose), self.dataset.targets(rows)

    def _prepare(self, stored: Tensor, whose: Tensor | None) -> Tensor:
        for name in self.augment:
            if name in AUGMENTATIONS and name not in _OF_INPUTS:
                stored = AUGMENTATIONS[name](stored, self.chance)
        x = self.dataset.to_inputs(stored)
        for name in self.augment:
            if name in PERSON_CHANGES:
                x = PERSON_CHANGES[name](x, self.chance, whose)
        for name in self.augment:
            if name in _OF_INPUTS:
                x = AUGMENTATIONS[name](x, self.chance)
        return x


class InMemoryData(pl.LightningDataModule):
    """A Lightning data module for a data set in memory. Shuffling and augmentation depend on `seed` only.

    The whole data set moves to the trainer's device once, in its stored data type.

    ```python
    data = InMemoryData(split_for(load_dataset("digits"), PersonSettings(), seed=0), batch_size=64, seed=0)
    pl.Trainer(max_epochs=10).fit(module, data)
    ```
    """

    def __init__(self, dataset: IdentityDataset, batch_size: int, seed: int, augment: Sequence[str] = ()):
        super().__init__()
        self.dataset, self.batch_size, self.seed, self.augment = dataset, batch_size, seed, augment

    def setup(self, stage: str) -> None:
        """Move the data to the trainer's device."""
        assert self.trainer is not None
        self.on_device = self.dataset.to(self.trainer.strategy.root_device)

    def _batches(self, rows: Tensor, seed: int | None, augment: Sequence[str] = ()) -> Batches:
        assert self.trainer is not None
        place = {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}
        return Batches(self.on_device, rows, self.batch_size, seed=seed, augment=augment, **place)

    def train_dataloader(self) -> Batches:
        """Return the training batches, shuffled and augmented."""
        return self._batches(torch.from_numpy(self.dataset.rows(TRAIN)), self.seed, self.augment)

    def val_dataloader(self) -> Batches:
        """Return the validation batches, without augmentation, always in the same random order."""
        # Data sets are stored class by class, and the losses of gates depend on whole batches. So the rows are mixed as
        # in training.
        rows = torch.from_numpy(np.random.default_rng(0).permutation(self.dataset.rows(VALIDATION)))
        return self._batches(rows, None)
