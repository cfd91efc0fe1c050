"""Stamps and keys follow what code says: not how it is written, nor where it stands."""

import ast
import linecache
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest
import torch

from pppl import Experiment
from pppl.comparison import source
from pppl.comparison.freshness import fingerprints, hash_code
from pppl.comparison.origins import code_hash
from pppl.comparison.recipes import recipes
from pppl.data import IdentityDataset
from pppl.personalizers import METHODS, make_personalizers

METHODS_TRIED = (
    *("full", "ppp", "gated", "ppp_dynamic", "ppp@persons", "l1", "ocap", "ocap+finetune", "l1+bn", "l1+retrain"),
    *("finetune", "diff", "onda_hap", "basis"),
)
_CACHED = (source._file, source._module, source._collect_reached, source._text)


@pytest.fixture
def experiment(tiny: Experiment) -> Experiment:
    return tiny.replace(methods=METHODS_TRIED, settings={"ppp@persons": {"ppp.training": "persons"}})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, which stamps are made of."""
    copy = tmp_path / "pppl"
    shutil.copytree(Path(source.__file__).parents[1], copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source, "_FOLDER", copy)
    yield copy
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for each in _CACHED:
        each.cache_clear()


def _stamps(experiment: Experiment) -> dict[str, str]:
    _forget()
    return {each.method: hash_code(each, "classification") for each in make_personalizers(experiment)}


def _keys(experiment: Experiment, dataset: IdentityDataset) -> dict[str, str]:
    _forget()
    return {recipe.kind: recipe.key for recipe in recipes(experiment, dataset, seed=0)}


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


def test_what_is_written_in_another_way_leaves_stamps_and_keys(
    experiment: Experiment, digits: IdentityDataset, package: Path
):
    stamps, keys = _stamps(experiment), _keys(experiment, digits)
    for folder in ("personalizers", "training", "pruning", "gating", "diff", "data", "backbones"):
        for path in (package / folder).glob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
                    node.body[0] = ast.Expr(ast.Constant("Other words."))
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    node.exc.args = [ast.Constant("another message")]
                if isinstance(node, ast.FunctionDef):
                    node.returns = ast.Name("int")
            path.write_text(f"# A comment.\nimport os\n{ast.unparse(ast.fix_missing_locations(tree))}\n")
    assert _stamps(experiment) == stamps
    assert _keys(experiment, digits) == keys


PRUNE = {"ppp", "gated", "ppp@persons", "l1", "ocap", "ocap+finetune", "l1+bn", "l1+retrain", "onda_hap"}
TUNED, CAPPED = {"ocap+finetune", "finetune"}, {"ppp", "gated", "ppp@persons"}
OCAPS = {"ocap", "ocap+finetune"}
GATED = {"ppp", "gated", "ppp_dynamic", "ppp@persons"}
EDITS = {
    "a constant of a method": ("personalizers/ocap.py", "rank / 2", "rank / 3", OCAPS),
    "a step": ("personalizers/recalibrate.py", "len(support.x) < 2", "len(support.x) < 3", {"l1+bn"}),
    "another step": (
        "personalizers/finetune.py",
        "self.first.steps +",
        "1 + self.first.steps +",
        {"ocap+finetune", "finetune"},
    ),
    "what cuts networks": ("backbones/surgery.py", "def slice_network", "def slice_network", set(METHODS_TRIED)),
    "losses of gates": ("gating/losses.py", ".clamp(min=1)", ".clamp(min=2)", GATED),
    "what is used instead": (
        "personalizers/ocap.py",
        "import ScorePruner, uniform",
        "import ScorePruner, relative as uniform",
        {"ocap", "ocap+finetune"},
    ),
    "who persons are": ("data/person_pool.py", "permutation(people)", "permutation(people[::-1])", set(METHODS_TRIED)),
    "how data are split": ("data/splits.py", "_OF_ROWS = (0.15, 0.25)", "_OF_ROWS = (0.1, 0.2)", set(METHODS_TRIED)),
    "how all train": ("training/modules.py", "fused=True", "fused=False", set(METHODS_TRIED)),
    "their backbone": ("backbones/convnet.py", "bias=False", "bias=True", set(METHODS_TRIED)),
    "another backbone": ("backbones/bc_resnet.py", "bias=False", "bias=True", set()),
    "a default": ("personalizers/finetune.py", "steps: int = 10", "steps: int = 11", set()),
    "what settings compute": (
        "training/gate_settings.py",
        "min(budget, self.most)",
        "max(budget, self.most)",
        {"ppp", "gated", "ppp@persons", "ppp_dynamic"},
    ),
    "a message": ("comparison/global_models.py", "training {recipe.kind}, seed", "begins {recipe.kind}, seed", set()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_the_rows_stale_that_depend_on_it(experiment: Experiment, package: Path, edit: str):
    file, old, new, expected = EDITS[edit]
    before = _stamps(experiment)
    if old == new:  # of a function, whose body is to change
        _in_body(package / file, old)
    else:
        _replace(package / file, old, new)
    after = _stamps(experiment)
    changed = {method for method in before if before[method] != after[method]}
    assert changed == expected


def _in_body(path: Path, definition: str) -> None:
    text = path.read_text()
    at = text.index(definition)
    end = re.compile(r'"""\n').search(text, text.index('"""', at) + 3)
    assert end is not None
    path.write_text(f"{text[: end.end()]}    changed = 1 + 1\n{text[end.end() :]}")


def test_networks_keys_follow_what_trains_them(experiment: Experiment, digits: IdentityDataset, package: Path):
    before = _keys(experiment, digits)
    assert set(before) == {"full", "ppp", "gated", "ppp@persons"}
    _in_body(package / "gating/gate.py", "def logistic_noise")
    after = _keys(experiment, digits)
    assert {kind for kind in before if before[kind] != after[kind]} == {"ppp", "gated", "ppp@persons"}
    _in_body(package / "training/fit.py", "def fit")
    assert not set(_keys(experiment, digits).values()) & set(after.values())


def test_a_new_method_and_a_moved_module_change_nobodys(experiment: Experiment, package: Path):
    before = _stamps(experiment)
    shutil.copy(package / "personalizers/ocap.py", package / "personalizers/newest.py")
    (package / "pruning/budget.py").rename(package / "pruning/limits.py")
    for path in package.glob("*/*.py"):
        path.write_text(path.read_text().replace("from .budget import", "from .limits import"))
    assert _stamps(experiment) == before


def test_keys_have_the_kind_of_device_and_the_precision(
    experiment: Experiment, digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch
):
    on_cpu = _keys(experiment, digits)
    of_persons = {
        precision: _keys(experiment.replace(**{"person_training.precision": precision}), digits)
        for precision in ("auto", "32-true", "bf16-mixed")
    }
    assert of_persons["auto"] == of_persons["32-true"] == on_cpu
    others = {kind for kind, key in of_persons["bf16-mixed"].items() if key != on_cpu[kind]}
    assert others == {"ppp@persons"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not set(_keys(experiment, digits).values()) & set(on_cpu.values())


CELL = '''
from pppl.personalizers.personalizer import MethodOutput, Personalizer
POWER = 3
def helper(x):
    return x ** POWER  # a comment
class Mine(Personalizer):
    """A method."""
    share = 0.5
    def make(self, model, support, budget):
        return MethodOutput(module=helper(model.full) * self.share)
'''


def _defined(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> type:
    """As a notebook defines what a cell holds."""
    lines = text.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, name, (len(text), None, lines, name))
    space = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), space)
    return space["Mine"]  # type: ignore[return-value]


def test_a_method_of_a_notebook_follows_its_cells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def stamp(text: str, number: int) -> str:
        kind = _defined(text, f"<cell-{number}>", monkeypatch)
        return code_hash(whole=[kind])

    first = stamp(CELL, 1)
    assert stamp(CELL.replace("  # a comment", "").replace("A method.", "Mine."), 2) == first
    changes = [("POWER = 3", "POWER = 4"), ("x ** POWER", "x * POWER"), ("share = 0.5", "share = 0.25")]
    edited = {stamp(CELL.replace(*change), 3 + at) for at, change in enumerate(changes)}
    assert len(edited | {first}) == 4
    assert capsys.readouterr().err == ""


def test_without_source_bytecode_counts_and_that_is_told_once(capsys: pytest.CaptureFixture[str]):
    def made(text: str) -> FunctionType:
        space: dict = {"__name__": "__main__"}
        exec(text, space)
        return space["method"]

    one, same, other = made("def method(e):\n    return [e, 2]"), made("def method(e):  return [e, 2]"), None
    assert code_hash(one) == code_hash(one)
    assert capsys.readouterr().err.count("has no source") == 1
    assert code_hash(same) == code_hash(one)
    other = made("def method(e):\n    return [e, 3]")
    assert code_hash(other) != code_hash(one)


def test_the_stamp_of_a_registered_method_is_its_own(
    tiny: Experiment, digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch
):
    def stamps(share: float) -> dict:
        kind = _defined(CELL.replace("0.5", str(share)), f"<registered-{share}>", monkeypatch)
        monkeypatch.setitem(METHODS._entries, "mine", lambda experiment: [kind("mine", experiment)])
        return fingerprints(tiny.replace(methods=["mine", "mine+finetune", "l1"]), digits)

    one, other = stamps(0.5), stamps(0.75)
    assert one["l1"] == other["l1"]
    for method in ("mine", "mine+finetune"):
        assert one[method]["settings"] == other[method]["settings"]
        assert one[method]["code"] != other[method]["code"]
