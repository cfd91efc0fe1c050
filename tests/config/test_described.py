"""What the commands and editors say of settings is what the dataclasses say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pppl import Experiment, Sweep, TextExperiment
from pppl.cli import main
from pppl.config import Tree
from pppl.config.described import describe
from pppl.config.json_schema import json_schema
from pppl.config.reading import all_keys
from pppl.personalizers import METHODS, STEPS
from pppl.personalizers.method_texts import tell_method
from pppl.tables.column_texts import COLUMN_TEXTS
from pppl.tables.schema import COLUMN_TYPES

ROOT = Path(__file__).parents[2]
KINDS: dict[str, type[Tree]] = {"compare": Experiment, "tune": Sweep, "tasks": TextExperiment}
FILES = [(kind, path) for kind in KINDS for path in sorted((ROOT / "sweeps" / kind).glob("*.yaml"))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described_in_words(kind: str):
    described = describe(KINDS[kind])
    assert set(described) == {*all_keys(KINDS[kind]().to_dict())}
    assert not [key for key, each in described.items() if not each.text]
    assert not [key for key, each in described.items() if "{" in "".join(each.rules)]
    assert not [key for key, each in described.items() if "typing" in each.type_name]


@pytest.mark.parametrize(("key", "value"), [("training.averaging", 1.0), ("bn.share", 0.0), ("training.epochs", 0)])
def test_rules_are_those_that_refuse(key: str, value: float):
    rule = describe(Experiment)[key].rules[-1]
    with pytest.raises(Exception, match=f"{key} is {value}: ") as refused:
        Experiment().replace(**{key: value})
    assert str(refused.value).endswith(rule)
    section, name = key.split(".")
    told = [*jsonschema.Draft202012Validator(json_schema(Experiment)).iter_errors({section: {name: value}})]
    assert len(told) == 1, "the schema knows the bound, too"


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda each: getattr(each, "stem", each))
def test_the_schema_takes_every_shipped_file_and_refuses_a_misspelt_key(kind: str, path: Path):
    validator = jsonschema.Draft202012Validator(json_schema(KINDS[kind]))
    tree: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert not [*validator.iter_errors(tree)]
    assert [*validator.iter_errors(tree | {"sedes": [0]})]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_read_valid_and_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "compare", "compare"]) == 0  # the base of `tune`
    assert main(["new", kind, "mine"]) == 0
    path = tmp_path / "mine.yaml"
    text = path.read_text(encoding="utf-8")
    schema = json.loads((tmp_path / text.splitlines()[0].partition("$schema=")[2]).read_text(encoding="utf-8"))
    tree = yaml.safe_load(text)
    jsonschema.Draft202012Validator(schema).validate(tree)
    assert KINDS[kind].load("mine.yaml").name == "mine"
    assert KINDS[kind].load("mine.yaml") != KINDS[kind](name="mine")
    path.write_text("mine: my own\n")
    capsys.readouterr()
    assert main(["new", kind, "mine.yaml"]) == 2
    assert "mine.yaml is there already: choose another name" in capsys.readouterr().err
    assert path.read_text() == "mine: my own\n"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("ppp.target_rate", ["ppp.target_rate, in a file of `pppl compare`: a number; 0.3", "Values: in (0, 1]."]),
        ("shots", ["persons.shots", "support samples per class"]),
        ("training", ["training.averaging", "AdamW"]),
        ("methods", ["+classes", "l1_local", "`pppl tasks`"]),
        ("space", ["`pppl sweep`", "a section"]),
        ("l1_local+retrain@long", ["l1_local, a method", "+retrain, a step", "reads no labels"]),
        ("finetune", ["finetune, in a file", "finetune, a method", "reads labels of the person and trains"]),
        ("ppp", ["controls: own, population, other, twin, swap, random"]),
        ("twin", ["twin, a control", "somebody else with the same classes"]),
        ("score_low", ["Lower end of the 95 % interval of: The metric"]),
    ],
)
def test_a_key_is_explained(key: str, told: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["explain", key]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for each in told:
        assert each in said


def test_an_unknown_key_has_the_nearest_one_told(capsys: pytest.CaptureFixture[str]):
    for name, nearest in (
        ("persons.shot", "persons.shots"),
        ("l1_locl", "l1_local"),
        ("macs_fractin", "macs_fraction"),
    ):
        assert main(["explain", name]) == 2
        assert f"did you mean '{nearest}'?" in capsys.readouterr().err


def test_a_name_like_no_other_is_told_in_a_short_line(capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "kWh"]) == 2
    assert capsys.readouterr().err == (
        "pppl: error: there is no setting, method or column 'kWh': `pppl explain` lists all settings\n"
    )


def test_keys_differ_in_what_is_told_of_them():
    told: dict[tuple[str, str], list[str]] = {}
    for key, each in describe(Experiment).items():
        if "." in key:
            told.setdefault((key.split(".")[0], each.text), []).append(key)
    assert not [keys for keys in told.values() if len(keys) > 1]


def test_every_method_and_every_column_is_told():
    assert {*COLUMN_TEXTS} == {*COLUMN_TYPES}
    names = [*METHODS, *(f"+{step}" for step in STEPS)]
    assert not [name for name in names if not tell_method(name).text]


def test_the_schema_of_a_kind_is_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "--schema", "tune"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema(Sweep)))
