"""What the README and the pages of the documentation promise: links, tables, code, and how long the README is."""

import re
import shlex
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from stub_training import sketching

from pppl import Experiment
from pppl.backbones import BACKBONES, build, spec_for
from pppl.cli.command import main
from pppl.data import SOURCES
from pppl.personalizers import METHODS, STEPS
from pppl.personalizers.method_texts import SCOPES
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.text.text_methods import TEXT_METHODS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted(path for path in DOCS.rglob("*.md") if not {"generated", "_build"} & set(path.parts))
READ_ALONE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md", "results/FINDINGS.md")]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def test_the_readme_is_read_in_minutes():
    assert len((ROOT / "README.md").read_bytes()) <= 8_000


@pytest.mark.parametrize("path", READ_ALONE, ids=lambda path: path.name)
def test_links_of_files_that_are_read_on_their_own_lead_somewhere(path: Path):
    targets = [link for link in _LINK.findall(path.read_text(encoding="utf-8")) if not link.startswith("http")]
    assert targets
    for target in targets:
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there), target


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, as web pages of repositories and the site make them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_written_page_is_in_the_contents():
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in WRITTEN} - {"index"}
    assert not {page for page in pages if f"\n{page}\n" not in contents}


def _tables(page: str) -> list[list[list[str]]]:
    """Rows of cells of every table on a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = [block.strip() for block in text.split("\n\n") if block.strip().startswith("|")]
    return [
        [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in blocks
    ]


def test_the_table_of_methods_has_those_of_the_registries():
    (methods,) = _tables("reference/methods.md")
    names = [row[0] for row in methods[2:]]
    assert sorted(names) == sorted(
        [*(each for each in METHODS if not each.endswith((*SCOPES,))), *(f"+{s}" for s in STEPS)]
    )


def test_the_table_of_ways_to_adapt_an_encoder_has_those_of_the_registry():
    (methods,) = _tables("howto/own-task.md")
    assert [row[0] for row in methods[2:]] == list(TEXT_METHODS)


def test_scores_of_text_tasks_are_those_of_the_results():
    *_, scores = _tables("results/practice.md")
    summary = pd.read_csv(ROOT / "results" / "minilm" / "summary.csv").set_index(["task", "method"])
    tasks = ["glue/CoLA", "glue/MRPC", "glue/RTE", "clinc150"]
    assert len(scores) - 2 == summary.index.get_level_values("method").nunique()
    for method, *cells in scores[2:]:
        assert cells[:4] == [f"{100 * summary.at[(task, method), 'score']:.1f}" for task in tasks]
        mean = summary.loc[("average", method)]
        score, low, high = (100 * mean[name] for name in ("score", "score_low", "score_high"))
        assert cells[4] == f"{score:.1f} [{low:.1f}, {high:.1f}]"
        less, low, high = (-100 * mean[f"minus_full{end}"] for end in ("", "_high", "_low"))
        assert cells[5] == ("" if method == "full" else f"{less:.1f} [{low:.1f}, {high:.1f}]")
        assert cells[6:] == [f"{mean['task_bytes'] / 1000:,.0f}", f"{mean['peak_memory_mib']:,.0f}"]


# The shapes of the registered sources' samples; of series only files are known.
_SHAPES = {
    "digits": (1, 8, 8),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
    "omniglot": (1, 28, 28),
    "mnist_writers": (1, 28, 28),
    "shoulder_exercises": (6, 128),
    "arabic_speech_commands": (1, 49, 40),
    "speech_commands": (1, 49, 40),
    "fsdd": (1, 49, 40),
    "series (C, T)": (9, 128),
}


def test_the_table_of_networks_tells_which_takes_which_data_set():
    ((header, _, *rows),) = _tables("reference/networks.md")
    assert set(header[2:]) == set(_SHAPES) == {*SOURCES, "series (C, T)"}
    assert {row[0] for row in rows} == set(BACKBONES)

    def taken(backbone: str, shape: tuple[int, ...]) -> str:
        try:
            CostModel(build(spec_for(backbone, {}, shape, 10)), shape)
        except UserError:
            return "-"
        return "all"

    truth = {(name, shape): taken(name, shape) for name in BACKBONES for shape in set(_SHAPES.values())}
    for name, _, *cells in rows:
        assert cells == [truth[name, _SHAPES[data]] for data in header[2:]], name


_WITH_CODE = [path for path in [ROOT / "README.md", *WRITTEN] if _BLOCK.search(path.read_text(encoding="utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("path", _WITH_CODE, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each page runs in a folder of its own, beside nothing but the shipped experiments."""
    shutil.copytree(ROOT / "sweeps", tmp_path / "sweeps")
    monkeypatch.chdir(tmp_path)
    for index, (language, code) in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8"))):
        if language == "python":
            with sketching():
                exec(compile(code, f"{path.name} block {index}", "exec"), {"__name__": "__main__"})
        if language == "yaml":
            (tmp_path / "part.yaml").write_text(code)
            assert Experiment.load(tmp_path / "part.yaml") != Experiment()
        if language == "sh":  # `shell` needs a data set: tests/deploy runs it where that is there
            for line in code.splitlines():
                _run(line)


def _run(line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    elif program == "pppl":
        with nullcontext() if arguments[0] == "figures" else sketching():
            assert main(arguments) == 0, line
    else:
        assert program in (".", ".venv/bin/pip"), line


def test_what_the_readme_prints_has_the_form_that_it_shows(capsys: pytest.CaptureFixture):
    blocks = _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    (code,) = [text for language, text in blocks if language == "python"]
    (shown,) = [text for language, text in blocks if language == "text"]
    with sketching():
        exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    numbers = re.compile(r"\d[\d,.]*")
    assert numbers.sub("0", capsys.readouterr().out) == numbers.sub("0", shown)
