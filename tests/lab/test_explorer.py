"""The explorer of a run: driven as a notebook drives it, and shown in a kernel and without one."""

import base64
import io
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image
from stub_training import sketching

from pppl import Experiment, UserError, compare, explore, load_run
from pppl.figures.person_panel import PersonPanel, wilson_interval
from pppl.lab import Explorer, LoadedRun

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tiny: Experiment, tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    out = tmp_path_factory.mktemp("run")
    methods = ["full", "full+classes", "full+classes@told", "ppp", "l1_local", "l1_local+finetune"]
    settings = {"full+classes@told": {"classes.rule": "told"}}
    with sketching():
        compare(tiny.replace(methods=methods, settings=settings, seeds=[0]), out)
    return load_run(out)


@pytest.fixture
def explorer(run: LoadedRun) -> Explorer:
    return explore(run)


def test_controls_offer_what_the_run_has(explorer: Explorer, run: LoadedRun):
    assert explorer.method.options == ("full", "ppp", "l1_local", "l1_local+finetune")
    assert [value for _, value in explorer.budget.options] == [0.2, 0.5]
    assert len(explorer.person.options) == len(run.persons)
    assert len({label for label, _ in explorer.person.options}) == len(run.persons)
    assert explorer.shots.options == (1, 2, 3, 4, 5)


def test_what_is_shown_is_what_the_table_says(explorer: Explorer, run: LoadedRun):
    table = run.table.query("control in ('', 'own')").set_index(["method", "persons", "identity", "budget"])
    for method in ("full", "full+classes", "ppp", "l1_local"):
        explorer.method.value, explorer.classes.value = method.removesuffix("+classes"), "+" in method
        for at, person in list(enumerate(run.persons))[::3]:
            for budget in (0.2, 0.5):
                explorer.person.value, explorer.budget.value = at, budget
                row = table.loc[(method, person.persons, person.identity, 1.0 if "full" in method else budget)]
                assert explorer.view.accuracy == pytest.approx(row["score"], abs=1e-7)
                assert explorer.view.accuracy_full == pytest.approx(row["score_full"], abs=1e-7)
                macs, params, size = explorer.view.costs
                assert (macs.part, params.part, size.part) == (row["macs"], row["params"], row["artifact_bytes"])
                assert explorer.view.queries == len(person.query)


def test_classes_are_corrected_and_named_where_that_is_ticked(explorer: Explorer):
    assert explorer.view.note == ""
    explorer.classes.value = True
    assert explorer.view.note.startswith("outputs are corrected for ")
    assert "full+classes, 10 support samples" in explorer.view.title


def test_fewer_shots_are_the_first_samples_of_each_class(explorer: Explorer, run: LoadedRun):
    explorer.method.value, explorer.shots.value = "ppp", 1
    classes = len(set(run.dataset.y[run.persons[0].support].tolist()))
    assert f" {classes} support samples" in explorer.view.title


def test_the_picture_follows_and_comes_back_at_once(explorer: Explorer):
    first = explorer.png
    explorer.method.value = "l1_local"
    with Image.open(io.BytesIO(explorer.png)) as image:
        assert image.format == "PNG"
        assert image.width > 800
    assert explorer.png != first
    explorer.method.value = "full"
    assert explorer.png is first, "it is kept"
    assert explorer._drawn.cache_info().maxsize, "and caches have a bound"


def test_what_cannot_be_made_is_told_and_the_picture_stays(explorer: Explorer):
    explorer.budget.options = [("too little", 0.0001)]  # as of a network that has a larger least budget
    before = explorer.png
    explorer.method.value = "ppp"
    assert "budget" in explorer._problem.value
    assert explorer.png is before
    explorer.method.value = "full"
    assert explorer._problem.value == ""


def test_without_ipywidgets_one_line_says_what_to_install(run: LoadedRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(UserError, match=r"^explore needs ipywidgets: run `pip install 'pppl\[lab\]'`$"):
        explore(run)


def test_data_without_classes_are_told(tiny: Experiment, tmp_path: Path):
    rng = np.random.default_rng(0)
    who = np.arange(80) % 8
    np.savez(tmp_path / "heights.npz", x=rng.random((80, 1, 8, 8), np.float32), y=rng.random(80), identity=who)
    with sketching():
        compare(tiny.replace(data__name=str(tmp_path / "heights.npz"), methods=["full"], seeds=[0]), tmp_path / "out")
    with pytest.raises(UserError, match="has none"):
        explore(load_run(tmp_path / "out"))


def test_a_kernel_shows_controls_and_a_picture_that_is_updated(run: LoadedRun, tmp_path: Path):
    sources = [
        f"from pppl import explore, load_run\nexplorer = explore(load_run({str(run.folder)!r}))",
        "explorer",
        "explorer.method.value = 'l1_local'\nexplorer.png[:8]",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    controls, picture = notebook.cells[1].outputs
    assert set(controls["data"]) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert controls["data"]["text/plain"].startswith("controls: run this cell")
    states = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert controls["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] in states
    shown = base64.b64decode(picture["data"]["image/png"])
    assert shown != explore(run).png, "the third cell chose another method"
    assert Image.open(io.BytesIO(shown)).format == "PNG"


def test_the_quick_start_ends_with_a_picture_of_it():
    notebook = nbformat.read(ROOT / "notebooks" / "00_quickstart.ipynb", as_version=4)
    (cell,) = (cell for cell in notebook.cells if "explore(run)" in cell.source)
    assert ["image/png" in output["data"] for output in cell.outputs] == [False, True]


def test_intervals_of_queries_are_wilsons():
    from scipy.stats import binomtest

    for right, count in ((0, 7), (3, 7), (7, 7), (90, 100)):
        expected = binomtest(right, count).proportion_ci(method="wilson")
        assert wilson_interval(right, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
    view = PersonPanel(title="ann", confusion=np.diag([9, 8]), classes=("a", "b"), right_full=16)
    assert view.interval[1] == 1.0
    assert view.interval_full[1] < 1.0
