"""What is called leaves modes, random numbers, settings, devices and caches as they were."""

import ast
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import pppl
from pppl import Experiment, compare
from pppl.backbones import Backbone, ChannelGroup, build, evaluating, slice_network, spec_for
from pppl.bench.ratio import Measured
from pppl.comparison import load as opening
from pppl.comparison.execution import _SeedCache
from pppl.comparison.units import PersonGroup, PersonUnit, Source, Workbench, evaluate
from pppl.data import GroupName, IdentityDataset, NoSamples, Support
from pppl.deploy.people import People
from pppl.gating import GatedNetwork, PersonGatedNetwork, prototype
from pppl.lab import commands
from pppl.personalizers import GlobalModel, Personalizer
from pppl.personalizers.personalizer import MethodOutput
from pppl.pruning import CostModel, threshold_masks
from pppl.system.errors import UserError
from pppl.system.processes import threads
from pppl.tasks import TASKS
from pppl.training import GlobalModule, PersonModule, fit
from pppl.training.lightning import trainer
from pppl.training.task_module import outputs

SHAPE = (1, 8, 8)


def _network() -> Backbone:
    torch.manual_seed(0)
    return build(spec_for("convnet", {"widths": (4, 6)}, SHAPE, 10))


def _partly(network: nn.Module) -> nn.Module:
    """In training mode but for normalizations, which are frozen."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return network


def _modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


X = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(0))
_SIX = IdentityDataset(name="six", x=X, y=torch.arange(6), classes=tuple("abcdef"))
LOOKS = {
    "prototype": lambda: (network := GatedNetwork(_network()), lambda: prototype(network, X)),
    "prototype, layer by layer": lambda: (
        network := GatedNetwork(_network()),
        lambda: prototype(network, X, sequential=threshold_masks),
    ),
    "view of persons' gates": lambda: (
        network := PersonGatedNetwork(_network(), TASKS["classification"], gate_input="layers", width=4),
        lambda: network.view(X, network.backbone),
    ),
    "evaluate": lambda: (
        network := _network(),
        lambda: evaluate(network, TASKS["classification"], _SIX, np.arange(6), X),
    ),
    "costs": lambda: (network := _network(), lambda: CostModel(network, SHAPE)),
    "outputs of a task": lambda: (network := _network(), lambda: outputs(network, [(X, torch.arange(6))])),
    "many people": lambda: (network := _network(), lambda: _people(network)),
}


def _people(network: Backbone) -> None:
    people = People(network)
    people.add(torch.arange(10) % 2 == 0)
    people(X[:1], [0])
    assert not people.network(0).training


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("put", [nn.Module.train, nn.Module.eval, _partly])
def test_who_looks_at_a_network_leaves_it_in_its_mode(name: str, put: Any):
    network, look = LOOKS[name]()
    looked_at = network.backbone if name.startswith("view") else network  # gates that train see in training mode
    put(looked_at)
    before, state = _modes(network), {key: value.clone() for key, value in looked_at.state_dict().items()}
    look()
    assert _modes(network) == before
    assert all(torch.equal(value, state[key]) for key, value in looked_at.state_dict().items()), "and its statistics"


def test_modes_come_back_after_an_error():
    network = _partly(_network())
    before = _modes(network)
    with evaluating(network):
        assert not any(_modes(network))
    with pytest.raises(ZeroDivisionError), evaluating(network):
        _ = 1 / 0
    assert _modes(network) == before


def _numbers() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002 (what users have)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def test_training_leaves_random_numbers_and_variables_as_they_were(
    tiny: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    short = tiny.replace(**{"training.epochs": 1}).training

    def trained(outside: int) -> torch.Tensor:
        _seed(outside)
        expected = _numbers()
        _seed(outside)
        module, _ = fit(
            lambda: GlobalModule(_fresh(), short, TASKS["classification"]),
            digits,
            seed=3,
            folder=tmp_path / str(outside),
        )
        assert _numbers() == expected
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    assert torch.equal(trained(0), trained(1)), "what is trained follows from its own seed"
    assert "PL_GLOBAL_SEED" not in os.environ
    assert os.environ["PL_SEED_WORKERS"] == "0"


def _fresh() -> Backbone:
    return build(spec_for("convnet", {"widths": (4, 6)}, SHAPE, 10))


def test_a_comparison_leaves_a_notebooks_random_numbers(
    tiny: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def draws(*_: object, **__: object) -> pd.DataFrame:
        _fresh()  # initial weights of a network
        return pd.DataFrame()

    monkeypatch.setattr(commands, "run_comparison", draws)
    _seed(5)
    expected = _numbers()
    _seed(5)
    compare(tiny, tmp_path)
    assert _numbers() == expected


def test_a_trainer_is_quiet_and_its_logger_is_as_before():
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with trainer(max_epochs=1, logger=False, enable_checkpointing=False):
        assert logger.level == logging.WARNING
    assert logger.level == before


def test_a_model_on_another_device_is_another_model(model: GlobalModel):
    moved = model.to(torch.device("meta"))
    assert all(parameter.is_meta for parameter in (*moved.full.parameters(), *moved.gated["ppp"].parameters()))
    assert not any(parameter.is_meta for parameter in (*model.full.parameters(), *model.gated["ppp"].parameters()))
    assert moved.train.x.is_meta
    assert not model.train.x.is_meta
    here = model.to(torch.device("cpu"))
    assert here.full is model.full, "no copy where none is needed"


def test_data_of_a_person_training_change_nothing_of_it(tiny: Experiment, digits: IdentityDataset, model: GlobalModel):
    module = PersonModule(
        model.full,
        tiny.training,
        TASKS["classification"],
        tiny.person_training,
        tiny.pruning,
        by_people=False,
        sizes=(2,),
        shots=1,
    )
    before = {*vars(module)}
    data = module.data(digits, 0)
    assert {*vars(module)} == before
    assert data.cost.full == model.cost.full  # type: ignore[attr-defined]


def test_a_model_without_training_samples_says_so(model: GlobalModel):
    absent = replace(model, train=NoSamples.of_shape(SHAPE))
    assert model.samples is model.train
    with pytest.raises(UserError, match="training data"):
        _ = absent.samples
    assert isinstance(absent.to(torch.device("meta")).train, NoSamples)
    with pytest.raises(AttributeError):
        _ = absent.train.nothing  # type: ignore[attr-defined]  # and is no object that answers to any name


class _Watched(Personalizer):
    def __init__(self, experiment: Experiment, told: list[str]):
        super().__init__("watched", experiment)
        self._told = told

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        self._told.append("made")
        return MethodOutput(module=model.full)


def test_a_gpu_is_waited_for_before_and_after_what_is_timed(
    tiny: Experiment, model: GlobalModel, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: told.append("waited"))
    _Watched(tiny, told).personalize(model, model.train)
    assert told == ["waited", "made", "waited"]


def test_data_are_read_once_until_they_are_forgotten(
    tiny: Experiment, digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch
):
    reads: list[str] = []
    monkeypatch.setattr(opening, "load_dataset", lambda data: reads.append(data.name) or digits)
    read = opening._DatasetCache()
    splits = [read.split(tiny.data, tiny.persons, seed) for seed in (0, 1, 0, 2, 3, 4, 0)]
    assert splits[0] is splits[2] is splits[6], "the latest four"
    assert reads == ["digits"]
    assert read.split(tiny.data, tiny.persons, 1) is not splits[1]
    read.dataset(replace(tiny.data, name="others"))
    read.split(tiny.data, tiny.persons, 0)
    read.forget()
    read.dataset(tiny.data)
    assert reads == ["digits", "others", "digits", "digits"]


def test_supports_are_kept_by_whose_they_are_and_not_by_where_they_lie(
    tiny: Experiment, digits: IdentityDataset, model: GlobalModel
):
    experiment = tiny.replace(methods=["full", "ppp"])
    dataset = opening.load_split(experiment, 0)
    persons = PersonGroup.draw(experiment, dataset, 0, GroupName(2, seen=True))
    bench = Workbench(model, torch.device("cpu"))
    kept: dict[Source, list[Support]] = {}
    for personalizer in persons.personalizers:
        unit, source = PersonUnit(among=persons, index=0), persons.source(personalizer, 0)
        assert source is not None
        kept.setdefault(source, []).append(bench._on_device(personalizer, unit))
    assert set(kept) == {("own", 0), ("own", 1), ("population", 0), ("twin", 0), ("swap", 0)}
    assert all(each.once is supports[0].once for supports in kept.values() for each in supports)
    assert all((each.own is None) == (source == ("own", 0)) for source, supports in kept.items() for each in supports)


def test_a_worker_that_turns_to_another_seed_forgets_the_one_before():
    kept: Any = _SeedCache()
    kept.switch_to("one")
    kept._bench, kept._units = "bench", {(2, True): []}
    kept.switch_to("one")
    assert kept.workbench() == "bench"
    kept.switch_to("two")
    assert (kept._bench, kept._units) == (None, {})


PACKAGE = Path(pppl.__file__).parent
# Caches without a number of entries, and what bounds them.
_BOUNDED = {
    "_load_installed",  # it takes no arguments
    "_file",  # modules that the package has or imports
    "_module",  # modules of the package
    "_text",  # definitions of the package
    "compile_passes",  # functions of one module
}


def _nodes(kind: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    """All nodes of a kind in the package, each with the path of its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield path.relative_to(PACKAGE).as_posix(), node


def test_caches_have_a_bound():
    unbounded = {"cache", "functools.cache", "lru_cache", "functools.lru_cache", "lru_cache(maxsize=None)"}
    functions = (function for _, function in _nodes(ast.FunctionDef))
    assert {each.name for each in functions if unbounded & {*map(ast.unparse, each.decorator_list)}} == _BOUNDED


def test_nothing_is_keyed_by_where_it_lies():
    """But by two walks over objects that cannot be keys, which hold them as long as they hold their places."""
    walks = {"comparison/origins.py", "backbones/copies.py"}
    assert {path for path, node in _nodes(ast.Call) if ast.unparse(node.func) == "id"} == walks


def test_no_private_attribute_of_another_is_set():
    for path, node in _nodes(ast.Attribute):
        is_own = ast.unparse(node.value) in ("self", "cls")
        private = node.attr.startswith("_") and not node.attr.startswith("__")
        assert is_own or not private or isinstance(node.ctx, ast.Load), f"{path}, line {node.lineno}"
    for path, node in _nodes(ast.Subscript):
        if isinstance(node.ctx, ast.Load) or not isinstance(node.value, ast.Attribute):
            continue
        is_own = ast.unparse(node.value.value) in ("self", "cls")
        assert is_own or not node.value.attr.startswith("_"), f"{path}, line {node.lineno}"


class _Recurrent(Backbone):
    """A recurrent layer keeps its weights in a list, too."""

    groups = (ChannelGroup(producer="conv", output="act", followers=(), consumers=("head",)),)

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(8, 3, batch_first=True)
        self.conv, self.act, self.head = nn.Conv1d(5, 4, 1), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.recurrent(x)
        return self.head(self.act(self.conv(y)).mean(-1))


def test_a_smaller_network_shares_no_weight_with_the_whole_one():
    network = _Recurrent()
    network.spec = spec_for("convnet", {"widths": (4,)}, (5, 8), 2)
    x = torch.randn(2, 5, 8)
    before = network(x)
    smaller = slice_network(network, [torch.tensor([True, False, True, True])])
    layer = smaller.get_submodule("recurrent")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert not layer(x)[0].any(), "its own weights are those that it computes with"
    assert torch.equal(network(x), before)


def test_a_benchmark_leaves_threads_and_random_numbers(monkeypatch: pytest.MonkeyPatch):
    def measured(_: str) -> Iterator[Measured]:
        assert torch.get_num_threads() == 1
        torch.manual_seed(0)
        yield Measured("nothing", 1.0, "itself", "<= 1")

    runner = import_module("pppl.bench.bench")  # the package has a function of this name
    monkeypatch.setattr(runner, "_measured", measured)
    with threads(2):
        torch.manual_seed(3)
        expected = torch.rand(())
        torch.manual_seed(3)
        runner.bench(["surgery"])
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(()), expected)
