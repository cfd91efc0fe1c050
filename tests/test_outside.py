"""What people add from outside the package: in files beside an experiment, in a notebook, in a package of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from pppl import Experiment, compare
from pppl.cli.command import main
from pppl.system import plugins, registries
from pppl.tables.metric import METRICS
from pppl.tables.schema import load_frame

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "outside"
FILES = ("counting", "walks", "ticker", "shrink")
METHODS = {"full", "l1", "shrink", "shrink+finetune"}
_MOST_LINES, _A_DOZEN = 40, 12


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget after each test what it has registered, since others walk the registries."""
    plugins.load_plugins(())
    for registry in registries.REGISTRIES.values():
        monkeypatch.setattr(registry, "_entries", {**registry._entries})
    monkeypatch.setattr(registries, "_MAKERS", {**registries._MAKERS})
    monkeypatch.setattr(plugins, "_RUN", {})
    known = {**METRICS}
    yield
    METRICS.clear()
    METRICS.update(known)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, in which commands are run."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_each_file_is_short():
    files = [path for path in EXAMPLE.rglob("*.py") if path.stem != "__init__"]
    assert {path.stem for path in files} == {*FILES}
    for path in files:
        assert len(path.read_text().splitlines()) <= _MOST_LINES, path.name


def test_files_named_in_an_experiment_run_with_two_workers(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "results"
    command = [sys.executable, "-m", "pppl", "compare", "footsteps.yaml", "--out", str(out), "--workers", "2"]
    done = subprocess.run([*command, "--training.epochs", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "has no source" not in done.stderr, "generated methods of a dataclass are nobody's source"
    table = load_frame(out / "table.csv.gz")
    assert {*table["method"]} == METHODS
    assert {*table["task"]} == {"counting"}
    assert {*table["metric"]} == {"count error"}
    assert {*table["backbone"]} == {"ticker"}
    pruned = table[table["method"] == "shrink"]
    assert {*pruned["budget"]} == {0.3, 0.6}
    assert (pruned["macs_fraction"] <= pruned["budget"]).all()
    run = json.loads((out / "run.json").read_text())
    assert run["config"]["shrink"] == {"power": 2.0}
    assert run["metric"]["title"] == "mean count error"
    assert run["metric"]["higher_is_better"] is False
    assert list(out.glob("**/*.pdf"))
    assert "count error" not in METRICS, "the report knows it from run.json alone"
    assert main(["report", str(out)]) == 0
    page = Path(re.findall(r"\S+\.html", capsys.readouterr().out)[-1])
    assert "ean count error" in page.read_text()


_RUN = """
from pppl import Experiment, compare
given = {"data.name": "walks", "backbone.name": "ticker", "training.epochs": 1, "persons.shots": 8, "persons.count": 2}
own = {"methods": ["full", "l1", "shrink"], "budgets": [0.5], "seeds": [0], "reference": "full", "shrink.power": 2.0}
summary = compare(Experiment().replace(**given, **own), "results", workers=2)
"""


@pytest.mark.slow
def test_cells_of_a_notebook_run_with_two_workers_and_edits_are_computed_again(example: Path):
    cells = {name: (example / "footsteps" / f"{name}.py").read_text() for name in FILES}
    shutil.rmtree(example / "footsteps")
    assert ".mean((0, 2))" in cells["shrink"]
    edited = cells["shrink"].replace(".mean((0, 2))", ".amax((0, 2))")
    keep = "import shutil; shutil.copy('results/table.csv.gz', 'first.csv.gz')"
    sources = [*cells.values(), _RUN, keep, edited, _RUN]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    here = {"metadata": {"path": str(example)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=here)
    client.execute(env=os.environ | {"TQDM_DISABLE": "1"})
    told = "".join(each.get("text", "") for each in notebook.cells[-1].outputs)
    assert told.count(" of other code (shrink)") == 1, told
    assert "training full" not in told, "networks are those of before"
    tables = [pd.read_csv(example / name) for name in ("first.csv.gz", "results/table.csv.gz")]
    before, after = (table.set_index([*table.columns[:10]]).sort_index() for table in tables)
    assert {*after.reset_index()["metric"]} == {"count error"}
    computed = before["personalize_seconds"] != after["personalize_seconds"]
    assert {*computed[computed].index.get_level_values("method")} == {"shrink"}
    others = before.index.get_level_values("method") != "shrink"
    pd.testing.assert_frame_equal(before[others], after[others])


@pytest.mark.slow
def test_an_installed_package_is_known_by_its_entry_points_alone(example: Path, tmp_path: Path):
    target = tmp_path / "site-packages"
    how = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *how, "--target", str(target), str(example)], check=True)
    shutil.rmtree(example / "footsteps")
    _edit(example / "footsteps.yaml", "plugins: [footsteps/", "# plugins: [footsteps/")
    code = (
        "from pppl import Experiment\nfrom pppl.comparison.compare import compare\n"
        "experiment = Experiment.load('footsteps.yaml').replace(**{'training.epochs': 1})\n"
        "assert not experiment.plugins\ncompare(experiment, 'results')\n"
    )
    given = os.environ | {"PYTHONPATH": f"{target}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {*load_frame(example / "results" / "table.csv.gz")["method"]} == METHODS


def _stamps() -> dict:
    from pppl.comparison.freshness import fingerprints
    from pppl.comparison.load import open_experiment

    return fingerprints(*open_experiment(Experiment.load("footsteps.yaml")))


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("shrink", ".mean((0, 2))", ".amax((0, 2))", {"shrink", "shrink+finetune"}),
        ("shrink", "power: float = 1.0", "power: float = 1.5", {"shrink", "shrink+finetune"}),
        ("shrink", "  # (B, C, T)", "  # a comment", set()),
        ("ticker", "nn.ReLU()", "nn.GELU()", METHODS),
        ("counting", "targets.float()", "targets.float(), full=True", METHODS),
        ("counting", "outputs[:, 0].exp()", "outputs[:, 0].exp().round()", METHODS),
        ("walks", "0.1 * rng", "0.2 * rng", METHODS),
        ("walks", "rng.uniform(1, 3)", "rng.uniform(1.0, 3.0)", set()),  # the same data by other code
    ],
)
def test_a_changed_file_makes_stale_what_depends_on_it(
    example: Path, file: str, old: str, new: str, stale: set[str], capsys: pytest.CaptureFixture[str]
):
    before = _stamps()
    _edit(example / "footsteps" / f"{file}.py", old, new)
    after = _stamps()
    assert {method for method in METHODS if before[method] != after[method]} == stale
    assert "has no source" not in capsys.readouterr().err


def test_a_file_is_run_again_even_if_only_its_text_tells_the_edit(tmp_path: Path):
    path = tmp_path / "metric.py"
    path.write_text(_HEAD + _TASK.format(1))
    plugins.load_plugins([str(path)])
    assert METRICS["off"].limits == (0, 1)
    there = path.stat()
    path.write_text(_HEAD + _TASK.format(2))
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    plugins.load_plugins([str(path)])
    assert METRICS["off"].limits == (0, 2)
    assert not (tmp_path / "__pycache__").exists()


_HEAD = """from dataclasses import dataclass
from pppl import Task, register_backbone, register_method, register_settings, register_source, register_task
from pppl import Backbone, Metric, Personalizer, ScorePruner, Step

# Line 6 is the first one of each test.
"""
_TASK = """@register_task("off")
class Off(Task):
    metrics = (Metric("off", "off", limits=(0, {})),)
    def outputs(self, dataset): return 1
    def loss(self, outputs, targets): return outputs.mean()
    def score(self, outputs, targets): return {{"off": 0.0}}
    def divergence(self, outputs, teacher): return outputs.mean()
"""
_SCORES = "    def scores(self, model, support, rule): ...\n"
_BAD = {
    "import nowhere": r"line 6: ModuleNotFoundError: No module named 'nowhere'",
    "def f(:": r"line 6: invalid syntax",
    "import json\njson.loads('{')": r"line 7: JSONDecodeError: .*",
    "raise SystemExit(3)": r"line 6: SystemExit: 3",
    f"@register_method('l1')\nclass Mine(ScorePruner):\n{_SCORES}": (
        r"method 'l1' is registered twice, by static\.py, line \d+ and by bad\.py, line 6: rename the second"
    ),
    f"@register_method('a+b')\nclass Mine(ScorePruner):\n{_SCORES}": (
        r"method 'a\+b' \(bad\.py, line 6\) cannot be called for: name it with .*"
    ),
    "@register_method('mine')\nclass Mine(Personalizer): ...": (
        r"method 'mine' \(bad\.py, line 6\) lacks make: define it"
    ),
    f"@register_method('mine')\nclass Mine:\n{_SCORES}": r"method 'mine' \(bad\.py, line 6\) is no Personalizer: .*",
    "@register_method('mine')\nclass Mine(Step):\n    def make(self, model, support, budget): ...": (
        r"method 'mine' \(bad\.py, line 6\) is a Step: put @register_step above the class"
    ),
    "@register_task('mine')\nclass Mine(Task):\n    def outputs(self, dataset): return 1": (
        r"task 'mine' \(bad\.py, line 6\) lacks divergence, loss, score: define it"
    ),
    _TASK.replace("    metrics", "    _").format(1): r"task 'off' \(bad\.py, line 6\) lacks metrics: .*",
    "@register_backbone('mine')\nclass Mine(Backbone): ...": (
        r"backbone 'mine' \(bad\.py, line 6\) takes no widths: add the channels per group"
    ),
    "@register_backbone('mine')\nclass Mine:\n    def __init__(self, *, widths): ...": (
        r"backbone 'mine' \(bad\.py, line 6\) is no Backbone: derive the class from it"
    ),
    "@register_source('mine', license='CC0')\ndef mine(_): ...": (
        r"unknown field of data set mine \(bad\.py, line 6\) 'license': did you mean 'licence'\? .*"
    ),
    "@register_settings('mine')\n@dataclass\nclass Mine:\n    power: float = 1": (
        r"settings 'mine' \(bad\.py, line 6\) are no frozen dataclass: .*"
    ),
    "@register_settings('mine')\n@dataclass(frozen=True)\nclass Mine:\n    power: float": (
        r"settings 'mine' \(bad\.py, line 6\): field power has no default: give it one"
    ),
    "@register_settings('data')\n@dataclass(frozen=True)\nclass Mine:\n    power: float = 1": (
        r"settings 'data' \(bad\.py, line 6\) have a name that every experiment has: rename them"
    ),
}


def _fails(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """Return the one line that an experiment of this text is refused with."""
    Path("bad.yaml").write_text(text)
    assert main(["compare", "bad.yaml", "--out", "results"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err.removeprefix("pppl: error: ").rstrip()


@pytest.mark.parametrize(("text", "told"), _BAD.items(), ids=[text.split("\n")[0] for text in _BAD])
def test_what_a_plugin_does_wrong_is_told_in_one_line(
    example: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
):
    Path("bad.py").write_text(f"{_HEAD}{text}\n")
    line = _fails(capsys, "plugins: [bad.py]\n")
    assert re.search(told + "$", line), line
    assert "bad.py" in line
    made = {name for registry in registries.REGISTRIES.values() for name in registry}
    assert "mine" not in made, "nothing is left of a file that failed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plugins: [bat]", r"unknown module or plugin 'bat': did you mean 'bad'\? .*"),
        ("plugins: [footsteps/shrin.py]", r"plugin \S+/shrin\.py cannot be read: .*; name a Python file or a module"),
        ("methods: [full, shrimp]", r"unknown method 'shrimp': did you mean 'shrink'\?.*"),
        ("shrinks: {power: 2}", r"unknown key 'shrinks': did you mean 'shrink'\?.*"),
        ("shrink: {powr: 2}", r"unknown key 'shrink\.powr': did you mean 'shrink\.power'\?.*"),
        ("shrink: {power: 0}", r"shrink\.power is 0\.0: more than 0"),
        ("data: {name: nobodys}", r"unknown task 'nobodys'.*"),
        ("data: {name: nothing}", r"data set nothing \(bad\.py, line 6\) returns None: return an IdentityDataset"),
        ("backbone: {name: bare}", r"backbone bare refuses .*: Bare \(bad\.py, line 12\) sets no groups of channels"),
    ],
)
def test_what_an_experiment_asks_of_plugins_is_checked_before_anything_is_trained(
    example: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
):
    body = (
        "@register_source('nothing')\ndef nothing(_): ...\n"
        "import torch\nfrom pppl.data import IdentityDataset\n"
        "@register_source('nobodys')\n"
        "def nobodys(_): return IdentityDataset(name='', x=torch.ones(9, 1, 4, 4), y=torch.ones(9), task='nobodys')\n"
        "@register_backbone('bare')\nclass Bare(Backbone):\n"
        "    def __init__(self, *, widths=(3,)):\n        super().__init__()\n"
    )
    Path("bad.py").write_text(_HEAD + body)
    known = "" if text.startswith("plugins") else "plugins: [bad.py, footsteps/shrink.py]\n"
    line = _fails(capsys, f"{known}{text}\n")
    assert re.search(told + "$", line), line
    assert not Path("results").exists()


def test_a_function_makes_a_network_of_any_samples(tmp_path: Path):
    from pppl.backbones import build, register_backbone, spec_for
    from pppl.backbones.convnet import ConvNet

    @register_backbone("narrow")
    def narrow(*, in_channels: int, num_outputs: int, dims: int = 2, widths: tuple[int, ...] = (4, 4)) -> ConvNet:
        return ConvNet(in_channels=in_channels, num_outputs=num_outputs, dims=dims, widths=widths)

    for shape in ((2, 16), (2, 8, 8)):
        assert build(spec_for("narrow", {}, shape, 3)).widths == (4, 4)


def test_the_lines_of_contributing_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    names = ["method", "network", "data", "task"]
    assert len(blocks) == len(names)
    monkeypatch.chdir(tmp_path)
    for name, block in zip(names, blocks, strict=True):
        assert sum(bool(line.strip()) for line in block.splitlines()) <= _A_DOZEN, name
        Path(f"{name}.py").write_text(block)
    given = {"data.name": "brightness", "backbone.name": "one_layer", "training.epochs": 1, "persons.count": 2}
    methods = ["full", "first_channels"]
    experiment = Experiment().replace(plugins=[f"{name}.py" for name in names])
    experiment = experiment.replace(**given, methods=methods, budgets=[0.5], seeds=[0], reference="full")
    summary = compare(experiment, tmp_path / "results")
    assert {*summary["method"]} == {*methods}
    assert {*summary["metric"]} == {"MAE"}
