import sys
from pathlib import Path

import pytest

from pppl import Experiment, TextExperiment
from pppl.config import Sweep
from pppl.config.reading import from_dict
from pppl.system.errors import UserError


def test_a_yaml_file_holds_only_what_differs(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  learning_rate: 1e-3\nbudgets: [1e-1, 0.5]\n")
    experiment = Experiment.load(path, {"persons.shots": 3})
    assert experiment.name == "mine"
    assert experiment.training.learning_rate == 1e-3
    assert experiment.budgets == (0.1, 0.5)
    assert experiment.persons.shots == 3
    assert experiment.training.epochs == Experiment().training.epochs


def test_replace_leaves_the_rest_and_the_original_alone():
    base = Experiment()
    changed = base.replace(**{"training.epochs": 5, "backbone.options.widths": [4, 4]})
    assert changed.training.epochs == 5
    assert changed.backbone.options == {"widths": [4, 4]}
    assert base.backbone.options == {}
    assert changed.replace(**{"training.epochs": base.training.epochs, "backbone.options": {}}) == base


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainin.epochs": 5}, "unknown key 'trainin.epochs': did you mean 'training.epochs'?"),
        ({"training.epoch": 5}, "did you mean 'training.epochs'?"),
        ({"seed": [1]}, "did you mean 'seeds'?"),
        ({"training.epochs": "many"}, "training.epochs: expected int, got 'many'"),
        ({"training.epochs": 2.5}, "training.epochs: expected int, got '2.5'"),
        ({"budgets": 0.1}, "budgets: expected a list, got '0.1': write [0.1]"),
        ({"ppp.prototypes": "seq"}, "ppp.prototypes: expected one of ['parallel', 'sequential'], got 'seq'"),
        ({"training": 3}, "training is 3: it is a section with the keys epochs, batch_size"),
        ({"seeds": None}, "seeds is empty"),
        ({"budgets": [0.1, 2]}, "budgets holds 2.0: a budget is a fraction in (0, 1]"),
        ({"budgets": [0]}, "a budget is a fraction in (0, 1]"),
        ({"methods": []}, "methods is empty"),
        ({"seeds": [1, 1]}, "name each once"),
        ({"persons.shots": 0}, "a support set needs at least 1 sample per class"),
        ({"persons.count": 1}, "at least 2 persons"),
    ],
)
def test_a_bad_key_or_value_names_itself(changes: dict, message: str):
    with pytest.raises(UserError) as error:
        Experiment().replace(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n- 2\n", "holds a list, not a mapping"),
        ("a: [\n", "is not valid YAML"),
        ("trainin:\n  epochs: 1\n", "unknown key 'trainin': did you mean 'training'?"),
        ("training:\n  epoch: 1\n", "unknown key 'training.epoch': did you mean 'training.epochs'?"),
        ("training: 5\n", "training is 5: it is a section"),
    ],
)
def test_a_bad_file_names_itself(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        Experiment.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_file_names_itself(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml"):
        Experiment.load(tmp_path / "none.yaml")


_SHIPPED = sorted((Path(__file__).parents[2] / "sweeps").glob("*/*.yaml"))


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiments_hold_only_overrides(path: Path):
    import yaml

    kind = {"compare": Experiment, "tasks": TextExperiment, "tune": Sweep}[path.parent.name]
    tree, default = yaml.safe_load(path.read_text()), kind().to_dict()
    del tree["fast"]
    for key, value in tree.items():
        if isinstance(value, dict):
            for inner, setting in value.items():
                assert setting != default[key].get(inner), f"{key}.{inner} repeats its default"
        else:
            assert value != default[key], f"{key} repeats its default"


def test_a_change_from_outside_holds_for_methods_with_values_of_their_own(tmp_path: Path):
    path = tmp_path / "own.yaml"
    own = "{l1_local+finetune: {finetune.pruned_steps: 80, finetune.pruned_learning_rate: 0.1}}"
    path.write_text(f"settings: {own}\nfast: {{finetune.pruned_steps: 10}}\n")
    rest = {"l1_local+finetune": {"finetune.pruned_learning_rate": 0.1}}
    assert Experiment.load(path, fast=True).settings == rest
    changed = Experiment.load(path, {"finetune.pruned_steps": 7})
    assert (changed.finetune.pruned_steps, changed.settings) == (7, rest)
    assert "finetune.pruned_steps" in Experiment.load(path).settings["l1_local+finetune"]


@pytest.mark.parametrize("section", ["5", "[1]", "{training: {epochs: 1}}"])
def test_a_fast_section_holds_dotted_keys(tmp_path: Path, section: str):
    path = tmp_path / "quick.yaml"
    path.write_text(f"training:\n  learning_rate: 0.5\nfast: {section}\n")
    with pytest.raises(UserError, match="it is a section of dotted keys, such as"):
        Experiment.load(path)
    path.write_text("training:\n  learning_rate: 0.5\nfast: {training.epochs: 1}\n")
    fast = Experiment.load(path, fast=True)
    assert (fast.name, fast.training.epochs, fast.training.learning_rate) == ("quick-fast", 1, 0.5)
    path.write_text("fast: {training.epoch: 1}\n")
    with pytest.raises(UserError, match=r"did you mean 'training\.epochs'"):
        Experiment.load(path, fast=True)


def test_a_section_that_is_empty_by_default_takes_any_key(tmp_path: Path):
    path = tmp_path / "tasks.yaml"
    path.write_text("epochs_of: {glue/CoLA: 6}\n")
    experiment = TextExperiment.load(path, {"epochs_of.glue/RTE": 4})
    assert [experiment.epochs_on(task) for task in ("glue/CoLA", "glue/RTE", "clinc150")] == [6, 4, experiment.epochs]
    assert Experiment().replace(**{"backbone.options.widths": [8]}).backbone.options == {"widths": [8]}
    with pytest.raises(UserError, match=r"epochs_of\.glue/RTE is 0: at least 1"):
        experiment.replace(**{"epochs_of.glue/RTE": 0})
    with pytest.raises(UserError, match=r"unknown key 'seeds\.first'"):
        experiment.replace(**{"seeds.first": 1})


def test_what_was_read_before_is_not_taken_for_what_looks_like_it():
    one = Experiment().replace(seeds=[1], name="1")
    assert Experiment().replace(seeds=[1], name="1") == one
    with pytest.raises(UserError, match="seeds"):
        Experiment().replace(seeds=["1.5"], name="1")
    assert Experiment().replace(seeds=[2], name="1").seeds != one.seeds


def test_making_an_experiment_again_takes_no_parsing(monkeypatch: pytest.MonkeyPatch):
    changed = Experiment().replace(**{"finetune.steps": 7})
    monkeypatch.setattr("jsonargparse.ArgumentParser.parse_object", None)
    assert Experiment().replace(**{"finetune.steps": 7}) == changed


def test_names_of_earlier_versions_are_read():
    older = {
        "matched": {"sees": "layers", "epochs": 7},
        "settings": {"ppp@a": {"ppp.training": "persons", "matched.sees": "nothing"}},
        "tuning": {"ppp@a": {"matched.epochs": [1, 2]}},
    }
    experiment = from_dict(older, Experiment)
    assert (experiment.person_training.gate_input, experiment.person_training.epochs) == ("layers", 7)
    assert experiment.settings == {"ppp@a": {"ppp.training": "persons", "person_training.gate_input": "nothing"}}
    assert experiment.tuning == {"ppp@a": {"person_training.epochs": [1, 2]}}


def test_plugins_are_found_beside_their_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "nothing.py").write_text("")
    (tmp_path / "mine" / "look.yaml").write_text("plugins: [nothing.py]\n")
    monkeypatch.chdir(tmp_path)
    assert Experiment.load("mine/look.yaml").plugins == ("mine/nothing.py",)
    (tmp_path / "other.py").write_text("")
    (tmp_path / "mine" / "nothing.py").write_text("raise ValueError")
    assert Experiment.load("mine/look.yaml", {"plugins": ["other.py"]}).plugins == ("other.py",)


@pytest.mark.skipif(sys.platform == "win32", reason="names of folders there hold no colon")
def test_a_class_beside_its_experiment_is_found_in_a_folder_with_a_colon(tmp_path: Path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "nets.py").touch()
    (tmp_path / "e.yaml").write_text("backbone: {name: 'a:b/nets.py:Net'}\n")
    assert Experiment.load(tmp_path / "e.yaml").backbone.name == f"{folder}/nets.py:Net"
