"""What was read of a file is said in a line, and what looks like a slip."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl.comparison.load import open_experiment, report_data
from pppl.config import Experiment
from pppl.data import IdentityDataset
from pppl.data.shapes import are_alike, describe, find_oddities


def _dataset(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, **more: object) -> IdentityDataset:
    made = IdentityDataset(
        name="own", x=torch.zeros(4, *shape, dtype=dtype), y=torch.arange(4) % 2, classes=("no", "yes")
    )
    return dataclasses.replace(made, **more)


def test_a_line_says_it_in_singular_and_plural():
    assert describe((128, 3), 2500, people=20, classes=6) == (
        "2,500 samples, 128 channels x 3 steps, 20 people, 6 classes"
    )
    assert describe((1, 28, 28), 1, people=0, classes=1) == "1 sample, 1 channel x 28 x 28 pixels, 1 class"
    assert describe((3, 1), 2, people=1) == "2 samples, 3 channels x 1 step, 1 person"


@pytest.mark.parametrize(
    ("shape", "dtype", "remedy"),
    [
        ((128, 3), torch.float32, "x.transpose(0, 2, 1)"),
        ((50, 6), torch.float16, "x.transpose(0, 2, 1)"),
        ((561, 1), torch.float32, "x.transpose(0, 2, 1)"),
        ((32, 32, 3), torch.uint8, "x.transpose(0, 3, 1, 2)"),
        ((28, 28, 1), torch.float32, "x.transpose(0, 3, 1, 2)"),
        ((28, 28), torch.uint8, "x[:, None]"),
    ],
)
def test_axes_that_look_swapped_are_told(shape: tuple[int, ...], dtype: torch.dtype, remedy: str):
    (line,) = find_oddities(_dataset(shape, dtype))
    assert remedy in line


@pytest.mark.parametrize("shape", [(3, 128), (9, 9), (64, 32), (1, 49, 40), (3, 4, 4), (1, 8, 2), (4, 100, 3)])
def test_axes_that_may_be_so_are_not(shape: tuple[int, ...]):
    assert find_oddities(_dataset(shape)) == []


@pytest.mark.parametrize(
    "pair", [("glad ", "glad"), ("Yes", "yes"), ("a b", "a  b"), ("caf\u00e9", "cafe\u0301"), ("\uff11", "1")]
)
def test_names_that_hardly_differ_are_told(pair: tuple[str, str]):
    assert are_alike(("other", *pair)) == pair
    for kind in ("classes", "identities"):
        (line,) = find_oddities(_dataset((3, 128), **{kind: pair}))
        assert repr(pair[0]) in line
        assert repr(pair[1]) in line
    assert are_alike(("walk", "talk", "run")) is None


def test_an_own_file_is_told_where_people_ask_for_it(tmp_path: Path, capsys: pytest.CaptureFixture):
    x, y, who = np.random.default_rng(0).normal(size=(96, 32, 3)), np.arange(96) % 4, np.arange(96) // 4 % 6
    np.savez(tmp_path / "own.npz", x=x, y=y, classes=["walk", "sit", "Sit", "lie"], identity=who)
    experiment = Experiment().replace(
        **{"data.name": str(tmp_path / "own.npz"), "persons.classes": [2], "persons.shots": 1}
    )
    report_data(*open_experiment(experiment))
    lines = capsys.readouterr().err.splitlines()
    assert "own.npz: 96 samples, 32 channels x 3 steps, 6 people, 4 classes" in lines[0]
    assert "transpose" in lines[1]
    assert "'sit' and 'Sit'" in lines[2]
    report_data(*open_experiment(Experiment()))
    assert capsys.readouterr().err == ""
