import dataclasses

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from pppl.data import IdentityDataset
from pppl.data.augment import AUGMENTATIONS
from pppl.data.datamodule import Batches, InMemoryData, check_augmentations
from pppl.system.errors import UserError


def rows_of(batches: Batches) -> torch.Tensor:
    """Which rows came, read from inputs that number them."""
    return torch.cat([x[:, 0, 0] for x, _ in batches]).long()


@pytest.fixture
def numbered() -> IdentityDataset:
    return IdentityDataset(
        name="numbered", x=torch.arange(100.0).view(100, 1, 1), y=torch.arange(100) % 7, classes=tuple("abcdefg")
    )


def test_batches_cover_everything_once_and_shuffle_every_pass(numbered: IdentityDataset):
    shuffled = Batches(numbered, torch.arange(100), 32, seed=0)
    first, second = rows_of(shuffled), rows_of(shuffled)
    # 4 samples are less than half a batch and wait for another pass.
    assert len(shuffled) == 3 == len(list(shuffled))
    assert len(first.unique()) == 96
    assert not torch.equal(first, second)
    ordered = Batches(numbered, torch.arange(100), 32)
    assert torch.equal(rows_of(ordered), torch.arange(100))
    assert len(ordered) == 4 == len(list(ordered))


def test_labels_go_with_their_samples_and_only_the_rows_asked_for_come(numbered: IdentityDataset):
    rows = torch.arange(10, 60)
    x, y = (torch.cat(parts) for parts in zip(*Batches(numbered, rows, 16, seed=3), strict=True))
    assert torch.equal(y, x.flatten().long() % 7)
    assert set(x.flatten().tolist()) <= set(range(10, 60))


def test_processes_share_every_batch(numbered: IdentityDataset):
    whole = [x.flatten() for x, _ in Batches(numbered, torch.arange(100), 32, seed=1)]
    parts = [
        [x.flatten() for x, _ in Batches(numbered, torch.arange(100), 32, seed=1, rank=rank, world_size=2)]
        for rank in range(2)
    ]
    assert len(whole) == len(parts[0]) == len(parts[1])
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(batch, torch.cat([first, second]))


@pytest.mark.parametrize("count", [3, 64, 65, 66, 100])
@pytest.mark.parametrize("seed", [None, 1])
def test_no_sample_of_a_batch_is_lost_between_processes(numbered: IdentityDataset, count: int, seed: int | None):
    """However many remain for the last batch, every process has as many batches, none of them empty."""
    rows, names = torch.arange(count), ("crop",)
    images = dataclasses.replace(numbered, x=torch.arange(100.0).view(100, 1, 1, 1).expand(100, 1, 9, 9).contiguous())

    def batches(**place: int) -> list[torch.Tensor]:
        augment = () if seed is None else names
        return [x for x, _ in Batches(images, rows, 32, seed=seed, augment=augment, **place)]

    whole = torch.cat(batches())
    shares = [batches(rank=rank, world_size=3) for rank in range(3)]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == len(Batches(images, rows, 32, seed=seed, world_size=3))
    assert min(len(x) for share in shares for x in share) > 0
    assert torch.equal(torch.cat([x for share in zip(*shares, strict=True) for x in share]), whole)


def test_validation_batches_are_mixed_alike_in_every_epoch(numbered: IdentityDataset):
    """Losses of gates look at whole batches, and data sets are stored class by class."""
    split = np.repeat([0, 1], [20, 80])
    by_class = dataclasses.replace(numbered, y=torch.arange(100) // 20, split=split, classes=tuple("abcde"))
    data = InMemoryData(by_class, 40, seed=0)
    data.trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    data.setup("fit")
    batches = data.val_dataloader()
    assert all(set(y.tolist()) == {1, 2, 3, 4} for _, y in batches)
    assert sorted(rows_of(batches).tolist()) == list(range(20, 100))
    assert torch.equal(rows_of(batches), rows_of(data.val_dataloader()))


def test_uint8_becomes_values_batch_by_batch_and_augmentation_follows_from_the_seed():
    stored = torch.randint(256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    scale, offset = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([-1.0, 0.0, 1.0])
    images = IdentityDataset(
        name="images", x=stored, y=torch.zeros(40, dtype=torch.int64), classes=("a", "b"), scale=scale, offset=offset
    )
    (x, _), *_ = Batches(images, torch.arange(40), 16)
    assert x.dtype == torch.float32
    assert torch.equal(x, stored[:16] * scale.view(3, 1, 1) + offset.view(3, 1, 1))

    def augmented(seed: int) -> torch.Tensor:
        names = ("crop", "flip", "specaugment")
        return torch.cat([x for x, _ in Batches(images, torch.arange(40), 16, seed=seed, augment=names)])

    assert torch.equal(augmented(0), augmented(0))
    assert not torch.equal(augmented(0), augmented(1))
    plain = torch.cat([x for x, _ in Batches(images, torch.arange(40), 16, seed=0)])
    assert not torch.equal(augmented(0), plain)
    black = dataclasses.replace(images, x=torch.zeros_like(stored))
    (x, _), *_ = Batches(black, torch.arange(40), 16, seed=0, augment=["crop"])
    assert torch.equal(x[0, :, 0, 0], offset), "what a crop pads with is what is stored as 0"


def test_an_unknown_augmentation():
    with pytest.raises(UserError, match=r"unknown augmentation 'flop': did you mean 'flip'"):
        check_augmentations(["crop", "flop"])
    check_augmentations(list(AUGMENTATIONS))
