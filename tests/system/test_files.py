"""What is written where: nothing of somebody else is replaced or removed, folders give modes, paths expand."""

import json
import os
import stat
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from pppl import Experiment, Sweep, TextExperiment
from pppl.cli.command import main
from pppl.comparison.global_models import model_cache
from pppl.data import load_dataset
from pppl.data.catalogue import data_folder
from pppl.system.errors import UserError
from pppl.system.files import claim, expand, output_folder, remove, remove_if_ours, replacing, write_bytes
from pppl.system.ownership import RECORD, is_ours

MINE = b"mine, byte for byte\n"


@pytest.mark.parametrize("name", ["table.csv", "report.html", "personal.onnx", "figure.png", "notes"])
def test_what_is_not_ours_is_neither_replaced_nor_removed(name: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(MINE)
    for attempt in (lambda: write_bytes(path, b"ours"), lambda: remove(path), lambda: claim([path])):
        with pytest.raises(UserError, match=name):
            attempt()
    remove_if_ours([path])
    assert path.read_bytes() == MINE
    assert [each.name for each in tmp_path.iterdir()] == [name], "no temporary file, no record of what is not ours"


def test_what_is_ours_is_replaced_and_removed_until_somebody_changes_it(tmp_path: Path):
    path = tmp_path / "table.csv"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    write_bytes(path, b"one")
    path.write_bytes(b"one, and my notes")
    with pytest.raises(UserError, match=r"table\.csv"):
        write_bytes(path, b"three")
    assert path.read_bytes() == b"one, and my notes"
    path.write_bytes(b"")  # as a power failure leaves it
    write_bytes(path, b"three")
    remove(path)
    assert not path.exists()


def test_a_kill_between_record_and_file_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "table.csv"
    write_bytes(path, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_bytes(path, b"two")
    assert path.read_bytes() == b"one"
    with (tmp_path / RECORD).open("ab") as file:
        file.write(b'\n{"file": "table.csv", "sha')  # a line cut short
    write_bytes(path, b"two")
    write_bytes(path, b"three")
    assert path.read_bytes() == b"three"


def test_links_folders_and_protected_files_stay(tmp_path: Path):
    elsewhere = output_folder(tmp_path / "elsewhere") / "page.html"
    link = tmp_path / "report.html"
    link.symlink_to(elsewhere)
    write_bytes(link, b"ours")
    assert link.is_symlink()
    assert elsewhere.read_bytes() == b"ours"
    remove_if_ours([link])
    assert link.is_symlink()
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(UserError, match=r"table\.csv is not a regular file"):
        write_bytes(tmp_path / "table.csv", b"ours")
    write_bytes(tmp_path / "kept.csv", b"ours")
    (tmp_path / "kept.csv").chmod(0o444)
    with pytest.raises(UserError, match=r"kept\.csv is write-protected"):
        write_bytes(tmp_path / "kept.csv", b"newer")


def test_files_of_other_results_are_not_replaced(tmp_path: Path):
    path = tmp_path / "accuracy.png"
    write_bytes(path, b"of one", of="one")
    write_bytes(path, b"of one, again", of="one")
    with pytest.raises(UserError, match="other results"):
        write_bytes(path, b"of two", of="two")
    write_bytes(path, b"of who knows")


def test_folders_of_before_are_known_by_what_tells_of_them(tmp_path: Path):
    """Once: what comes later is not taken for ours, whatever it looks like."""
    table, figure = tmp_path / "table.csv", output_folder(tmp_path / "figures") / "gates.pdf"
    table.write_bytes(b"dataset,backbone,persons\n")
    figure.write_bytes(b"%PDF-1.4\n%\xac\xdc \xab\xba\n...")
    (tmp_path / "report.html").write_bytes(MINE)
    (tmp_path / "summary.csv").write_bytes(b"my,own\n")
    assert not is_ours(table)
    (tmp_path / "run.json").write_text(json.dumps({"config": {}, "packages": {}}))
    assert is_ours(figure)
    assert is_ours(table)
    assert is_ours(tmp_path / "run.json")
    assert not is_ours(tmp_path / "report.html")
    assert not is_ours(tmp_path / "summary.csv")
    (tmp_path / "curves.csv").write_bytes(b"dataset,backbone,persons\n1\n")
    assert not is_ours(tmp_path / "curves.csv")


def test_a_folder_of_a_person_of_before_is_known_by_its_report(tmp_path: Path):
    for name, content in {"personal.onnx": b"12345", "personal.thin": b"123", "personal.pte": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    report = {"files": {"personal.onnx": 5, "personal.thin": 4}, "kept": {}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert [is_ours(tmp_path / f"personal.{end}") for end in ("onnx", "thin", "pte")] == [True, False, False]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o027, 0o640)])
def test_files_get_the_mode_that_the_umask_gives(umask: int, mode: int, tmp_path: Path):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "table.csv", b"ours")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("table.csv", RECORD)] == [mode, mode]


def test_a_replaced_file_keeps_its_mode_and_a_folder_gives_its_group(tmp_path: Path):
    path = tmp_path / "table.csv"
    write_bytes(path, b"ours")
    path.chmod(0o660)
    write_bytes(path, b"newer")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    if os.getuid() == 0:  # who may give files to any group
        os.chown(path, -1, 12345)
        write_bytes(path, b"newest")
        assert path.stat().st_gid == 12345
        shared = output_folder(tmp_path / "shared")
        os.chown(shared, -1, 12345)
        shared.chmod(0o2775)
        write_bytes(shared / "table.csv", b"ours")
        assert (shared / "table.csv").stat().st_gid == 12345


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become two users")
def test_two_users_of_one_folder_know_what_was_written_there():
    """Whatever their umasks are."""
    with tempfile.TemporaryDirectory() as name:  # where others may go, too
        path = Path(name) / "table.csv"
        path.parent.chmod(0o2777)
        users = (12001, 12002, 12001, 12003)
        assert [_written_as(user, path, str(user).encode()) for user in users] == [0] * len(users)
        assert path.read_bytes() == b"12003"
        path.write_bytes(MINE)
        assert _written_as(12003, path, b"not mine") == 1
        assert path.read_bytes() == MINE


def _written_as(user: int, path: Path, content: bytes) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads, of which none is used
        child = os.fork()
    if not child:
        status = 1
        try:
            os.setgid(user)
            os.setuid(user)
            write_bytes(path, content)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path):
    write_bytes(tmp_path / ("n" * 250 + ".html"), b"ours")


def test_the_home_of_people_is_read_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert expand("~") == tmp_path
    assert expand("~/a b/x.npz") == tmp_path / "a b" / "x.npz"
    assert expand("$HOME/x") == Path("$HOME/x"), "variables are the shell's business"
    assert expand("a/~/x") == Path("a/~/x")
    assert expand("./~") == expand(expand("./~")) == tmp_path / "~"
    with pytest.raises(UserError, match="~nobody-has-this-name"):
        expand("~nobody-has-this-name/x")
    assert output_folder("~/out") == tmp_path / "out"
    assert not (tmp_path / "~").exists()
    for name, folder in {"PPPL_DATA": data_folder, "PPPL_CACHE": model_cache}.items():
        monkeypatch.setenv(name, "~/kept")
        assert folder() == tmp_path / "kept"


def test_settings_that_are_paths_are_expanded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    experiment = Experiment().replace(**{"data.name": "~/d.npz", "backbone.weights": "./~/w.npz"})
    assert (experiment.data.name, experiment.backbone.weights) == (f"{tmp_path}/d.npz", f"{tmp_path}/~/w.npz")
    assert experiment.replace(seeds=[1]).backbone.weights == experiment.backbone.weights
    tasks = TextExperiment(tasks=("~/m.csv", "clinc150"), epochs_of={"~/m.csv": 2}, search_tasks=("~/m.csv",))
    assert tasks.tasks == (f"{tmp_path}/m.csv", "clinc150")
    assert tasks.epochs_on(tasks.tasks[0]) == 2
    assert tasks.encoder == "minilm-l6"
    assert Sweep(base="~/base.yaml").base == f"{tmp_path}/base.yaml"
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 1, 8, 8), np.float32), y=[0, 1, 0, 1], classes=["a", "b"])
    assert load_dataset("~/d.npz").sha256 == load_dataset(experiment.data.name).sha256
    (tmp_path / "one.yaml").write_text("seeds: [3]")
    assert Experiment.load("~/one.yaml").seeds == (3,)


@pytest.mark.parametrize(
    "arguments",
    [["figures", "~/r"], ["report", "./~"], ["report", "~/r", "--out=~/page.html"], ["results", "check", "~/r"]],
)
def test_paths_of_the_command_line_are_expanded(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / ("~" if "./~" in arguments else "home/r")) in told
    assert main(["figures", "~nobody-has-this-name/r"]) == 2
    assert "~nobody-has-this-name has no home folder here" in capsys.readouterr().err


def test_what_a_kill_left_is_not_taken_for_a_result(tmp_path: Path):
    from pppl.report.pictures import pictures

    (output_folder(tmp_path / "figures") / ".gates-0123456789ab.png").write_bytes(b"half")
    assert pictures(tmp_path) == []
    with replacing(tmp_path / "table.csv") as temporary:
        assert temporary.name.startswith("."), "so that no reader of a folder takes it"
        assert temporary.suffix == ".csv", "by which some libraries know what to write"
    (tmp_path / "table.csv").unlink()
    (tmp_path / RECORD).unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]
