from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pppl.data.augment import AUGMENTATIONS, crop, flip, spec_augment, time_shift
from pppl.system.errors import UserError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Values above 0, so that a zero is one that was filled in."""
    return torch.randint(1, 256, shape, generator=_generator(9)).to(dtype)


def _copies(shape: tuple[int, ...], count: int = 64) -> Tensor:
    """The same sample many times, so that all differences are those of the augmentation."""
    return _batch((1, *shape)).expand(count, *shape)


def _padded(sample: Tensor, size: int, dims: tuple[int, ...]) -> Tensor:
    shape = [n + 2 * size if dim in dims else n for dim, n in enumerate(sample.shape)]
    wide = torch.zeros(shape, dtype=sample.dtype)
    inner = tuple(slice(size, size + n) if dim in dims else slice(None) for dim, n in enumerate(sample.shape))
    wide[inner] = sample
    return wide


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_follows_from_its_generator(name: str):
    x = _copies((1, 49, 40))
    before = x.clone()
    change = AUGMENTATIONS[name]
    first, again, other = change(x, _generator()), change(x, _generator()), change(x, _generator(1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x, before), "the batch itself must not change"
    assert len({tuple(sample.flatten().tolist()) for sample in first}) > (1 if name == "flip" else 8)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
@pytest.mark.parametrize("change", [crop, flip, time_shift])
def test_shape_and_dtype_stay(change: Callable, dtype: torch.dtype):
    x = _batch((6, 3, 9, 7), dtype)
    found = change(x, _generator())
    assert (found.shape, found.dtype, found.is_contiguous()) == (x.shape, dtype, True)
    torch.testing.assert_close(found.float(), change(x.float(), _generator()))
    assert change(x[:0], _generator()).shape == (0, 3, 9, 7)


@pytest.mark.parametrize("padding", [1, 4])
def test_a_crop_is_a_window_of_the_padded_image(padding: int):
    x = _batch((200, 3, 8, 10))
    found = crop(x, _generator(), padding=padding)
    places = set()
    for image, cropped in zip(x, found, strict=True):
        wide = _padded(image, padding, (1, 2))
        windows = [
            (top, left)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if torch.equal(wide[:, top : top + 8, left : left + 10], cropped)
        ]
        assert len(windows) == 1
        places.add(windows[0])
    assert len({top for top, _ in places}) == len({left for _, left in places}) == 2 * padding + 1


def test_a_flip_mirrors_half_of_the_images():
    x = _batch((400, 3, 5, 6))
    once = flip(x, _generator())
    mirrored = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(once, x, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(once, x, strict=True)])
    assert (mirrored ^ kept).all()
    assert 0.4 < mirrored.float().mean() < 0.6
    assert torch.equal(flip(once, _generator()), x), "the same draw twice gives the image back"


@pytest.mark.parametrize("shape", [(1, 49, 40), (3, 30), (2, 4)])
def test_a_shift_moves_along_time(shape: tuple[int, ...]):
    x = _batch((300, *shape))
    steps = set()
    for sample, shifted in zip(x, time_shift(x, _generator(), most=5), strict=True):
        matching = [step for step in range(-5, 6) if torch.equal(_shifted(sample, step), shifted)]
        assert matching
        steps.update(matching)
    assert steps == set(range(-5, 6))


def _shifted(sample: Tensor, step: int) -> Tensor:
    """Later by `step`, along the axis after the channels."""
    shifted = torch.zeros_like(sample)
    for time in range(sample.shape[1]):
        if 0 <= time - step < sample.shape[1]:
            shifted[:, time] = sample[:, time - step]
    return shifted


def _lengths(hidden: Tensor) -> list[int]:
    """Lengths of the runs of True."""
    text = "".join("x" if value else " " for value in hidden.tolist())
    return [len(run) for run in text.split()]


def test_masks_are_runs_within_their_limits():
    x = _copies((1, 49, 40), 500)
    found = spec_augment(x, _generator(), masks=1, frames=10, bands=8)
    hidden = found[:, 0] == 0
    times, bands = hidden.all(dim=2), hidden.all(dim=1)
    assert torch.equal(hidden, times[:, :, None] | bands[:, None, :]), "whole frames and whole bands only"
    assert torch.equal(found[:, 0][~hidden], x[:, 0][~hidden])
    for axis, most in ((times, 10), (bands, 8)):
        runs = [_lengths(sample) for sample in axis]
        assert max(map(len, runs)) == 1
        assert {sum(run) for run in runs} == set(range(most + 1)), "every length is drawn"
        assert axis.any(dim=0).all(), "every place is drawn"


def test_several_masks_hide_no_more_than_their_sum():
    hidden = spec_augment(_copies((1, 49, 40), 500), _generator(), masks=2)[:, 0] == 0
    for axis, most in ((hidden.all(dim=2), 10), (hidden.all(dim=1), 8)):
        runs = [_lengths(sample) for sample in axis]
        assert max(map(len, runs)) == 2
        assert most < max(map(sum, runs)) <= 2 * most


def test_masks_are_not_cut_off_at_the_end():
    hidden = spec_augment(_copies((1, 12, 40), 4000), _generator(), masks=1, frames=10)[:, 0] == 0
    lengths = hidden.all(dim=2).sum(dim=1)
    counts = torch.bincount(lengths, minlength=11)
    assert len(counts) == 11
    expected = 4000 / 11  # each length is as likely as the others; four standard deviations
    assert ((counts - expected).abs() < 4 * expected**0.5).all()


def test_masks_of_a_spectrogram_shorter_than_they():
    found = spec_augment(_copies((2, 4, 3), 300), _generator())
    assert found.shape == (300, 2, 4, 3)
    assert (found == 0).flatten(1).all(dim=1).any()


def test_batches_that_an_augmentation_does_not_fit():
    for change in (crop, flip, spec_augment):
        with pytest.raises(UserError, match=r"takes \(B, C, H, W\), but the batch is \(2, 3, 30\): leave"):
            change(_batch((2, 3, 30)), _generator())
    with pytest.raises(UserError, match=r"standardized data, whose mean is 0, not torch\.uint8"):
        spec_augment(_batch((2, 1, 49, 40), torch.uint8), _generator())
