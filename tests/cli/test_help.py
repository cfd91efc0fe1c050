"""Help texts: verbs in groups, lines that fit a screen, and examples that run as they stand."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from pppl import Experiment
from pppl.cli.command import build_parser, main
from pppl.cli.help import EXAMPLES, GROUPS
from pppl.cli.overrides import read_overrides, split_overrides
from pppl.cli.verb import verb_parsers
from pppl.cli.verbs import VERBS

ROOT = Path(__file__).parents[2]
LINES = [(verb, line) for verb, lines in EXAMPLES.items() for line in lines]
# Those that train nothing, read no file of a user's own, and end within a second.
CHEAP = ("new", "explain", "data", "report", "figures", "groups")


def _commands(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each `pppl` in a line of a shell."""
    for command in line.split(" && "):
        words = shlex.split(command.partition(" > ")[0], comments=True)
        assert words.pop(0) == "pppl"
        yield words


def test_every_verb_has_a_group_and_examples():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(VERBS)
    assert EXAMPLES.keys() == {"", *VERBS}
    for verb in VERBS:
        assert any(words[0] == verb for line in EXAMPLES[verb] for words in _commands(line))


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_80_columns_and_ends_with_examples(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([*filter(None, [verb]), "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "examples:\n" in shown
    assert all(line in shown for line in EXAMPLES[verb])
    if not verb:
        assert [title for title in GROUPS if f"\n{title}:\n" in shown] == [*GROUPS]


@pytest.mark.parametrize(("verb", "line"), LINES)
def test_examples_are_commands_that_there_are(verb: str, line: str):
    for words in _commands(line):
        parser = build_parser()
        given, settings = split_overrides(words, verb_parsers(parser)[words[0]])
        options, settings = parser.parse_args(given), read_overrides(settings)
        if options.verb in ("demo", "compare", "train"):
            Experiment().override(settings)
        else:
            assert not settings or options.verb in ("tasks", "sweep", "groups")


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(("verb", "line"), [each for each in LINES if each[0] in CHEAP])
def test_cheap_examples_run(verb: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if verb in ("report", "figures"):
        shutil.copytree(ROOT / "results" / "plain_fsdd", "results/demo", ignore=shutil.ignore_patterns("figures"))
    Path("nets.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self, width, num_classes):\n"
        "        layers = nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, num_classes)\n"
        "        super().__init__(*layers)\n"
    )
    for words in _commands(line):
        assert main(words) == 0


def test_settings_can_be_passed_where_help_says_so(capsys: pytest.CaptureFixture[str]):
    assert main(["figures", "none", "--persons.shots", "3"]) == 2
    assert "unknown argument '--persons.shots': see `pppl figures --help`" in capsys.readouterr().err


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script that completes `pppl` in bash."""
    path = tmp_path_factory.mktemp("completion") / "pppl.bash"
    with path.open("w") as file, redirect_stdout(file):
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pppl", "pers"], {"personalize"}),
        (["pppl", "results", "ch"], {"check"}),
        (["pppl", "new", ""], {"compare", "tune", "tasks"}),
        (["pppl", "completion", ""], {"bash", "zsh", "fish"}),
        (["pppl", "sweep", "--launcher", ""], {"local", "slurm"}),
        (["pppl", "compare", "--wor"], {"--workers"}),
        (["pppl", "compare", "mine.yaml", "--persons.sho"], {"--persons.shots"}),
        (["pppl", "demo", "--retrain.learn"], {"--retrain.learning_rate"}),
        (["pppl", "sweep", "--samp"], {"--sampler", "--sampler_seed"}),
        (["pppl", "tasks", "--epochs_"], {"--epochs_of"}),
        (["pppl", "report", "--epochs"], set()),
        (["pppl", "compare", "mi"], {"mine.yaml"}),
        (["pppl", "report", "fol"], {"folder"}),
    ],
)
def test_bash_completes(words: list[str], offered: set[str], script: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.txt").touch()
    quoted = " ".join(map(shlex.quote, words))
    code = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        "name=$(complete -p pppl); name=${name#*-F }; ${name% pppl}; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    bash = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {*bash.stdout.split()} == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_scripts(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0
    assert "persons.shots" in capsys.readouterr().out
