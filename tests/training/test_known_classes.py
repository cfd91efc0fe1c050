"""Losses of persons with few classes: only their classes compete."""

import torch

from pppl.backbones import NEVER
from pppl.training.known_classes import corrections


def test_a_persons_classes_hold_the_samples_own_and_random_others():
    targets = torch.arange(10).repeat(300)
    torch.manual_seed(0)
    added = corrections(targets, 10, [3])
    own = added == 0
    assert set(added.unique().tolist()) == {0.0, NEVER}
    assert (own.sum(1) == 3).all()
    assert own[torch.arange(len(targets)), targets].all()
    others = own.float().mean(0)
    torch.testing.assert_close(others, torch.full((10,), 0.3), atol=0.04, rtol=0)


def test_sizes_are_equally_likely_and_0_is_all():
    torch.manual_seed(0)
    counts = (corrections(torch.zeros(2000, dtype=torch.long), 5, [0, 2]) == 0).sum(1)
    assert set(counts.tolist()) == {2, 5}
    assert abs((counts == 2).float().mean() - 0.5) < 0.05
