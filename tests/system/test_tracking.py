import gc
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as pb
from wandb.sdk.artifacts.artifact_instance_cache import artifact_instance_cache_by_client_id
from wandb_files import whole_run

from pppl import Experiment, compare
from pppl.system import tracking, wandb_mode
from pppl.system.errors import UserError
from pppl.system.loggers import TrackingSettings
from pppl.system.tracking import notice, offline_runs, track
from pppl.system.wandb_mode import mode_of


def _runs(folder: Path) -> dict[str, list[pb.Record]]:
    runs = [whole_run(path) for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb"))]
    named = {}
    for records in runs:
        (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
        named[run.display_name] = records
    return named


def _config(records: list[pb.Record]) -> dict:
    (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    return {item.key: json.loads(item.value_json) for item in run.config.update}


def _history(records: list[pb.Record]) -> list[dict]:
    def name(item: pb.HistoryItem) -> str:
        return item.key or ".".join(item.nested_key)

    rows = (record.history.item for record in records if record.WhichOneof("record_type") == "history")
    return [{name(item): json.loads(item.value_json) for item in row} for row in rows]


@pytest.fixture(scope="module")
def runs(tiny: Experiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[pb.Record]]:
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPPL_CACHE", str(folder / "cache"))
        patch.setenv("WANDB_MODE", "offline")
        compare(tiny.replace(seeds=[0], methods=["full", "ppp"], **{"persons.classes": [2]}), folder)
    return _runs(folder)


def test_every_training_and_comparison_is_a_run_of_the_group(tiny: Experiment, runs: dict[str, list[pb.Record]]):
    assert set(runs) == {"compare", "full-seed0", "ppp-seed0"}
    for records in runs.values():
        (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
        assert run.run_group == tiny.name
        assert run.project == "pppl"
        (end,) = (record.exit for record in records if record.WhichOneof("record_type") == "exit")
        assert end.exit_code == 0
        assert _config(records)["training"]["epochs"] == tiny.training.epochs


def test_a_training_has_its_curves(tiny: Experiment, runs: dict[str, list[pb.Record]]):
    history = _history(runs["ppp-seed0"])
    assert [row["_step"] for row in history] == list(range(tiny.training.epochs))
    for row in history:
        assert {"train_loss", "train_target", "train_prototype", "val_loss", "val_accuracy"} <= set(row)
    assert _config(runs["ppp-seed0"])["kind"] == "ppp"


def test_a_comparison_has_its_summary_and_figures(runs: dict[str, list[pb.Record]]):
    logged = {key: value for row in _history(runs["compare"]) for key, value in row.items()}
    assert {"table", "summary", "accuracy_vs_macs", "gates"} <= {key.split(".")[0] for key in logged}
    values: dict[str, float] = {}
    for record in runs["compare"]:
        if record.WhichOneof("record_type") == "summary":
            values |= {
                item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update
            }
    assert 0 <= values["2 classes/ppp/own/0.2"] <= 1


def test_a_failed_run_is_marked_as_failed(tmp_path: Path, tracked: None):
    with pytest.raises(KeyboardInterrupt), track(tmp_path, group="g", name="n", job_type="test", config={}):
        raise KeyboardInterrupt
    (end,) = (record.exit for record in _runs(tmp_path)["n"] if record.WhichOneof("record_type") == "exit")
    assert end.exit_code == 1


def test_the_environment_is_left_alone(tmp_path: Path, monkeypatch):
    import os

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    (tmp_path / "wandb").mkdir()
    for name in ("debug.log", "debug-internal.log", "latest-run"):
        (tmp_path / "wandb" / name).write_text("mine")
    with track(tmp_path, group="g", name="n", job_type="test", config={}) as run:
        run.log({"loss": 1.0}, 0)
    assert [path.read_text() for path in (tmp_path / "wandb").iterdir() if path.is_file()] == ["mine"] * 3
    changed = {k for k in set(before) | set(os.environ) if before.get(k) != os.environ.get(k)}
    assert "WANDB_MODE" not in changed
    assert list(tmp_path.glob("wandb/offline-run-*")), "offline unless logged in"


def test_a_failing_wandb_never_loses_a_result(tmp_path: Path, tracked: None, monkeypatch, capsys):
    import wandb

    def fail(*_args, **_kwargs):
        raise wandb.errors.CommError("no route\nto host")

    monkeypatch.setattr(wandb, "init", fail)
    with track(tmp_path, group="g", name="n", job_type="test", config={}) as run:
        run.log({"loss": 1.0}, 0)
        run.table("t", pd.DataFrame({"a": [1]}))
        run.image("i", tmp_path / "none.png")
        run.summary({"a": 1})
    assert capsys.readouterr().err == "pppl: W&B is not available (no route); going on without it\n"


def test_wandb_failing_in_the_middle_says_so_once(tmp_path: Path, tracked: None, capsys):
    with track(tmp_path, group="g", name="n", job_type="test", config={}) as run:
        run.image("i", tmp_path / "none.png")
        run.log({"loss": 1.0}, 0)
        run.image("i", tmp_path / "none.png")
    err = capsys.readouterr().err
    assert err.count("W&B failed") == 1


def test_an_absent_wandb_never_loses_a_result(
    tiny: Experiment, tmp_path: Path, tracked: None, sketched: None, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    compare(tiny.replace(seeds=[0], methods=["full"], **{"persons.classes": [2]}), tmp_path)
    assert "W&B is not available" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "table.csv.gz")) == 2


def test_the_folder_of_a_table_fails_no_test_that_runs_later(tmp_path: Path, tracked: None):
    with track(tmp_path, group="g", name="n", job_type="t", config={}) as run:
        run.table("t", pd.DataFrame({"a": [1]}))
    artifact_instance_cache_by_client_id.clear()  # W&B lets the oldest go when it has a hundred
    gc.collect()


@pytest.fixture
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Somebody is, at a server that is not there."""
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr(wandb_mode, "gone", gone := threading.Event())
    monkeypatch.setattr(tracking, "gone", gone)
    wandb.teardown()  # it remembers the environment that it has met first
    yield monkeypatch
    wandb.teardown()


ONLINE = TrackingSettings(mode="online")


def test_being_logged_in_is_no_consent_to_an_upload(tmp_path: Path, logged_in: pytest.MonkeyPatch, capfd):
    logged_in.setattr(wandb_mode, "_answers", lambda url: pytest.fail("no server is asked"))
    with track(tmp_path, group="g", name="n", job_type="test", config={}) as run:
        run.log({"loss": 1.0}, 0)
    assert _runs(tmp_path).keys() == {"n"}
    assert not capfd.readouterr().err


def test_online_without_a_key_stays_offline_and_says_how_to_log_in(
    tmp_path: Path, logged_in: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    logged_in.delenv("WANDB_API_KEY")
    logged_in.setenv("NETRC", str(tmp_path / "none"))
    logged_in.setattr(wandb_mode, "_answers", lambda url: True)
    for name in ("n", "m"):
        with track(tmp_path, ONLINE, group="g", name=name, job_type="test", config={}):
            pass
    assert _runs(tmp_path).keys() == {"n", "m"}
    assert capsys.readouterr().err.count("`wandb login` asks for a key") == 1


def test_without_a_network_runs_are_kept_offline(tmp_path: Path, logged_in: pytest.MonkeyPatch, capfd):
    logged_in.setenv("WANDB_BASE_URL", "http://me:secret@127.0.0.1:9")
    logged_in.setenv("WANDB_RUN_ID", "of-another-program")
    for name in ("n", "m"):
        with track(tmp_path, ONLINE, group="g", name=name, job_type="test", config={}) as run:
            run.log({"loss": 1.0}, 0)
    assert _runs(tmp_path).keys() == {"n", "m"}
    err = capfd.readouterr().err
    assert err == "pppl: http://127.0.0.1:9 does not answer; W&B runs are kept offline\n"
    assert "offline-run-*" in offline_runs(tmp_path)
    assert not offline_runs(tmp_path / "wandb")


def test_a_server_that_refuses_costs_one_try(tmp_path: Path, logged_in: pytest.MonkeyPatch, capsys):
    begin, modes = tracking._begin, []

    def refused(module, folder: Path, mode: str, identity: dict):
        modes.append(mode)
        if mode == "online":
            raise wandb.errors.CommError(f"not taken: {os.environ['WANDB_API_KEY']} at https://a:b@c/")
        return begin(module, folder, mode, identity)

    logged_in.setattr(tracking, "_begin", refused)
    logged_in.setattr(wandb_mode, "_answers", lambda url: True)
    for name in ("n", "m"):
        with track(tmp_path, ONLINE, group="g", name=name, job_type="test", config={}):
            pass
    assert modes == ["online", "offline", "offline"]
    assert _runs(tmp_path).keys() == {"n", "m"}
    assert capsys.readouterr().err == (
        "pppl: W&B cannot be reached (not taken: ... at https://c/); runs are kept offline\n"
    )


def test_a_network_that_goes_away_is_told_with_what_is_kept(
    tmp_path: Path, logged_in: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Run:
        settings = SimpleNamespace(sync_dir=str(tmp_path / "wandb" / "run-1"))

        def finish(self, exit_code: int) -> None:
            raise TimeoutError

    logged_in.setattr(tracking, "_begin", lambda wandb, folder, mode, identity: Run())
    logged_in.setattr(wandb_mode, "_answers", lambda url: True)
    with track(tmp_path, ONLINE, group="g", name="n", job_type="test", config={}):
        pass
    assert f"wandb sync {tmp_path}/wandb/run-1" in capsys.readouterr().err
    assert mode_of(wandb, "online") == "offline", "no later run waits as long"


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wandb_mode, "_ANSWER", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begin = time.monotonic()
        assert not wandb_mode._answers(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - begin < 5


def test_a_notice_that_nobody_can_read_is_no_error(monkeypatch: pytest.MonkeyPatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        notice("anything")
        monkeypatch.setattr(sys, "stderr", None)
        notice("anything")
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_a_run_without_wandb_has_the_curves_of_other_loggers(tiny: Experiment, tmp_path: Path, tracked: None):
    experiment = tiny.replace(
        seeds=[0],
        methods=["full"],
        training__epochs=2,
        training__learning_rate=0.0123,  # a network that no other test trains
        tracking__loggers=["csv"],
        persons__classes=[2],
    )
    compare(experiment, tmp_path)
    assert not (tmp_path / "wandb").exists()
    curves = pd.read_csv(tmp_path / "csv" / tiny.name / "full-seed0" / "metrics.csv")
    assert curves["train_loss"].notna().sum() == 2
    assert curves["last_val_loss"].notna().sum() == 1


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_that_is_not_installed_is_named_with_its_line(tmp_path: Path, name: str, monkeypatch):
    for package in ("tensorboard", "tensorboardX", "mlflow"):
        monkeypatch.setitem(sys.modules, package, None)
    settings = TrackingSettings(loggers=(name,))
    with (
        pytest.raises(UserError, match=f"pip install {name}"),
        track(tmp_path, settings, group="g", name="n", job_type="t", config={}),
    ):
        pass


def test_a_logger_that_fails_is_told_once_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with track(tmp_path, TrackingSettings(loggers=("csv",)), group="g", name="n", job_type="t", config={}) as run:
        run.log({"loss": 1.0}, 0)
        shutil.rmtree(tmp_path / "csv")
        (tmp_path / "csv").write_text("in the way")
        run.part("p").log({"loss": 1.0}, 1)
        run.summary({"a": 1, "why": "text"})
    assert capsys.readouterr().err.count("CSVLogger failed") == 1


def test_an_unknown_logger_has_the_nearest_one_told():
    with pytest.raises(UserError, match=r"unknown logger in tracking\.loggers 'wandbb': did you mean 'wandb'"):
        Experiment().replace(tracking__loggers=["wandbb"])
