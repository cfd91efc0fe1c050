"""Many people on one global network."""

import numpy as np
import pytest
import torch
from backbone_structures import names_by_structure
from small_backbones import small

from pppl.backbones import Backbone, build, slice_network, spec_for
from pppl.deploy import People
from pppl.system.errors import UserError


def _network(name: str) -> tuple[Backbone, tuple[int, ...]]:
    options, shape = small(name)
    torch.manual_seed(0)
    return build(spec_for(name, options, shape, 3)).eval(), shape


def _mask(network: Backbone, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(width) < max(1, width // 2) for width in network.widths])


@pytest.mark.parametrize("name", names_by_structure())
def test_a_row_of_a_batch_is_what_the_persons_own_network_says(name: str):
    network, shape = _network(name)
    people, before = People(network), network.state_dict()
    for seed in range(5):
        assert people.add(_mask(network, seed)) == seed
    x, who = torch.randn(6, *shape), [3, 0, 4, 4, 1, 2]
    batch = people(x, who)
    for row, person in enumerate(who):
        masks = torch.from_numpy(_mask(network, person)).split(network.widths)
        own = slice_network(network, masks)
        torch.testing.assert_close(batch[row : row + 1], own(x[row : row + 1]), atol=1e-5, rtol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_only_the_networks_that_were_used_last_are_kept():
    network, _ = _network("convnet")
    people = People(network, networks=2)
    for seed in range(3):
        people.add(_mask(network, seed))
    first, second = people.network(0), people.network(1)
    assert people.network(0) is first
    people.network(2)  # drops the second
    assert people.network(0) is first
    assert people.network(1) is not second


def test_memory_is_a_bit_per_channel_of_each_person():
    network, _ = _network("resnet20")
    people = People(network)
    mask = _mask(network, 0)
    for _ in range(5000):
        people.add(mask)
    packed = -(-len(mask) // 8)
    assert len(people) == 5000
    assert people.bytes == 5 * 1024 * packed
    assert torch.equal(people.masks([4999])[0], torch.from_numpy(mask))


def test_what_cannot_be_is_refused():
    network, shape = _network("convnet")
    people = People(network)
    people.add(_mask(network, 0))
    with pytest.raises(UserError, match="keeps no channel"):
        people.add(np.zeros(sum(network.widths), bool))
    with pytest.raises(UserError, match="the network has"):
        people.add(np.ones(3, bool))
    with pytest.raises(UserError, match="there is no person 1: 1 were added"):
        people(torch.randn(1, *shape), [1])
    with pytest.raises(UserError, match="2 samples of 1 people"):
        people(torch.randn(2, *shape), [0])
