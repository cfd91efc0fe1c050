"""A run whose plugins are gone opens; it fails only where one of them is asked for."""

from pathlib import Path

import pytest

from pppl import Experiment, load_run
from pppl.lab import compare
from pppl.system.errors import UserError

_METHOD = """
from dataclasses import dataclass
import torch
from pppl import ScorePruner, register_method


@dataclass(frozen=True, kw_only=True)
class FirstSettings:
    offset: int = 0


@register_method("first_ones", settings=FirstSettings)
class FirstOnes(ScorePruner):
    def scores(self, model, support, rule):
        return [-torch.arange(float(width)) for width in model.full.widths]
"""
_NETWORK = """
from torch import nn
from pppl import Backbone, ChannelGroup, register_backbone


@register_backbone("lone_layer")
class LoneLayer(Backbone):
    def __init__(self, *, in_channels, num_outputs, widths=(16,)):
        super().__init__()
        self.conv, self.head = nn.Conv2d(in_channels, *widths, 3), nn.Linear(*widths, num_outputs)
        self.groups = (ChannelGroup(producer="conv", output="conv", followers=(), consumers=("head",)),)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))
"""

pytestmark = pytest.mark.usefixtures("sketched")


def _forget(path: Path) -> None:
    """Delete a plugin, as in a process that has never loaded it."""
    from pppl.system import plugins

    plugins._forget(plugins._module_name(path))
    plugins._RUN.pop(path)
    path.unlink()


def _run(tiny: Experiment, folder: Path, text: str, **changes: object) -> Path:
    plugin = folder / "gone.py"
    plugin.write_text(text)
    quick = {"training.epochs": 1, "persons.classes": [2], "persons.count": 2, "budgets": [0.5], "seeds": [0]}
    quick["methods"] = ["full", "l1"]
    compare(tiny.replace(plugins=[str(plugin)]).replace(**quick | changes), folder / "out")
    return plugin


def test_without_a_method_all_others_are_there(tiny: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mine = {"methods": ["full", "l1", "first_ones"], "first_ones.offset": 2}
    _forget(_run(tiny, tmp_path, _METHOD, **mine))
    capsys.readouterr()
    run = load_run(tmp_path / "out")
    notes = capsys.readouterr().err
    assert notes.count("\n") == 1
    assert "gone.py is missing: put it back, and open it again" in notes
    assert run.experiment.methods == ("full", "l1", "first_ones")
    assert "first_ones" in set(run.summary["method"])
    person = run.persons[0]
    assert 0 <= run.accuracy(run.personalize(person, method="l1", budget=0.5), person) <= 1
    with pytest.raises(UserError, match=r"^unknown method 'first_ones'; its `plugins:` file .*gone.py is missing"):
        run.personalize(person, method="first_ones", budget=0.5)


def test_without_the_network_there_are_tables_and_persons(tiny: Experiment, tmp_path: Path):
    _forget(_run(tiny, tmp_path, _NETWORK, backbone={"name": "lone_layer", "options": {}}))
    run = load_run(tmp_path / "out")
    assert len(run.persons) > 0
    assert len(run.table) > 0
    with pytest.raises(UserError, match=r"^unknown backbone 'lone_layer'; its `plugins:` file .*gone.py is missing"):
        run.global_model("l1")


def test_a_plugin_that_is_back_is_loaded(tiny: Experiment, tmp_path: Path):
    plugin = _run(tiny, tmp_path, _METHOD, methods=["full", "first_ones"])
    _forget(plugin)
    assert load_run(tmp_path / "out").lost
    plugin.write_text(_METHOD)
    run = load_run(tmp_path / "out")
    assert not run.lost
    assert run.personalize(run.persons[0], method="first_ones", budget=0.5).cost.macs > 0
