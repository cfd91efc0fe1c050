"""What fails in the system is told with what mends it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.system.errors import UserError, explain


def _told(number: int, path: str | None = "/results/table.csv") -> str:
    return explain(OSError(number, os.strerror(number), path))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "another folder"),
        (errno.EACCES, "who may use it"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENOMEM, "fewer --workers"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EIO, "network drive"),
        (errno.ESTALE, "mount it again"),
        (errno.ECONNREFUSED, "connection"),
        (errno.ENOTDIR, "a file stands"),
    ],
)
def test_each_failure_has_its_own_remedy(number: int, remedy: str):
    told = _told(number)
    assert told.startswith(f"/results/table.csv: {os.strerror(number)}; ")
    assert remedy in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("/dev/shm/sem.x", "--workers 1"),
        ("CACHE/full.safetensors", "set PPPL_CACHE"),
        ("DATA/digits", "set PPPL_DATA"),
        ("TMP/tmpabc/x.onnx", "TMPDIR"),
        ("/elsewhere/x", "choose another folder"),
    ],
)
def test_the_remedy_is_for_the_folder_that_fails(
    path: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folders = {"CACHE": "PPPL_CACHE", "DATA": "PPPL_DATA", "TMP": "TMPDIR"}
    for folder, variable in folders.items():
        monkeypatch.setenv(variable, str(tmp_path / folder))
        path = path.replace(folder, str(tmp_path / folder))
    assert remedy in _told(errno.ENOSPC, path)


def test_an_error_that_names_no_file_has_the_place():
    assert _told(errno.ENOSPC, None).startswith(os.strerror(errno.ENOSPC))
    assert explain(OSError(errno.EIO, "bad"), Path("/there")).startswith("/there: bad")
    assert explain(OSError("AF_UNIX path too long")).startswith("AF_UNIX path too long")


def test_want_of_memory_and_threads_is_told_and_mistakes_are_not():
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(2**55, np.uint8)
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(2**50)
    for error in (of_numpy.value, of_torch.value, ImportError("libtorch.so: failed to map segment")):
        assert explain(error).startswith("out of memory: use fewer --workers")
    assert "ulimit -u" in explain(RuntimeError("can't start new thread"))
    assert explain(RuntimeError("shapes differ")) == explain(KeyError("a")) == ""


def test_a_name_that_is_no_text_is_told_before_anything_is_trained(tmp_path: Path):
    strange = os.fsdecode(b"caf\xe9")
    with pytest.raises(UserError, match=r"data\.name is 'caf\\udce9\.npz'.*rename"):
        Experiment().replace(**{"data.name": f"{strange}.npz"})
    (tmp_path / f"{strange}.yaml").write_text("seeds: [0]")
    with pytest.raises(UserError, match=r"caf\\udce9\.yaml'.*rename"):
        Experiment.load(tmp_path / f"{strange}.yaml")
    with pytest.raises(UnicodeEncodeError) as caught:
        (tmp_path / "file").write_text(f"a,{strange},b", encoding="utf-8")
    assert "caf\\udce9" in explain(caught.value)
