"""After a refactoring: stamps are renewed where some rows of every method are what they were."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pppl import Experiment, compare
from pppl.cli.command import main
from pppl.comparison.confirm import confirm
from pppl.comparison.effort import effort
from pppl.comparison.load import draw_groups, open_experiment
from pppl.comparison.merge import merge
from pppl.comparison.result_kinds import KINDS, find_faults
from pppl.data import IdentityDataset, split_for
from pppl.data.identities import TRAIN
from pppl.system.errors import Differs, UserError
from pppl.tables.provenance import read_run, update_run

ROOT = Path(__file__).parents[2]
METHODS = ("full", "ppp", "l1", "l1+finetune", "l1+retrain")


@pytest.fixture(scope="module")
def experiment(tiny: Experiment) -> Experiment:
    changes = {"seeds": [0], "budgets": [1 / 3, 0.5], "retrain.epochs": 1, "training.epochs": 1}
    return tiny.replace(methods=METHODS, **changes)


@pytest.fixture(scope="module")
def results(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    compare(experiment, folder)
    return folder


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    """The tables alone, as a checkout has them."""
    (tmp_path / "copy").mkdir()
    for path in (*results.glob("*.csv*"), results / "run.json"):
        shutil.copy(path, tmp_path / "copy")
    return tmp_path / "copy"


def _stamped(folder: Path, change: Callable[[dict], object]) -> None:
    run = read_run(folder)
    update_run(folder, fingerprints={method: change(stamp) for method, stamp in run["fingerprints"].items()})


def _other_code(stamp: dict) -> dict:
    return {**stamp, "code": "before"}


def _as_before(stamp: dict) -> str:
    return "0123456789abcdef"


def _edit(folder: Path, method: str, column: str, add: float) -> None:
    table = pd.read_csv(folder / "table.csv.gz", keep_default_na=False)
    at = table.index[table["method"] == method][-1]
    table.loc[at, column] += add
    table.to_csv(folder / "table.csv.gz", index=False)


@pytest.mark.parametrize("change", [pytest.param(_other_code, marks=pytest.mark.slow), _as_before])
def test_rows_that_are_what_they_were_have_their_stamp_renewed(
    experiment: Experiment, copy: Path, change: Callable, capsys: pytest.CaptureFixture[str]
):
    table, before = (copy / "table.csv.gz").read_bytes(), read_run(copy)["fingerprints"]
    _stamped(copy, change)
    assert len(find_faults(copy, KINDS)) == 1
    assert main(["results", "confirm", str(copy), "--persons", "1", "--workers", "1"]) == 0
    assert "rows of 5 methods are what they were" in capsys.readouterr().out
    assert read_run(copy)["fingerprints"] == before
    assert find_faults(copy, KINDS) == []
    compare(experiment, copy)
    assert (copy / "table.csv.gz").read_bytes() == table, "nothing was computed again"
    assert "is of today's code" not in confirm(copy)
    assert "all stamps are of today's code" in confirm(copy)


@pytest.mark.parametrize(("method", "column", "add"), [("l1", "score", 0.125), ("l1+finetune", "retrain_samples", 1)])
def test_a_row_that_differs_is_named_and_nothing_renewed(
    copy: Path, method: str, column: str, add: float, capsys: pytest.CaptureFixture[str]
):
    _stamped(copy, _other_code)
    _edit(copy, method, column, add)
    run = (copy / "run.json").read_bytes()
    assert main(["results", "confirm", str(copy), "--workers", "1"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"{column} of {method}, budget" in told
    assert f"({-add:+g})" in told
    assert (copy / "run.json").read_bytes() == run


def test_networks_of_other_hardware_are_told(copy: Path):
    _stamped(copy, _other_code)
    update_run(copy, networks_trained_on={"Abacus 3": ["full-seed0"]})
    table = pd.read_csv(copy / "table.csv.gz", keep_default_na=False)
    table["score_full"] = 0.5
    table.to_csv(copy / "table.csv.gz", index=False)
    with pytest.raises(Differs, match=r"the full network is another one here.*trained on Abacus 3"):
        confirm(copy)


def test_rows_of_the_code_before_stand_in_for_those_of_other_hardware(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Rows of the folder differ; those that the code of before gives here are the same, and no row of the folder is
    touched."""
    _stamped(copy, _other_code)
    here = Path(shutil.copytree(copy, tmp_path / "here"))
    stamps = read_run(here)["fingerprints"]
    for method in METHODS:
        _edit(copy, method, "score", 0.125)
    table = (copy / "table.csv.gz").read_bytes()
    with pytest.raises(Differs):
        confirm(copy)
    update_run(here, fingerprints={**stamps, "l1": {**stamps["l1"], "code": "yet another"}})
    with pytest.raises(UserError, match="here has another stamp of l1"):
        confirm(copy, against=here)
    update_run(here, fingerprints=stamps)
    _edit(here, "l1", "score", 0.25)
    with pytest.raises(Differs, match=r"here: score of l1.*\(-0.25\)"):
        confirm(copy, against=here)
    _edit(here, "l1", "score", -0.25)
    assert main(["results", "confirm", str(copy), str(copy), "--against", str(here)]) == 2
    assert "--against stands in for one" in capsys.readouterr().err
    assert main(["results", "confirm", str(copy), "--against", str(here), "--workers", "1"]) == 0
    assert (copy / "table.csv.gz").read_bytes() == table
    assert "rows of 5 methods are what they were" in capsys.readouterr().out
    assert "all stamps are of today's code" in confirm(copy)


def test_other_data_are_no_refactoring(copy: Path):
    _stamped(copy, _as_before)
    update_run(copy, dataset_sha256="another")
    with pytest.raises(UserError, match="data set is not that of today"):
        confirm(copy)
    with pytest.raises(UserError, match="trials are history"):
        confirm(ROOT / "results" / "digits_ppp")


def test_stale_rows_are_told_before_they_are_computed_again(
    experiment: Experiment, copy: Path, capsys: pytest.CaptureFixture[str]
):
    stamps = read_run(copy)["fingerprints"]
    stamps |= {"l1": _other_code(stamps["l1"]), "full": "0123456789abcdef"}
    stamps["l1+finetune"] = {**stamps["l1+finetune"], "settings": "others"}
    update_run(copy, fingerprints=stamps)
    compare(experiment, copy)
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "stale" in line]
    assert f"20 rows in {copy} are stale" in told  # of 4 persons
    assert "4 stamped by an earlier version (full)" in told
    assert "8 of other code (l1)" in told
    assert "8 of other settings or data (l1+finetune)" in told
    assert f"pppl results confirm {copy}" in told
    assert find_faults(copy, KINDS) == []


def test_training_for_everybody_is_counted_alike(experiment: Experiment, digits: IdentityDataset, results: Path):
    table = pd.read_csv(results / "table.csv.gz", keep_default_na=False)
    count = len(split_for(digits, open_experiment(experiment)[0].persons, 0).rows(TRAIN))
    of_pass = count - count % 256 * (count % 256 < 128)
    trained = table.groupby("method")["train_samples"].unique().map(list).to_dict()
    assert trained == {"full": [0], "ppp": [of_pass], "l1": [0], "l1+finetune": [0], "l1+retrain": [of_pass]}
    assert set(table.loc[table["method"] == "l1+retrain", "retrain_samples"]) == {0}
    own = {"p": {"ppp.training": "persons"}, "g": {"ppp.training": "persons"}}
    settings = {f"{kind}@{name}": each for kind, (name, each) in zip(("ppp", "gated"), own.items(), strict=True)}
    methods = ["ppp@p", "gated@g", "gated@p", "l1+bn"]
    searched = {"ppp@p": 7, "gated@g": 3, "l1+bn": 2, "l1": 4}
    more = experiment.replace(methods=methods, searched=searched, settings={**settings, "gated@p": own["p"]})
    more, _ = open_experiment(more)
    told = effort(draw_groups(more, 0)).set_index("method")
    batch = more.person_training.persons_of(more.training.batch_size) * more.person_training.queries
    assert set(told.loc["ppp@p", "train_samples"]) == {more.person_training.epochs * (count // batch) * batch}
    assert told.groupby("method")["settings_tried"].first().to_dict() == {
        "ppp@p": 7,
        "gated@g": 3,
        "gated@p": 7,
        "l1+bn": 6,
    }
    assert told.groupby("method")["trained_for_all"].all().to_dict() == {name: name != "l1+bn" for name in methods}
    for_all = own["p"] | {"person_training.gate_input": "nothing"}
    for_nobody = more.replace(methods=["ppp@n", "ppp@n+bn"], settings={"ppp@n": for_all}, searched={})
    blind = effort(draw_groups(for_nobody, 0))
    assert blind.groupby("method")["samples"].max().to_dict() == {
        "ppp@n": 0,
        "ppp@n+bn": told.query("control == 'own'")["samples"].max(),
    }


@pytest.mark.slow
def test_budgets_of_many_decimals_survive_tables(experiment: Experiment, results: Path, copy: Path, tmp_path: Path):
    """Written and read, joined, checked, gone on with, and drawn; also as earlier versions have rounded them."""
    assert 1 / 3 in set(pd.read_csv(copy / "table.csv.gz")["budget"])
    assert find_faults(copy, KINDS) == []
    part = tmp_path / "part"
    compare(experiment.replace(budgets=[2 / 7]), part)
    merge([copy, part], tmp_path / "all")
    assert find_faults(tmp_path / "all", KINDS) == []
    budgets = pd.read_csv(tmp_path / "all" / "summary.csv")["budget"]
    assert set(budgets) == {2 / 7, 1 / 3, 0.5, 1.0}
    text = gzip.decompress((copy / "table.csv.gz").read_bytes())
    (copy / "table.csv.gz").unlink()
    (copy / "table.csv").write_bytes(text.replace(repr(1 / 3).encode(), b"0.33333333"))  # as it was kept then
    before = (results / "table.csv.gz").read_bytes()
    compare(experiment, copy)
    assert (copy / "table.csv.gz").read_bytes() == before
    with pytest.raises(UserError, match="the same to 8 decimals"):
        experiment.replace(budgets=[0.1, 0.1 + 1e-10])
