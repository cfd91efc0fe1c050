import copy
from dataclasses import replace

import pytest
import torch

from pppl import Experiment
from pppl.comparison.units import PersonGroup, Workbench
from pppl.data import GroupName, IdentityDataset, split_for
from pppl.gating.gate import Gate
from pppl.personalizers import GlobalModel, make_personalizers


def _open_per_sample(model: GlobalModel, x: torch.Tensor) -> list[list[int]]:
    with torch.no_grad():
        gates = model.gated["ppp"].eval()(x).gates
    return torch.stack([gate.sum(1) for gate in gates], 1).long().tolist()


def _choosy(model: GlobalModel) -> GlobalModel:
    """The same with gates that depend on the sample."""
    gated = copy.deepcopy(model.gated["ppp"])
    for gate in gated.gates.modules():
        if isinstance(gate, Gate):
            gate.logits.weight.data.normal_(generator=torch.Generator().manual_seed(0))
            gate.logits.bias.data.zero_()
    return replace(model, gated={"ppp": gated})


def test_its_macs_are_the_mean_over_samples(tiny: Experiment, model: GlobalModel):
    (personalizer,) = make_personalizers(tiny.replace(methods=["ppp_dynamic"]))
    x = 4 * torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = _choosy(model)
    network = model.gated["ppp"]
    made = personalizer.personalize(model, model.train, 1.0)
    counts = _open_per_sample(model, x)
    assert len({tuple(each) for each in counts}) > 1
    mean = sum(model.cost(each).macs for each in counts) / len(counts)
    cost = made.cost_on(x)
    assert cost.macs == pytest.approx(mean, abs=1)
    assert cost.params == model.cost.full.params
    assert made.bytes > 4 * sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        assert torch.equal(made.module(x), network(x).logits)


def test_its_row_has_the_cost_of_the_query(tiny: Experiment, model: GlobalModel, digits: IdentityDataset):
    experiment = tiny.replace(methods=["full", "ppp_dynamic"])
    dataset = split_for(digits, experiment.persons, seed=0)
    model = _choosy(model)
    unit = PersonGroup.draw(experiment, dataset, 0, GroupName(2, seen=True)).units()[0]
    full, dynamic = Workbench(model, torch.device("cpu")).rows(unit)
    (_, personalizer) = make_personalizers(experiment)
    query = dataset.inputs(unit.person.query)
    made = personalizer.personalize(model, model.train)
    assert dynamic["macs"] == made.cost_on(query).macs
    assert dynamic["macs"] not in (made.cost.macs, model.cost.full.macs)
    assert dynamic["budget"] == 1.0
    assert full["macs"] == model.cost.full.macs
