"""What the files around the code promise."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pppl import Experiment, TextExperiment
from pppl.config import Sweep
from pppl.data import SOURCES
from pppl.sweeping.space import base_of, check_space
from pppl.text.text_methods import TEXT_METHODS
from pppl.text.text_tasks import task_names

ROOT = Path(__file__).parents[1]


def _pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "every line pins one version"
    return {_normal(name): version for name, version in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_every_dependency_inside_its_range():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    pins = _pins()
    for text in named:
        requirement = Requirement(text)
        if requirement.name == "pppl":  # an extra that takes in another
            continue
        assert pins[_normal(requirement.name)] in requirement.specifier, text


def test_the_lock_pins_what_is_installed():
    """Of what `pppl` needs, however remotely; what else somebody has installed is theirs."""
    from importlib.metadata import version

    if not (Path(sys.prefix) / "dev.done").exists():
        pytest.skip("this environment is not made of requirements.lock: make test")
    pins = _pins()
    different = {
        name: (v, pins.get(name)) for name in _needed() if (v := version(name).split("+")[0]) != pins.get(name)
    }
    assert not different, "remake requirements.lock"


def _needed() -> set[str]:
    """Names of all distributions that `pppl[dev]` needs here."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    seen, ahead = set[tuple[str, str]](), [("pppl", "dev"), ("pppl", "")]
    while ahead:
        name, extra = here = ahead.pop()
        if here in seen:
            continue
        seen.add(here)
        for text in requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                ahead += [(_normal(needed.name), each) for each in ("", *needed.extras)]
    return {name for name, _ in seen} - {"pppl", "pip", "setuptools", "wheel"}


def test_the_conda_environment_installs_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[1-9]", python)
    assert pip == "pip"
    assert packages == {"pip": ["--constraint requirements.lock", "--editable .[lab,dev]"]}


@pytest.mark.parametrize("target", ["help", "demo", "test", "test-slow", "lint", "lab", "docs", "reproduce"])
def test_every_make_target_builds_its_environment_first(target: str, tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    steps = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert ("-m venv .venv" in steps) == (target != "help")
    assert target == "help" or f"`make {target}" in (ROOT / "docs" / "start" / "install.md").read_text()


def _bases() -> set[tuple[str, str]]:
    """Experiments that sweeps start from, which need no results of their own."""
    sweeps = [Sweep.load(path) for path in (ROOT / "sweeps" / "tune").glob("*.yaml")]
    return {("compare", Path(each.base).stem) for each in sweeps}


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_open_with_what_to_expect_and_have_a_fast_form(path: Path):
    kinds = {"compare": (Experiment, "compare"), "tasks": (TextExperiment, "tasks"), "tune": (Sweep, "sweep")}
    kind, verb = kinds[path.parent.name]
    experiment = kind.load(path)
    assert experiment.name == path.stem
    head = path.read_text().split("\nname:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"# Command:   pppl {verb} sweeps/{path.parent.name}/{path.name}\n" in head
    assert re.search(r"^# Run time:  (\d+ minutes|not measured in full yet)", head, re.MULTILINE)
    assert re.search(r"^# Expected:  .*\d", head, re.MULTILINE)
    if (path.parent.name, path.stem) not in _bases():
        assert (ROOT / "results" / path.stem / "run.json").exists(), "an experiment is shipped with its results"
    fast = kind.load(path, fast=True)
    assert fast.name == f"{path.stem}-fast"
    if isinstance(experiment, Experiment) and isinstance(fast, Experiment):
        assert (fast.data.name, fast.backbone) == (experiment.data.name, experiment.backbone)
        assert experiment.data.name in SOURCES
    if isinstance(experiment, TextExperiment) and isinstance(fast, TextExperiment):
        assert (fast.tasks, fast.encoder) == (experiment.tasks, experiment.encoder)
        assert set(experiment.tasks) <= set(task_names())
        assert set(experiment.methods) <= set(TEXT_METHODS)
    if isinstance(experiment, Sweep):
        check_space(experiment, base_of(experiment, path.parent))


def test_figures_know_no_torch():
    code = "import sys, pppl.figures; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_environment_or_result_of_this_machine_is_tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = listed.stdout.splitlines()
    assert not [path for path in tracked if path.startswith((".venv", "results/demo")) or "journal.jsonl" in path]


def test_files_stay_small():
    long = {str(p): n for p in ROOT.glob("pppl/**/*.py") if (n := len(p.read_text().splitlines())) > 300}
    assert not long


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(tmp_path: Path):
    source = tmp_path / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "results", "*.egg-info", "__pycache__", "dist", "notebooks")
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    demo = [
        "demo",
        "--seeds=[0]",
        "--persons.count=2",
        "--persons.classes=[2]",
        "--training.epochs=1",
        "--methods=[ppp]",
    ]
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        f"import pppl; assert pppl.__file__.startswith({str(target)!r}), pppl.__file__\n"
        f"from pppl.cli import main; sys.exit(main({demo!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=elsewhere, check=True, capture_output=True)
    assert (elsewhere / "results" / "demo" / "figures" / "gates.png").exists()
