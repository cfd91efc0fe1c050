"""Changes that a person keeps: the same for all samples of one person, and of a known kind."""

import pytest
import torch
from torch import Tensor

from pppl.data import IdentityDataset
from pppl.data.datamodule import Batches, check_augmentations
from pppl.data.person_changes import PERSON_CHANGES, hand, voice, wear
from pppl.system.errors import UserError

SHAPES = {"voice": (1, 20, 12), "hand": (1, 12, 12), "wear": (6, 32)}


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _copies(name: str, count: int) -> Tensor:
    """The same sample many times, so that all differences are those of the change."""
    return torch.randn(1, *SHAPES[name], generator=_generator(9)).expand(count, *SHAPES[name])


@pytest.mark.parametrize("name", PERSON_CHANGES)
def test_samples_of_a_person_change_alike(name: str):
    x, whose = _copies(name, 6), torch.tensor([0, 1, 0, 2, 1, 0])
    changed = PERSON_CHANGES[name](x, _generator(), whose)
    assert changed.equal(PERSON_CHANGES[name](x, _generator(), whose))
    for person in range(3):
        own = changed[whose == person]
        assert own.equal(own[:1].expand_as(own))
    assert all(not changed[0].equal(changed[other]) for other in (1, 3))
    alone = PERSON_CHANGES[name](x, _generator())
    assert len({tuple(sample.flatten().tolist()) for sample in alone}) == 6, "without persons all samples differ"


@pytest.mark.parametrize("name", PERSON_CHANGES)
def test_no_amount_is_no_change(name: str):
    x = _copies(name, 2)
    torch.testing.assert_close(
        PERSON_CHANGES[name].apply(x, torch.zeros(2, PERSON_CHANGES[name].amounts)), x, atol=1e-4, rtol=1e-4
    )


def test_a_longer_vocal_tract_moves_formants_in_proportion():
    x = torch.zeros(1, 1, 3, 61)
    x[..., 20], x[..., 40] = 1.0, 1.0
    amounts = torch.zeros(1, 6)
    amounts[:, 1] = 1.0  # what was read at band 20 is now at 20 / 1.15
    changed = voice(x, amounts)[0, 0, 1]
    assert changed[:30].argmax() == round(20 / 1.15)
    assert 30 + changed[30:].argmax() == round(40 / 1.15)


def test_a_room_adds_a_smooth_curve_to_all_frames():
    amounts = torch.zeros(1, 6)
    amounts[:, 2:] = torch.tensor([1.0, -1.0, 0.5, 0.0])
    added = voice(torch.zeros(1, 1, 5, 31), amounts)[0, 0]
    assert added.equal(added[:1].expand_as(added))
    torch.testing.assert_close(added[0, ::10], 0.7 * amounts[0, 2:])


def test_strokes_get_thicker_and_thinner():
    x = torch.zeros(2, 1, 9, 9)
    x[..., 3:6] = 1.0
    amounts = torch.zeros(2, 5)
    amounts[:, 4] = torch.tensor([1.0, -1.0])
    wide, narrow = hand(x, amounts).round()
    assert (wide[0].sum(1) == 5).all()
    assert (narrow[0].sum(1) == 1).all()


def test_a_turned_sensor_keeps_lengths():
    x = torch.randn(4, 6, 32, generator=_generator())
    amounts = torch.zeros(4, 5)
    amounts[:, :3] = torch.rand(4, 3, generator=_generator())
    turned = wear(x, amounts)
    lengths = [each.unflatten(1, (2, 3)).norm(dim=2) for each in (x, turned)]
    torch.testing.assert_close(*lengths, atol=1e-4, rtol=1e-4)
    assert not turned.allclose(x, atol=0.1)


@pytest.mark.parametrize(("name", "shape"), [("voice", (2, 3, 4, 5)), ("hand", (2, 3, 4)), ("wear", (2, 4, 9))])
def test_data_of_another_kind_are_told(name: str, shape: tuple[int, ...]):
    with pytest.raises(UserError, match=f"leave {name} out"):
        PERSON_CHANGES[name](torch.zeros(shape), _generator())


def test_batches_change_persons(digits: IdentityDataset):
    rows = torch.arange(8)
    batches = Batches(digits, rows, 8, seed=0, augment=("hand",))
    repeated = rows[:1].repeat(8)
    x, _ = batches.of(repeated, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    assert x[:4].equal(x[:1].expand(4, -1, -1, -1))
    assert not x[0].equal(x[4])
    check_augmentations(["hand"])
    with pytest.raises(UserError, match="augmentation"):
        check_augmentations(["hand"], of_people=False)
