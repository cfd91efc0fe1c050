"""What could make a mask know its person: a code that moves on the support set, losses as deployed, shared networks."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stub_training import fit

from pppl import Experiment
from pppl.backbones import NEVER, build, spec_for
from pppl.comparison import execution
from pppl.comparison import global_models as models
from pppl.comparison.compare import compare
from pppl.comparison.global_models import cache_path, global_model
from pppl.comparison.recipes import recipes
from pppl.data import IdentityDataset, Support
from pppl.gating import PersonGatedNetwork
from pppl.gating.person_code import find_code, information
from pppl.personalizers import GlobalModel, make_personalizers, ppp
from pppl.pruning import CostModel, masks_within
from pppl.system.errors import UserError
from pppl.tasks import TASKS
from pppl.training.gate_settings import PersonTraining

LEADS = {"ppp.training": "persons", "person_training.epochs": 3, "person_training.start": "l1"}
VARIANTS = {
    "ppp@sees": LEADS,
    "ppp@known": LEADS | {"person_training.corrected": True},
    "ppp@channels": LEADS | {"person_training.gate_input": "channels"},
    "ppp@code": LEADS | {"person_training.gate_input": "channels", "person_training.code_steps": 4},
}


@pytest.fixture(scope="module")
def experiment(tiny: Experiment) -> Experiment:
    return tiny.replace(methods=["full", *VARIANTS], settings=VARIANTS, seeds=[0])


@pytest.fixture(scope="module")
def model(experiment: Experiment, digits: IdentityDataset, tmp_path_factory: pytest.TempPathFactory) -> GlobalModel:
    return global_model(experiment, digits, 0, tmp_path_factory.mktemp("networks"))


def test_information_is_most_where_predictions_are_sure_and_different():
    sure = torch.eye(3) * 1e3
    assert information(sure).item() == pytest.approx(math.log(3), abs=1e-4)
    assert information(sure[[0, 0, 0]]).item() == pytest.approx(0, abs=1e-6), "all the same"
    assert information(torch.zeros(3, 3)).item() == pytest.approx(0, abs=1e-6), "all unsure"
    assert information(sure + torch.tensor([0, 0, NEVER])).item() < math.log(2.01)


def test_a_code_raises_the_information_and_changes_no_weight():
    torch.manual_seed(0)
    spec = spec_for("convnet", {"widths": (8, 8)}, (1, 8, 8), 4)
    full, gated = build(spec).eval(), PersonGatedNetwork(build(spec), TASKS["classification"], gate_input="channels")
    x, budget, cost = torch.rand(12, 1, 8, 8), torch.tensor([0.4]), CostModel(full, (1, 8, 8))
    torch.nn.init.normal_(gated.out.weight)
    prototype = gated.view(x, full).mean(0, keepdim=True)
    before = {name: value.clone() for name, value in gated.state_dict().items()}

    def masks(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return masks_within(scores, full.widths, cost, budget.double().numpy(), unit="macs", round_to=1)

    def told(moved: torch.Tensor | None) -> float:
        kept, _ = masks(gated.scores(prototype, budget, moved))
        return information(gated.eval()(x, kept.float().expand(12, -1))).item()

    how = {"temperature": 2.0, "learning_rate": 0.3}
    moved = find_code(gated, x, prototype, budget, masks, torch.zeros(4), steps=40, **how)
    assert moved.shape == (1, gated.sight.size)
    assert told(moved) > told(None)
    assert all(torch.equal(value, before[name]) for name, value in gated.state_dict().items())
    still = find_code(gated, x, prototype, budget, masks, torch.zeros(4), steps=0, **how)
    assert not still.any()


def test_a_code_is_of_the_device_and_its_steps_are_told(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    support = Support(x=digits.inputs(torch.arange(10)), y=digits.y[:10])
    own = {each.method: each for each in make_personalizers(experiment) if each.control == "own"}
    for method in ("ppp@channels", "ppp@code"):
        personal = own[method].personalize(model, support, 0.3)
        steps = 4 * (method == "ppp@code")
        assert (own[method].steps, personal.retrain_samples) == (steps, 10 * steps)
        assert personal.cost.macs <= 0.3 * model.cost.full.macs


@pytest.mark.parametrize("protocol", ["classes", "person"])
def test_a_code_moves_for_the_classes_that_outputs_are_corrected_for(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel, monkeypatch: pytest.MonkeyPatch, protocol: str
):
    """Somebody else's samples move it as a control, but the classes stay the person's own, as behind `+classes`."""
    added: list[torch.Tensor] = []

    def spy(network: PersonGatedNetwork, *given: Any, **how: Any) -> torch.Tensor:
        added.append(given[4])
        return find_code(network, *given, **how)

    monkeypatch.setattr(ppp, "find_code", spy)
    changed = experiment.replace(persons__protocol=protocol)
    code = next(each for each in make_personalizers(changed) if each.method == "ppp@code" and each.control == "own")
    with torch.inference_mode():
        predicted = model.full(digits.inputs(np.arange(200))).argmax(1).numpy()
    both = (np.flatnonzero(predicted == each)[:6] for each in np.unique(predicted)[:2])
    mine, others = (Support(x=digits.inputs(rows), y=digits.targets(rows)) for rows in both)
    for support in (mine, others, dataclasses.replace(others, own=mine)):
        code.personalize(model, support, 0.3)
    assert torch.equal(added[0], added[2])
    assert torch.equal(added[0], added[1]) == (protocol == "person")
    assert added[0].any() == (protocol == "classes"), "whoever has all classes has nothing to be corrected for"


@pytest.mark.parametrize("gate_input", ["nothing", "layers"])
def test_gates_that_read_nothing_of_a_person_have_no_code(gate_input: str):
    with pytest.raises(UserError, match="code_steps moves what gates read"):
        PersonTraining(gate_input=gate_input, code_steps=3)  # type: ignore[arg-type] (parametrized as text)


@pytest.mark.usefixtures("sketched")
def test_variants_that_differ_in_the_use_of_gates_share_a_training(
    experiment: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths = {recipe.kind: cache_path(recipe) for recipe in recipes(experiment, digits, 0)}
    assert paths["ppp@code"] == paths["ppp@channels"]
    assert len({*paths.values()}) == len(paths) - 1
    trained, train = [], execution._train
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "fit", fit)
    monkeypatch.setattr(execution, "_train", lambda task: trained.append(task.kind) or train(task))
    few = experiment.replace(methods=["full", "ppp@channels", "ppp@code"], **{"persons.count": 2})
    compare(few.replace(settings={name: VARIANTS[name] for name in few.methods[1:]}), tmp_path / "out")
    assert sorted(trained) in (["full", "ppp@channels"], ["full", "ppp@code"])
