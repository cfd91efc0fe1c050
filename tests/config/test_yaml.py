"""What YAML can express, and what is told of what it must not."""

import random
from pathlib import Path
from typing import Any

import pytest

from pppl import Experiment, TextExperiment
from pppl.cli.command import main
from pppl.config import Sweep, Tree
from pppl.config.plain_yaml import as_yaml, read_yaml
from pppl.system.errors import UserError

ROOT = Path(__file__).parents[2]
# A billion, of a few lines.
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("[1_000, 0x1f, -3, .5, 1., -.inf]", [1000, 31, -3, 0.5, 1.0, float("-inf")]),
        ("[no, on, Yes, off, y]", ["no", "on", "Yes", "off", "y"]),
        ("[true, False, null, ~, '']", [True, False, None, None, ""]),
        ("[2020-01-01, 2001-12-14t21:59:43.10-05:00]", ["2020-01-01", "2001-12-14t21:59:43.10-05:00"]),
        ("{1: a, true: b, null: c, 007: d, 1.0: e}", {"1": "a", "true": "b", "null": "c", "007": "d", "1.0": "e"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("d: {<<: [{b: 1}, {b: 2, c: 3}]}", {"d": {"b": 1, "c": 3}}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1".encode("utf-16"), {"a": 1}),
        ("", None),
        ("# nothing", None),
        ("[!!str 1, !!int '2', !!float 3]", ["1", 2, 3.0]),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str | bytes, value: Any):
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", ["a is given twice", "lines 1 and 3"]),
        ("a:\n  b: 1\n  'b': 2", ["a.b", "lines 2 and 3"]),
        ("a:\n- x: 1\n- {y: 1,\n   y: 2}", ["a.1.y", "lines 3 and 4"]),
        ("a: {1: x, '1': y}", ["a.1", "1 and 1"]),
        ("a: &x {b: 1}\nc: {<<: *x,\n <<: *x}", ["c.<<", "lines 2 and 3"]),
        ("a: 010", ["line 1", "010"]),
        ("a:\n  1:30", ["line 2", "1:30"]),
        ("a: !!python/object/apply:os.system [ls]", ["line 1", "tag"]),
        ("a: !!set {x, y}", ["!!set"]),
        ("a: !!binary aGk=", ["!!binary"]),
        ("a: !mine 3", ["!mine"]),
        ("a: &x [*x]", ["within itself"]),
        ("[" * 700, ["nested"]),
        ("[" * 70 + "]" * 70, ["nested"]),
        (LAUGHS, ["50,000 values"]),
        ("a: " + "9" * 5000, ["line 1", "not of type int"]),
        ("a: 1e999", ["not of type float"]),
        ("a: !!int x", ["not of type int"]),
        ("a: \0", ["#x0000"]),
        (b"a: \xff", ["start byte"]),
        ("--- 1\n--- 2", ["line 2", "document"]),
        ("a:\n\tb: 1", ["line 2", "\\t"]),
        ("? [a, b]\n: 1", ["line 1", "key is a list"]),
        ("a: [1", ["line 1"]),
        ("a: *b", ["undefined alias"]),
        ("<<: 3", ["<<"]),
        ("x" * 2_000_000, ["200,000 bytes"]),
    ],
)  # fmt: skip
def test_anything_else_is_one_line(text: str | bytes, told: list[str]):
    with pytest.raises(UserError) as caught:
        read_yaml(text)
    assert all(each in str(caught.value) for each in told), caught.value
    assert "\n" not in str(caught.value)


def test_text_that_looks_like_something_else_comes_back_as_text():
    values = [
        "no",
        "1e-3",
        "010",
        "1:30",
        "2020-01-01",
        "null",
        "",
        "1_0",
        " a ",
        "a\nb",
        "\x1b",
        "日本",
        "<<",
        "~",
        "#",
    ]
    for flow in (True, False):
        assert read_yaml(as_yaml({"a": values, **dict.fromkeys(values, 1)}, flow=flow)) == {
            "a": values,
            **dict.fromkeys(values, 1),
        }


def test_values_of_any_kind_stay_as_they_are_in_open_sections():
    options = {"x": "1.0", "y": "no", "z": [None, {"a": "2"}], "1": True}
    experiment = Experiment().replace(**{"backbone.options": options, "settings": {"l1": {"static.x": "[1]"}}})
    assert experiment.backbone.options == options
    assert experiment.settings == {"l1": {"static.x": "[1]"}}
    assert Experiment().replace(**experiment.to_dict()) == experiment
    with pytest.raises(UserError, match=r"backbone\.options.*1"):
        Experiment().replace(**{"backbone.options": {1: 2}})
    with pytest.raises(UserError, match=r"backbone\.options\.x.*set"):
        Experiment().replace(**{"backbone.options": {"x": {1}}})


def test_a_name_twice_in_a_file_is_told_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 7}\nmethods: [full]\ntraining: {batch_size: 64}\n")
    assert main(["compare", str(path)]) == 2
    told = capsys.readouterr().err
    assert all(each in told for each in ("mine.yaml", "training", "lines 1 and 3"))
    assert main(["demo", "--training", "{epochs: 1, epochs: 2}"]) == 2
    assert "epochs" in capsys.readouterr().err


_PIECES = [*"{}[]'|>#%@\t\0\n", '"', "&a ", "*a", "<<: ", "!!set ", ": ", "- ", "? ", "  ", "\ud7ff"]
_PIECES += ["null", "1e999", "010", "2020-01-01", "1:30", "true", ".nan", "-1", "[[]]", "{a: 1}"]


def mutated(text: str, draw: random.Random) -> str:
    """A text with a few of its characters, lines or words replaced."""
    for _ in range(draw.randint(1, 4)):
        at, cut = draw.randrange(len(text) + 1), draw.choice([0, 0, 1, 3, 10])
        text = text[:at] + draw.choice([*_PIECES, text[at : at + 20]]) + text[at + cut :]
    return text


@pytest.mark.parametrize(
    ("kind", "file", "count"),
    [
        (Experiment, "compare/digits.yaml", 80),
        (Sweep, "tune/digits_ppp.yaml", 60),
        (TextExperiment, "tasks/minilm.yaml", 60),
    ],
)
def test_two_hundred_mutations_end_in_an_experiment_or_in_one_line(
    kind: type[Tree], file: str, count: int, tmp_path: Path
):
    draw, path = random.Random(0), tmp_path / "mine.yaml"
    text = (ROOT / "sweeps" / file).read_text(encoding="utf-8")
    for _ in range(count):
        path.write_text(mutated(text, draw), encoding="utf-8")
        told = ""
        try:
            kind.load(path, fast=draw.random() < 0.3).to_dict()
        except UserError as error:
            told = str(error)
        assert "\n" not in told
