"""Streams that are closed, broken or of another encoding, and signals at odd moments: one line, and the usual code."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A command with a verb more, which the variable holds.
_COMMAND = """
import os, sys
import pppl.cli.verbs
body = "import os, signal, sys, time\\ndef body(options, overrides):\\n" + os.environ["BODY"]
exec(body, space := {"__name__": "pppl.cli.verbs.test"})
pppl.cli.verbs.VERBS["say"] = (space["body"], "", lambda parser: None)
from pppl.cli import main
sys.argv = ["pppl", "say"]
sys.exit(main())
"""


def _run(body: str, shell: str = "{}", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """What a command prints, with the environment that has these variables, too."""
    given = {"PYTHON": sys.executable, "CODE": _COMMAND, "BODY": textwrap.indent(body, "    ")}
    line, environment = shell.format('"$PYTHON" -c "$CODE"'), os.environ | given | variables
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "cp1252", "ascii:surrogateescape"])
def test_any_text_can_be_printed_in_any_encoding(encoding: str):
    said = "print('caf\\udce9 \\u5b57 \\U0001f600 \\ud800'); print('\\u05d0', file=sys.stderr)"
    done = _run(said, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stdout.startswith(b"caf\\udce9 ")
    assert done.stderr in ("\u05d0\n".encode(), b"\\u05d0\n")


def test_names_of_files_are_read_as_the_system_has_them():
    done = _run("print([line for line in sys.stdin])", "printf 'caf\\351\\n' | {}", PYTHONIOENCODING="ascii")
    assert done.stdout == b"['caf\\udce9\\n']\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_empty_and_no_file_takes_its_place(closed: str, tmp_path: Path):
    body = f"file = open({str(tmp_path / 'file')!r}, 'w')\nassert file.fileno() > 2\n"
    body += "print('a'), os.write(1, b'b'), os.write(2, b'c')\nassert sys.stdin.read() == ''\nfile.close()"
    done = _run(body, "{} </dev/null " + closed)
    assert (done.returncode, done.stderr.strip(b"c")) == (0, b"")
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("shell", "code"), [("{} | true", 141), ("{} 2>&1 | true", 141), ("{} >/dev/full", 2), ("{} 2>/dev/full", 0)]
)
def test_output_that_nobody_takes(shell: str, code: int, unbuffered: str):
    body = "time.sleep(0.2)\nprint('much ' * 40000)\nfrom pppl.system.tracking import notice\nnotice('x' * 9000)"
    done = _run(body, f"{shell}; exit ${{{{PIPESTATUS[0]}}}}", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code
    if code == 2:
        assert done.stderr.count(b"\n") == 1
        assert b"No space left on device" in done.stderr
        assert b"run it again" not in done.stderr
    elif code == 141:
        assert done.stderr.strip(b"pl: x\n") == b""


def test_an_error_before_output_that_nobody_takes_keeps_its_code():
    body = "from pppl.system.errors import UserError\nprint('a')\nraise UserError('wrong')"
    done = _run(body, "{} >/dev/full", PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr) == (2, b"pppl: error: wrong\n")


_INTERRUPTED = (b"pppl: interrupted; ", b"pppl: terminated; ")


@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getpid(), signal.{})\ntime.sleep(9)",
        # in an import, and where a library takes every error for one of its own
        "sys.path.insert(0, {folder!r})\ntry: import interrupted\nexcept BaseException: print('swallowed')",
        # where no error can be passed on
        "class A:\n    def __del__(self): os.kill(os.getpid(), signal.{}); time.sleep(9)\nA()\ntime.sleep(9)",
        # again and again, while the first is handled
        "try: os.kill(os.getpid(), signal.{0})\nfinally:\n    os.kill(os.getpid(), signal.{0})\n    time.sleep(9)",
    ],
)
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_at_any_moment_is_one_line(body: str, name: str, code: int, tmp_path: Path):
    (tmp_path / "interrupted.py").write_text(f"import os, signal, time\nos.kill(os.getpid(), signal.{name})\n")
    done = _run(body.format(name, folder=str(tmp_path)))
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.startswith(_INTERRUPTED[name == "SIGTERM"])
    assert done.stderr.count(b"\n") == 1


def test_a_signal_that_is_ignored_from_the_start_stays_so():
    done = _run("os.kill(os.getpid(), signal.SIGINT)\nprint('goes on')", "trap '' INT; {}")
    assert (done.returncode, done.stdout) == (0, b"goes on\n")


def test_what_is_imported_before_signals_are_heeded_is_little():
    code = "import sys, pppl.cli; assert not {'argparse', 'pppl.cli.verbs', 'pppl.config', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_backend_of_windows_that_is_not_there_is_not_asked_for():
    assert _run("import matplotlib", MPLBACKEND="none such").returncode == 0


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from pppl.cli.command import main

    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["compare", "mine.yaml"]) == 2
    assert "WSL" in capsys.readouterr().err


def test_several_processes_that_start_the_same_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from pppl.cli.command import main

    for name, value in {"SLURM_NTASKS": "1", "OMPI_COMM_WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    assert main(["compare", "none.yaml"]) == 2
    assert "OMPI_COMM_WORLD_SIZE=3 is ignored" in capsys.readouterr().err
    assert main(["figures", "none"]) == 2
    assert "OMPI" not in capsys.readouterr().err
    assert os.environ["OMPI_COMM_WORLD_SIZE"] == "3"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "a call leaves the process as it was"
