import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from stub_training import sketching

from pppl import Experiment, compare
from pppl.cli.command import main
from pppl.comparison.result_kinds import KINDS, find_faults
from pppl.lab import merge
from pppl.system.errors import UserError
from pppl.tables.journal import TIMED

pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture(scope="module")
def experiment(tiny: Experiment) -> Experiment:
    changes = {"persons.classes": [3, 2], "diff.rates": [0.005, 0.01], "training.epochs": 1}
    return tiny.replace(methods=["full", "ppp", "l1", "diff"], **changes)


@pytest.fixture(scope="module")
def whole(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with sketching():
        compare(experiment, folder)
    return folder


@pytest.fixture(scope="module")
def parts(experiment: Experiment, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What three machines computed: a seed each, and a method that came later."""
    changes = ({"seeds": [0], "methods": ["full", "ppp", "l1"]}, {"seeds": [1]}, {"methods": ["diff"], "seeds": [0]})
    folders = [tmp_path_factory.mktemp(f"part{i}") for i in range(3)]
    with sketching():
        for folder, change in zip(folders, changes, strict=True):
            compare(experiment.replace(**change), folder)
    return folders


@pytest.fixture
def copies(parts: list[Path], tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(part, tmp_path / part.name)) for part in parts]


def _table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table.csv.gz", keep_default_na=False)


def _edit(path: Path, change: Callable[[dict], None]) -> None:
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))


def _edit_table(folder: Path, column: str, value: float) -> None:
    table = _table(folder)
    table.loc[0, column] = value
    table.to_csv(folder / "table.csv.gz", index=False)


def test_parts_make_the_table_of_the_whole(experiment: Experiment, whole: Path, copies: list[Path], tmp_path: Path):
    merge(copies, tmp_path / "all")
    expected, merged = _table(whole), _table(tmp_path / "all")
    pd.testing.assert_frame_equal(merged.drop(columns=TIMED), expected.drop(columns=TIMED))
    assert (tmp_path / "all" / "gates.csv").read_bytes() == (whole / "gates.csv").read_bytes()
    assert (tmp_path / "all" / "figures" / "accuracy_vs_macs.pdf").exists()
    assert find_faults(tmp_path / "all", KINDS) == []
    before = (tmp_path / "all" / "table.csv.gz").read_bytes()
    compare(experiment, tmp_path / "all")
    assert (tmp_path / "all" / "table.csv.gz").read_bytes() == before, "nothing was computed again"


def test_a_folder_can_take_the_others_in(copies: list[Path], whole: Path):
    merge(copies, copies[0])
    assert len(_table(copies[0])) == len(_table(whole))
    merge([copies[0], copies[1]], copies[0])  # rows that both have are kept once
    assert len(_table(copies[0])) == len(_table(whole))


def test_what_single_methods_are_set_to_is_joined(copies: list[Path], tmp_path: Path):
    own = [{"l1": {"static.samples": 9}}, {"ppp": {"bn.share": 0.5}}]
    for folder, settings in zip(copies[:2], own, strict=True):
        run = json.loads((folder / "run.json").read_text())
        run["config"] |= {"settings": settings, "tuning": {method: {} for method in settings}}
        (folder / "run.json").write_text(json.dumps(run))
    merge(copies, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert config["settings"] == own[0] | own[1]
    assert set(config["tuning"]) == {"l1", "ppp"}
    assert not (tmp_path / "out" / "effort.csv").exists()


def test_looks_are_joined_and_the_first_folder_has_its_way(copies: list[Path], tmp_path: Path):
    first, second = {"ppp@b": {"label": "b"}, "ppp": {"label": "P"}}, {"ppp@a": {}, "ppp": {"label": "other"}}
    for folder, looks in zip(copies[:2], (first, second), strict=True):
        _edit(folder / "run.json", lambda run, looks=looks: run["config"].update(looks=looks))
    merge(copies, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert [*config["looks"].items()] == [*first.items(), ("ppp@a", {})]


def test_a_method_has_the_budgets_of_all_parts(experiment: Experiment, whole: Path, tmp_path: Path):
    of_parts = [{"l1": {"budgets": [budget]}} for budget in experiment.budgets]
    for settings in of_parts:
        folder = tmp_path / str(settings["l1"]["budgets"][0])
        for name in ("table.csv.gz", "run.json"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(whole / name, folder)
        _edit(folder / "run.json", lambda run, settings=settings: run["config"].update(settings=settings))
        compare(experiment.replace(settings=settings), folder)
        assert _table(folder).query("method == 'l1'")["budget"].unique().tolist() == settings["l1"]["budgets"]
    merge([tmp_path / str(budget) for budget in experiment.budgets], tmp_path / "all")
    assert len(_table(tmp_path / "all")) == len(_table(whole))
    assert find_faults(tmp_path / "all", KINDS) == []
    config = json.loads((tmp_path / "all" / "run.json").read_text())["config"]
    assert config["settings"] == {"l1": {"budgets": [*experiment.budgets]}}


def test_parts_that_tell_other_searches_are_not_joined(copies: list[Path], tmp_path: Path):
    for folder, count in zip(copies[:2], (3, 4), strict=True):
        _edit(folder / "run.json", lambda run, count=count: run["config"].update(searched={"ppp": count}))
    with pytest.raises(UserError, match="has other searched of ppp than the others"):
        merge(copies, tmp_path / "out")


def test_contradictions_are_named_and_nothing_is_written(copies: list[Path], tmp_path: Path):
    twin = Path(shutil.copytree(copies[0], tmp_path / "twin"))
    _edit_table(twin, "score", 0.125)
    with pytest.raises(UserError, match=r"part0.* and .*twin have .* and 0\.125 as score of full, budget 1, 3 classes"):
        merge([copies[0], twin], tmp_path / "all")
    _edit_table(copies[0], "score", 0.125)
    _edit_table(copies[0], TIMED, 99.0)  # seconds differ by nature
    merge([copies[0], twin], tmp_path / "same")
    _edit(twin / "run.json", lambda run: run["fingerprints"].update(ppp="another"))
    with pytest.raises(UserError, match=r"have ppp by different code, settings or data"):
        merge([copies[0], twin], tmp_path / "all")
    _edit(twin / "run.json", lambda run: run["config"]["training"].update(epochs=7))
    with pytest.raises(UserError, match=r"twin has training\.epochs 7, others have 1"):
        merge([copies[0], twin], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_parts_of_other_networks_do_not_belong_together(copies: list[Path], tmp_path: Path):
    """Though they share no method, so that no row of theirs can be compared."""
    table = _table(copies[2])
    table.loc[table["identity"] == table["identity"][0], "score_full"] = 0.12345
    table.to_csv(copies[2] / "table.csv.gz", index=False)
    with pytest.raises(UserError, match=r"have .* and 0\.12345 as score of the full network, 3 classes"):
        merge([copies[0], copies[2]], tmp_path / "all")
    _edit(copies[1] / "run.json", lambda run: run.update(dataset_sha256="another"))
    with pytest.raises(UserError, match=r"part0.* and .*part1.* are of other data"):
        merge(copies[:2], tmp_path / "all")


def test_a_damaged_table_is_told_and_not_taken_in(experiment: Experiment, copies: list[Path]):
    folder = copies[1]
    whole = (folder / "table.csv.gz").read_bytes()
    (folder / "table.csv.gz").write_bytes(whole[:-30])
    with pytest.raises(UserError, match=r"cannot read .*table\.csv\.gz as a table of results: "):
        find_faults(folder, KINDS)
    (folder / "journal.jsonl").unlink()
    with pytest.raises(UserError, match=r"table\.csv\.gz was not written by pppl, or was changed since"):
        compare(experiment.replace(seeds=[1]), folder)  # somebody may have worked on it
    (folder / "table.csv.gz").unlink()
    compare(experiment.replace(seeds=[1]), folder)
    assert find_faults(folder, KINDS) == []


def test_a_folder_that_is_none_is_told(tmp_path: Path, copies: list[Path]):
    with pytest.raises(UserError, match=r"nowhere/run\.json is of no comparison"):
        merge([tmp_path / "nowhere"], tmp_path / "all")
    (copies[0] / "table.csv.gz").unlink()
    with pytest.raises(UserError, match=r"cannot read .*table\.csv\.gz as a table of results"):
        merge(copies, tmp_path / "all")
    _edit(copies[1] / "run.json", lambda run: run["config"].update(mistake=1))
    with pytest.raises(UserError, match=r"is of another version: unknown key 'mistake'"):
        merge([copies[1]], tmp_path / "all")


def test_check_tells_what_is_wrong(copies: list[Path], capsys: pytest.CaptureFixture[str]):
    folder = copies[1]
    assert main(["results", "check", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: whole and current\n"
    table = _table(folder)
    table.loc[1, "score"] = 1.5
    table.loc[2, "score_full"] = 0.12345
    pd.concat([table[:-1], table[:1]]).to_csv(folder / "table.csv.gz", index=False)
    _edit(folder / "run.json", lambda run: run["fingerprints"].update(l1="another"))
    assert main(["results", "check", str(folder)]) == 2
    printed = capsys.readouterr()
    for line in (
        "table.csv.gz has 1 rows twice",
        "table.csv.gz lacks 1 of 68 rows",
        "table.csv.gz has 1 persons for whom the full network has several scores",
        "table.csv.gz has 1 rows whose score is outside [0, 1]",
        "summary.csv does not follow from table.csv.gz",
        "curves.csv does not follow from table.csv.gz",
        "gains.csv does not follow from table.csv.gz",
        "rows of l1 are stamped by an earlier version; after a refactoring `pppl results confirm` renews their stamp",
    ):
        assert f"{folder}: {line}\n" in printed.out
    assert "8 findings" in printed.err
    _edit(folder / "run.json", lambda run: run["config"]["data"].update(name="gone.npz"))
    table[table["method"] != "diff"].to_csv(folder / "table.csv.gz", index=False)
    assert "table.csv.gz lacks 1 of 17 series of a seed" in find_faults(folder, KINDS)
    (folder / "summary.csv").unlink()
    lines = find_faults(folder, KINDS)
    assert "summary.csv is missing" in lines
    assert any(line.startswith("whether rows are current cannot be decided: ") for line in lines)


@pytest.mark.parametrize(
    ("without", "count"),
    [
        ("method == 'l1'", 16),
        ("seed == 1", 68),
        ("budget == 0.5", 56),
        ("persons == '2 classes'", 68),
        ("seed >= 0", 136),
    ],
)
def test_check_knows_what_should_be_there(whole: Path, tmp_path: Path, without: str, count: int):
    """Also where nothing of it is."""
    folder = Path(shutil.copytree(whole, tmp_path / "whole"))
    _table(whole).query(f"not ({without})").to_csv(folder / "table.csv.gz", index=False)
    assert f"table.csv.gz lacks {count} of 136 rows" in find_faults(folder, KINDS)


def test_check_knows_what_should_not_be_there(whole: Path, tmp_path: Path):
    folder = Path(shutil.copytree(whole, tmp_path / "whole"))
    _edit(folder / "run.json", lambda run: run["config"].update(budgets=[0.2]))
    assert "table.csv.gz has 56 rows that its experiment has not" in find_faults(folder, KINDS)


def test_settings_that_contradict_each_other_are_named(experiment: Experiment, copies: list[Path], tmp_path: Path):
    """Though the part that names them has not computed the method."""
    _edit(copies[0] / "run.json", lambda run: run["config"].update(settings={"diff": {"diff.steps": 3}}))
    with pytest.raises(UserError, match=r"part2.* has diff by other settings than those that another part names"):
        merge([copies[0], copies[2]], tmp_path / "all")


def test_the_command_merges(copies: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["results", "merge", "--out", str(tmp_path / "all"), *map(str, copies)]) == 0
    assert "diff@0.01" in capsys.readouterr().out
