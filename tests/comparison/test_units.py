"""Who is whose `other`, and which groups of persons there are."""

import dataclasses

import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.comparison import load as opening
from pppl.comparison.units import PersonGroup, evaluate
from pppl.data import GroupName, IdentityDataset, split_for
from pppl.personalizers import make_personalizers
from pppl.tasks import TASKS


def _dataset(speakers: int) -> IdentityDataset:
    who, y, _ = np.indices((speakers, 6, 12)).reshape(3, -1)
    return IdentityDataset(
        name="words",
        x=torch.rand(len(y), 1, 4, generator=torch.Generator().manual_seed(0)),
        y=torch.from_numpy(y),
        classes=tuple("abcdef"),
        identity=who,
        identities=tuple(f"s{i}" for i in range(speakers)),
    )


def test_the_other_is_somebody_else():
    experiment = Experiment().replace(
        **{"persons.protocol": "person+classes", "persons.split": "random", "persons.count": 9, "methods": ["ppp"]}
    )
    dataset = split_for(_dataset(10), experiment.persons, seed=0)
    (other,) = (p for p in make_personalizers(experiment) if p.control == "other")
    for seen in (True, False):
        among = PersonGroup.draw(experiment, dataset, seed=0, name=GroupName(2, seen=seen))
        supports = [person.support_of(dataset).x for person in among.persons]
        for index, person in enumerate(among.persons):
            source = among.source(other, index)
            assert source is not None
            given = among.samples(source).x
            (of,) = (i for i, support in enumerate(supports) if torch.equal(support, given))
            assert among.persons[of].whose != person.whose


def test_a_group_that_a_seed_lacks_is_told_for_that_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Speakers 0 to 3 have too few samples to be persons; a draw whose unseen people are among them has none."""
    dataset = _dataset(7)
    assert dataset.identity is not None
    keep = np.flatnonzero((dataset.identity > 3) | (np.arange(len(dataset.y)) % 12 < 4))
    dataset = dataclasses.replace(dataset, x=dataset.x[keep], y=dataset.y[keep], identity=dataset.identity[keep])
    monkeypatch.setattr(opening, "load_dataset", lambda _: dataset)
    seeds = range(6)
    experiment, _ = opening.open_experiment(
        Experiment().replace(
            **{"data.name": "words", "persons.split": "random", "persons.classes": [2], "seeds": list(seeds)}
        )
    )
    lacking = []
    for seed in seeds:
        try:
            groups = opening.draw_groups(experiment, seed, report=True)
        except opening.TooFewPersons:
            continue
        if len(groups) < 2:
            lacking.append(seed)
    told = capsys.readouterr().err
    assert lacking
    assert all(f"left out with seed {seed}:" in told for seed in lacking)


def test_a_network_is_as_it_was_when_its_accuracy_has_been_measured():
    network = build(spec_for("convnet", {"widths": (5, 6, 7, 8)}, (1, 8, 8), 3)).eval()
    before = {name: (value.clone(), value.stride()) for name, value in network.state_dict().items()}
    x, labels = torch.rand(9, 1, 8, 8), torch.arange(9) % 3
    right = (network(x).argmax(1) == labels).float().mean().item()
    dataset = IdentityDataset(name="three", x=x, y=labels, classes=tuple("abc"))
    scores = evaluate(network, TASKS["classification"], dataset, np.arange(9), x)
    assert scores == {"accuracy": pytest.approx(right)}
    for name, value in network.state_dict().items():
        assert value.equal(before[name][0])
        assert value.stride() == before[name][1]
        assert not value.is_inference()
    network(x).sum().backward()
