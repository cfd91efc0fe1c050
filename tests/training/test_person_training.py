"""Training on synthetic persons: who they are, that training's masks are personalizing's, and what is learnt."""

import dataclasses
import itertools
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.backbones import Backbone
from pppl.backbones.cuts import filters
from pppl.comparison.global_models import load_or_train
from pppl.comparison.network_files import load_network
from pppl.comparison.recipes import recipes
from pppl.comparison.units import PersonGroup, Workbench
from pppl.data import GroupName, IdentityDataset, Support
from pppl.data.datamodule import Batches
from pppl.data.identities import TRAIN, VALIDATION
from pppl.gating import PersonGatedNetwork
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS
from pppl.training import fit
from pppl.training.person_batches import PersonBatches
from pppl.training.person_module import PersonData, PersonModule

PERSONS = {"ppp.training": "persons"}


@pytest.fixture(scope="module")
def experiment(tiny: Experiment) -> Experiment:
    """With gates of the published kind and two kinds of person gates."""
    changes = {
        "seeds": [0],
        "training.epochs": 8,
        "person_training.epochs": 30,
        "person_training.queries": 6,
        "person_training.persons": 12,
    }
    changes |= {"person_training.prototype_weight": 4.0}
    settings = {"ppp@persons": PERSONS, "gated@persons": PERSONS | {"person_training.epochs": 1}}
    return tiny.replace(methods=["full", "ppp", *settings], settings=settings, **changes)


@pytest.fixture(scope="module")
def model(experiment: Experiment, digits: IdentityDataset, tmp_path_factory: pytest.TempPathFactory) -> GlobalModel:
    from pppl.comparison.global_models import global_model

    return global_model(experiment, digits, 0, tmp_path_factory.mktemp("networks"))


def batches(dataset: IdentityDataset, rows: np.ndarray | None = None, **changes) -> PersonBatches:
    settings = {"by_people": False, "sizes": (2, 3), "persons": 4, "queries": 7, "shots": 5, "budgets": (0.1, 0.6)}
    rows = dataset.rows(TRAIN) if rows is None else rows
    return PersonBatches(dataset, rows, **(settings | {"count": 3, "seed": 1} | changes))


def test_a_batch_holds_persons_as_they_are_drawn_for_personalizing(digits: IdentityDataset):
    for batch in batches(digits):
        assert batch.x.shape == (28, *digits.input_shape)
        assert ((batch.budgets >= 0.1) & (batch.budgets <= 0.6)).all()
        for person in range(4):
            support = batch.support[batch.person == person]
            classes, counts = digits.y[support].unique(return_counts=True)
            assert len(classes) in (2, 3)
            assert set(counts.tolist()) == {5}
            own = slice(7 * person, 7 * person + 7)
            assert set(batch.y[own].tolist()) <= set(classes.tolist())
            queries = {tuple(x.flatten().tolist()) for x in batch.x[own]}
            assert not queries & {tuple(x.flatten().tolist()) for x in digits.inputs(support)}, "no sample is both"
            halves = batch.half[batch.person == person]
            assert abs(int((2 * halves - 1).sum())) <= 1


def test_a_person_keeps_random_changes_in_support_and_queries(digits: IdentityDataset):
    for batch in batches(digits, augment=("hand",)):
        assert batch.changed is not None
        assert batch.changed.shape == (len(batch.support), *digits.input_shape)
        assert not batch.changed.allclose(digits.inputs(batch.support), atol=0.1)
    assert next(iter(batches(digits, augment=("crop",)))).changed is None


@pytest.mark.parametrize("batch_size", [32, 128])
def test_gates_take_as_many_steps_as_the_full_network(batch_size: int, digits: IdentityDataset):
    person_training = Experiment().person_training
    persons = person_training.persons_of(batch_size)
    assert persons * person_training.queries == batch_size
    assert dataclasses.replace(person_training, persons=5).persons_of(batch_size) == 5
    settings = {"by_people": False, "sizes": (2,), "shots": 5, "budgets": (0.1, 0.5)}
    settings |= {"persons": persons, "queries": person_training.queries}
    of_full = Batches(digits, torch.from_numpy(digits.rows(TRAIN)), batch_size, seed=0)
    data = PersonData(digits, 0, (), settings, cost=None)  # pyright: ignore[reportArgumentType] (not read)
    data.on_device = digits
    assert len(data.train_dataloader()) == len(of_full)


def test_who_is_drawn_twice_is_one_person(digits: IdentityDataset):
    for batch in batches(digits, sizes=(9,), persons=20):
        classes = [frozenset(digits.y[batch.support[batch.person == person]].tolist()) for person in range(20)]
        assert len(set(classes)) < 20
        for person, other in itertools.combinations(range(20), 2):
            assert (batch.label[person] == batch.label[other]) == (classes[person] == classes[other])


def test_training_can_begin_with_the_channels_of_the_largest_weights(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    settings = dataclasses.replace(experiment.person_training, start="l1")
    how = {"by_people": False, "sizes": (2,), "shots": 5}
    module = PersonModule(model.full, experiment.training, TASKS["classification"], settings, experiment.pruning, **how)
    view = module.person_network.view(digits.inputs(torch.arange(4)), model.full).mean(0, keepdim=True)
    scores = module.person_network.scores(view, torch.tensor([0.2]))[0].split(model.full.widths)
    for own, layer in zip(scores, filters(model.full), strict=True):
        assert own.argmax() == layer.abs().sum(1).argmax()
        assert own.argmin() == layer.abs().sum(1).argmin()
    with pytest.raises(UserError, match="start is l1"):
        dataclasses.replace(settings, gate_input="layers")


def test_one_support_sample_has_no_halves_to_compare(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    module = PersonModule(
        model.full,
        experiment.training,
        TASKS["classification"],
        experiment.person_training,
        experiment.pruning,
        by_people=False,
        sizes=(1,),
        shots=1,
    ).eval()
    module.dataset, module.cost = digits, CostModel(model.full, digits.input_shape)
    with torch.no_grad():
        module.views = [module.person_network.view(digits.inputs(torch.arange(len(digits.y))), model.full)]
        _, terms = module.losses(*next(iter(batches(digits, sizes=(1,), shots=1))))
    assert terms["prototype"] == 0
    assert terms["task"] > 0


def test_passes_differ_but_for_validation(digits: IdentityDataset):
    once, again = batches(digits), batches(digits, again=True)
    assert not torch.equal(next(iter(once)).support, next(iter(once)).support)
    assert torch.equal(next(iter(again)).support, next(iter(again)).support)


def test_people_lend_only_their_own_samples(digits: IdentityDataset):
    whose = np.arange(len(digits.y)) % 3
    people = dataclasses.replace(digits, identity=whose, identities=("a", "b", "c"))
    for batch in batches(people, by_people=True, sizes=(0,)):
        for person in range(4):
            support = batch.support[batch.person == person].numpy()
            assert len(set(whose[support].tolist())) == 1
            assert len(support) == 50, "all classes, where no size is asked for"


def test_classes_with_few_samples_lend_what_they_have(digits: IdentityDataset):
    rows = np.concatenate([np.flatnonzero(digits.y.numpy() == c)[:2] for c in range(10)])
    batch = next(iter(batches(digits, rows)))
    assert set(torch.bincount(batch.person).tolist()) <= {2, 3}, "one sample of each class, one is left to classify"
    with pytest.raises(UserError, match=r"no class of digits has two samples.*: set ppp\.training to samples"):
        batches(digits, rows[::2])


@pytest.mark.parametrize(
    ("pruning", "bf16"), [({}, False), ({}, True), ({"pruning.unit": "params", "pruning.round_to": 4}, False)]
)
def test_training_uses_the_mask_that_personalizing_makes(
    experiment: Experiment,
    digits: IdentityDataset,
    model: GlobalModel,
    monkeypatch: pytest.MonkeyPatch,
    pruning: dict,
    bf16: bool,
):
    """Also where networks are trained in bf16, as on a GPU."""
    experiment = experiment.replace(**pruning)
    own = next(p for p in make_personalizers(experiment) if (p.method, p.control) == ("ppp@persons", "own"))
    batch = next(iter(batches(digits, budgets=(0.3, 0.6))))
    module = PersonModule(
        model.full,
        experiment.training,
        TASKS["classification"],
        experiment.person_training,
        experiment.pruning,
        by_people=False,
        sizes=(2,),
        shots=5,
    ).eval()
    module.network = model.gated["ppp@persons"]
    module.dataset, module.cost = digits, CostModel(model.full, digits.input_shape)
    with torch.no_grad():
        module.views = [module.person_network.view(digits.inputs(torch.arange(len(digits.y))), model.full)]
        masks: list[torch.Tensor] = []
        forward = PersonGatedNetwork.forward
        monkeypatch.setattr(PersonGatedNetwork, "forward", lambda *args: masks.append(args[2]) or forward(*args))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            module.losses(*batch)
    for person in range(4):
        rows = batch.support[batch.person == person]
        support = Support(x=digits.inputs(rows), y=digits.y[rows])
        personal = own.personalize(model, support, float(batch.budgets[person]))
        assert personal.masks is not None
        assert torch.equal(torch.cat(personal.masks).float(), masks[0][7 * person])


def test_more_than_the_largest_budget_of_training_is_not_used(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    few = experiment.replace(**{"person_training.most": 0.4})
    rows = digits.rows(TRAIN)[:10]
    support = Support(x=digits.inputs(rows), y=digits.y[rows])
    for personalizer in make_personalizers(few):
        if personalizer.method == "ppp@persons":
            assert personalizer.personalize(model, support, 0.9).cost.macs <= 0.4 * model.cost.full.macs
            with pytest.raises(UserError, match="ppp@persons cannot choose a size by itself: give a budget"):
                personalizer.personalize(model, support)


def test_what_is_learnt_is_personal_and_better_than_by_lot(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    among = PersonGroup.draw(experiment.replace(**{"persons.count": 6}), digits, 0, GroupName(2, seen=True))
    bench = Workbench(model, torch.device("cpu"))
    rows = [row for unit in among.units() for row in bench.rows(unit) if row["method"] == "ppp@persons"]
    mean = {c: np.mean([r["score"] for r in rows if r["control"] == c]) for c in ("own", "other", "random")}
    assert mean["own"] > mean["other"] + 0.05
    assert mean["own"] > mean["random"] + 0.3


def test_what_is_done_to_any_network_is_done_to_these(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel
):
    steps = experiment.replace(methods=[f"ppp@persons+{step}" for step in ("finetune", "diff", "bn", "quant")])
    rows = digits.rows(TRAIN)[:10]
    support = Support(x=digits.inputs(rows), y=digits.y[rows])
    for personalizer in make_personalizers(steps):
        personal = personalizer.personalize(model, support, 0.4)
        assert personal.cost.macs <= 0.4 * model.cost.full.macs
        assert personal.module(support.x).shape == (10, 10)


def test_the_full_network_stays_as_it_was(experiment: Experiment, digits: IdentityDataset, tmp_path: Path):
    of_all, *_ = recipes(experiment, digits, 0)
    network, _ = load_or_train(of_all, experiment, digits, tmp_path)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sections = (experiment.training, TASKS["classification"], experiment.person_training, experiment.pruning)
    training = dataclasses.replace(experiment.training, epochs=1)
    made: list[PersonModule] = []

    def module() -> PersonModule:
        who = {"by_people": False, "sizes": (2,), "shots": 5}
        made.append(PersonModule(cast(Backbone, network), training, *sections[1:], **who))  # type: ignore[arg-type]
        return made[0]

    fit(module, digits, seed=0, folder=tmp_path / "fit")
    for full in (network, made[0]._full[0]):
        assert all(torch.equal(value.cpu(), before[name]) for name, value in full.state_dict().items())
    start = made[0].person_network.backbone.state_dict()
    assert any(not torch.equal(value.cpu(), before[name]) for name, value in start.items()), (
        "which begins with it, has changed"
    )


def test_gates_learn_at_a_speed_of_their_own(experiment: Experiment, digits: IdentityDataset, tmp_path: Path):
    """With a learning rate next to nothing only fast gates move."""
    of_all, *_ = recipes(experiment, digits, 0)
    full, _ = load_or_train(of_all, experiment, digits, tmp_path)
    training = dataclasses.replace(experiment.training, epochs=1, learning_rate=1e-9, weight_decay=0.0)
    fast = dataclasses.replace(experiment.person_training, gate_speed=1e6)
    made: list[dict[str, torch.Tensor]] = []

    def make() -> PersonModule:
        who = {"by_people": False, "sizes": (2,), "shots": 5}
        module = PersonModule(cast(Backbone, full), training, TASKS["classification"], fast, experiment.pruning, **who)  # type: ignore[arg-type]
        made.append({name: value.clone() for name, value in module.network.named_parameters()})
        return module

    module, _ = fit(make, digits, seed=0, folder=tmp_path / "fit")
    moved = {n: (v - made[0][n]).abs().max().item() for n, v in module.network.named_parameters()}
    assert max(change for name, change in moved.items() if name.startswith("backbone.")) < 1e-6
    assert min(change for name, change in moved.items() if name.startswith(("hidden.", "out."))) > 1e-4


def test_networks_of_person_gates_are_kept_with_what_they_see(
    experiment: Experiment, digits: IdentityDataset, model: GlobalModel, tmp_path: Path
):
    from pppl.comparison.network_files import save_network

    for kind in ("ppp@persons", "gated@persons"):
        recipe = next(r for r in recipes(experiment, digits, 0) if r.kind == kind)
        assert recipe.person_training is not None
        assert (recipe.person_training.settings.prototype_weight == 0) == (kind == "gated@persons")
        save_network(tmp_path / kind, recipe, model.gated[kind], {})
        again, _ = load_network(tmp_path / kind)
        assert isinstance(again, PersonGatedNetwork)
        x = digits.inputs(digits.rows(VALIDATION)[:4])
        masks = torch.ones(4, sum(model.full.widths))
        torch.testing.assert_close(again(x, masks), model.gated[kind](x, masks))  # type: ignore[arg-type]


def test_what_changes_a_network_changes_its_name(experiment: Experiment, digits: IdentityDataset):
    def keys(**changes) -> dict[str, str]:
        return {recipe.kind: recipe.key for recipe in recipes(experiment.replace(**changes), digits, 0)}

    usual = keys()
    assert len(set(usual.values())) == 4
    of_persons = {"ppp@persons", "gated@persons"}
    for changes, changed in (
        ({"person_training.temperature": 1.0}, of_persons),
        ({"person_training.prototype_weight": 1.0}, {"ppp@persons"}),
        ({"persons.classes": [2]}, of_persons),
        ({"persons.shots": 3}, of_persons),
        ({"ppp.target_rate": 0.4}, {"ppp"}),
        ({"training.epochs": 9}, {*usual}),
    ):
        other = keys(**changes)
        assert {kind for kind in usual if usual[kind] != other[kind]} == changed, changes


def test_the_precision_is_the_settings(experiment: Experiment, digits: IdentityDataset, model: GlobalModel, tmp_path):
    short = dataclasses.replace(experiment.training, epochs=1)
    kinds, weights = {"by_people": False, "sizes": (2,), "shots": 5}, []
    for precision in ("auto", "32-true", "bf16-mixed"):
        person_training = dataclasses.replace(experiment.person_training, precision=precision)
        module, _ = fit(
            lambda person_training=person_training: PersonModule(
                model.full, short, TASKS["classification"], person_training, experiment.pruning, **kinds
            ),
            digits,
            seed=0,
            folder=tmp_path / precision,
        )
        weights.append(module.person_network.backbone.head.weight)
    assert torch.equal(weights[0], weights[1]) == (not torch.cuda.is_available())
    assert not torch.equal(weights[1], weights[2])
    assert torch.allclose(weights[1], weights[2], atol=0.1)
