"""Folders that have a study already: of another program, of other settings, of an older version."""

from pathlib import Path

import optuna
import pytest
import yaml

from pppl.comparison.load import open_experiment
from pppl.config import Sweep
from pppl.lab import sweep
from pppl.sweeping import status
from pppl.sweeping.space import base_of
from pppl.sweeping.storage import storage_at
from pppl.sweeping.study import queue_of
from pppl.system.errors import UserError
from pppl.system.files import output_folder

pytestmark = pytest.mark.usefixtures("sketched")


def test_a_study_that_pppl_has_not_begun_is_left_alone(folder: Path, settings: Sweep):
    storage = storage_at("", output_folder(folder / "out"))
    study = optuna.create_study(study_name=settings.name, storage=storage, direction="minimize")
    with pytest.raises(UserError, match="out has a study that pppl did not create: name another --out"):
        sweep(settings, folder / "out", beside=folder)
    with pytest.raises(UserError, match="study 'mine' was not created by `pppl sweep`, or has only just begun"):
        status(settings, folder / "out")
    assert study.get_trials() == []


def test_a_study_of_an_older_version_goes_on_where_what_was_added_is_at_its_default(folder: Path, settings: Sweep):
    short, (base, _) = settings.replace(trials=1), open_experiment(base_of(settings, folder))
    queue = queue_of(short, base, [], output_folder(folder / "out"), "")
    known = queue.study.user_attrs["sweep"]
    experiment = known["experiment"]
    for tree, key in ((known, "constraints"), (experiment, "person_training"), (experiment["ppp"], "gate_speed")):
        del tree[key]
    queue.study.set_user_attr("sweep", known)
    assert queue_of(short, base, [], folder / "out", "").finished() == 0
    queue.study.set_user_attr("sweep", known)
    with pytest.raises(UserError, match="has a study with different base"):
        queue_of(short, base.replace(**{"ppp.gate_speed": 3.0}), [], folder / "out", "")


def test_looks_do_not_make_another_study(folder: Path, settings: Sweep):
    base, _ = open_experiment(base_of(settings, folder))
    out = output_folder(folder / "out")
    before = queue_of(settings, base, [], out, "").study.user_attrs["sweep"]
    looks = {settings.method: {"label": "mine"}, f"{settings.method} other": {"label": "theirs"}, "l1": {}}
    assert queue_of(settings, base.replace(looks=looks), [], out, "").study.user_attrs["sweep"] == before
    path = folder / settings.base
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"looks": looks}, sort_keys=False))
    assert [*base_of(settings, folder).looks] == [settings.method, f"{settings.method} other"]


@pytest.mark.parametrize("name", ["study.log", "trials.csv", "importances.csv", "best.yaml", "figures/history.png"])
def test_files_of_somebody_else_are_told_before_the_first_trial(name: str, folder: Path, settings: Sweep):
    path = folder / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("a line of mine without an end")
    with pytest.raises(UserError, match=f"{path.name} (was not written by pppl|is no journal of a study)"):
        sweep(settings, folder / "out", beside=folder)
    assert path.read_text() == "a line of mine without an end"
    assert not (folder / "out" / "trials").exists()
