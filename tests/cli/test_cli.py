import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pppl import Experiment
from pppl.cli.command import main
from pppl.cli.demo import demo_experiment
from pppl.data import SOURCES
from pppl.personalizers import make_personalizers

ROOT = Path(__file__).parents[2]


def test_the_demo_has_every_family_the_free_baseline_and_controls():
    demo, digits = demo_experiment({}), Experiment.load(ROOT / "sweeps" / "compare" / "digits.yaml")
    personalizers = make_personalizers(demo)
    budgets = {each.method: each.budgets for each in personalizers}
    assert set(budgets) < {each.method for each in make_personalizers(digits)}
    assert {"full+classes", "ppp@persons+classes", "ppp@nothing+classes", "l1_local+retrain+classes"} <= set(budgets)
    assert {"own", "other", "random"} <= {each.control for each in personalizers if each.method == "ppp@persons"}
    assert len(demo.seeds) >= 3, "intervals over networks, too"
    assert ("ppp@persons+classes", "l1_local+retrain+classes") in {*map(tuple, demo.questions.values())}
    assert demo.reference == digits.reference == "full+classes"
    assert demo.person_training.epochs == demo.retrain.epochs, "equal effort"
    assert demo.own_settings("ppp@tenth")["ppp.epochs"] == demo.training.epochs + demo.person_training.epochs
    assert demo_experiment({"persons.count": 2}).persons.count == 2
    other = {each.budgets for each in make_personalizers(demo_experiment({"budgets": [0.3]}))}
    assert other == {(1.0,), (0.3,)}


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a bad command prints, checked to be one, on stderr, with exit code 2."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("pppl: error: ")
    return captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compare", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    code = (
        "import sys, pppl.cli\n"
        f"try: pppl.cli.main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'wandb', 'matplotlib', 'scipy', 'pytorch_lightning', 'jsonargparse'}\n"
        "heavy |= {'pooch', 'requests', 'soundfile', 'PIL'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_importing_the_package_imports_no_torch():
    code = "import sys, pppl; pppl.Experiment; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["comprae"], "unknown command 'comprae': did you mean 'compare'?"),
        (["compare"], "the following arguments are required: EXPERIMENT.yaml"),
        (["compare", "none.yaml"], "cannot read none.yaml"),
        (["compare", "TINY", "--method", "[ppp]"], "unknown key 'method': did you mean 'methods'?"),
        (["compare", "TINY", "--methods", "[pppp]"], "unknown method 'pppp': did you mean 'ppp'?"),
        (["compare", "TINY", "--data", "digit"], "unknown data set 'digit': did you mean 'digits'?"),
        (["compare", "TINY", "--budgets", "[0]"], "a budget is a fraction in (0, 1]"),
        (["compare", "TINY", "--budgets=[0.0001]"], "the least possible budget is"),
        (["compare", "TINY", "--persons.shots", "0"], "a support set needs at least 1 sample"),
        (["compare", "TINY", "--training.epochs"], "--training.epochs has no value"),
        (["compare", "TINY", "--training.epochs", "--seeds", "[1]"], "--training.epochs has no value"),
        (["compare", "TINY", "extra"], "unexpected argument 'extra'"),
        (["compare", "--persons.shots", "0", "TINY"], "a support set needs at least 1 sample"),
        (["compare", "--fast", "--training.epochs", "TINY"], "the following arguments are required: EXPERIMENT.yaml"),
        (["data", "check", "--data.column.label", "x", "TINY"], "unknown key 'data.column.label'"),
        (["compare", "TINY", "--seeds", "[1"], "not a value that YAML can read"),
        (["compare", "TINY", "--workers", "0"], "--workers is 0: at least 1"),
        (["compare", "TINY", "--seeds=[-1]"], "seeds holds -1"),
        (["compare", "TINY", "--training.weight_decay=-1"], "training.weight_decay is -1.0"),
        (["compare", "TINY", "--backbone.options.widths=[]"], "backbone convnet refuses"),
        (["compare", "TINY", "--backbone.options.dims=3"], "option dims = 3, but the data have 2: leave it out"),
        (["compare", "TINY", "--training.augment=[flop]"], "unknown augmentation 'flop': did you mean 'flip'?"),
        (["compare", "TINY", "--backbone.weights=w.npz"], "backbone.weights is 'w.npz': no such file"),
        (["compare", "TINY", "--data.classes=11"], "data.classes is 11, but digits has 10"),
        (["compare", "TINY", "--persons.protocol=person"], "has no person labels"),
        (["compare", "TINY", "--fast"], "has no section `fast`"),
        (["figures", "none"], "cannot read none/summary.csv: No such file or directory"),
        (["figures", "TINY"], "Not a directory"),
        (["bench", "surgery", "--json", "TINY/bench.json"], "choose another folder"),
        (["figures", "none", "--x", "1"], "unknown argument '--x'"),
        (["data", "lst"], "invalid choice: 'lst'"),
        (["bench", "gatin"], "unknown benchmark 'gatin': did you mean 'gating'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str], message: str, tiny_yaml: Path, capsys: pytest.CaptureFixture[str]
):
    assert message in _fails(capsys, *(a.replace("TINY", str(tiny_yaml)) for a in arguments))


def test_a_folder_that_cannot_be_written(tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    for command in ("compare", "train"):
        error = _fails(capsys, command, str(tiny_yaml), "--out", str(tmp_path / "file" / "out"))
        assert "choose another folder" in error


def test_corrupted_tables_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    header = "persons,method,control,budget,macs_fraction,n,score,score_low,score_high\n"
    for content in (
        "",
        "not,a,table\n1,2\n",
        header + "2 classes,ppp,own,0.1,0.1,1,1\n",
        header + "2 classes,ppp,own,0.1,x,1,1,1,1\n",
    ):
        (tmp_path / "summary.csv").write_text(content)
        error = _fails(capsys, "figures", str(tmp_path))
        assert "summary.csv is corrupted" in error
        assert "pppl compare" in error


def test_compare_train_and_figures_run(tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    settings = ["--seeds", "[0]", "--methods=[ppp, l1]", "--persons.classes", "[2]"]
    assert main(["compare", str(tiny_yaml), *settings, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ppp own" in printed
    assert str(out) in printed
    figure = out / "figures" / "gates.pdf"
    before = figure.read_bytes()
    figure.unlink()
    assert main(["figures", str(out)]) == 0
    names = ("accuracy_vs_macs", "iso_macs", "personal_gain", "retraining", "gates")
    assert capsys.readouterr().out.split() == [str(out / "figures" / f"{name}.png") for name in names]
    assert figure.read_bytes() == before
    assert main(["train", str(tiny_yaml), *settings, "--out", str(tmp_path / "trained")]) == 0
    assert "val_accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("sketched")
def test_the_demo_ends_with_a_table_an_answer_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    methods = "--methods=[full, full+classes, l1_local, l1_local+retrain+classes, ppp@persons+classes, ppp@persons]"
    quick = ["--seeds=[0]", "--persons.count=2", "--budgets=[0.1]", "--training.epochs=1", "--retrain.epochs=1"]
    assert main(["demo", methods, *quick, "--person_training.epochs=1", "--out", str(out), "--workers=1"]) == 0
    told = capsys.readouterr()
    assert "pppl: 6 methods on digits, in three minutes" in told.err
    lines = told.out.splitlines()
    assert lines[0] == "Accuracy in % [95 % interval over persons and seeds]; 2 persons, 2 person-seed pairs"
    names = [line.split("] ")[-1].strip() for line in lines if line.startswith("  ")]
    controls = [f"ppp@persons+classes {control}" for control in ("own", "other", "random")]
    assert names == ["full", "full+classes", "l1_local", "l1_local+retrain+classes", *controls]
    assert "Answer: at 10% of the MACs, a mask for each person has " in told.out
    assert "Their own mask less that of another person: " in told.out
    assert f"as one page: {out / 'report.html'}" in told.out
    assert "ppp@persons" in (out / "report.html").read_text()


def test_ctrl_c_ends_with_one_line(tiny_yaml: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    def interrupt(*_args, **_kwargs) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pppl.comparison.person_plan.global_model", interrupt)
    assert main(["compare", str(tiny_yaml), "--out", str(tmp_path / "out"), "--workers", "1"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("pppl: interrupted; finished work is kept")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["train"], ["compare", "--workers", "2"]])
def test_ctrl_c_in_mid_training_is_told_in_one_line(command: list[str], tiny_yaml: Path, tmp_path: Path):
    verb, *options = command
    arguments = [str(tiny_yaml), "--training.epochs", "2000", "--out", str(tmp_path / "out"), *options]
    environment = os.environ | {"PPPL_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pppl", verb, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background jobs ignore
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("pppl: training full"):
                break
        while not list((tmp_path / "out" / "training").glob("*/metrics.csv")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("pppl: interrupted; finished work is kept")
    assert not list((tmp_path / "cache").glob("*"))


def test_bench_writes_ratios_against_named_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "bench.json"
    assert main(["bench", "surgery", "--json", str(path)]) == 0
    (result,) = json.loads(path.read_text())
    assert list(result) == ["name", "value", "unit", "peer", "goal", "holds"]
    assert result["value"] > 0
    assert result["holds"] == (result["value"] <= 1)
    assert "surgery" in capsys.readouterr().out


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """30 subjects, 6 activities, 8 recordings of each: series of 9 channels and 128 steps."""
    subject, activity, _ = np.indices((30, 6, 8)).reshape(3, -1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(subject), 9, 128)) + 0.3 * activity[:, None, None] * np.sin(np.arange(128) / 9)
    path = tmp_path / "my.npz"
    np.savez(path, x=x.astype(np.float32), y=activity, classes=list("abcdef"), identity=subject)
    return path


@pytest.mark.usefixtures("sketched")
def test_an_experiment_runs_on_a_users_own_series(series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    quick = ["--seeds=[0]", "--training.epochs=2", "--persons.count=3", "--finetune.pruned_steps=2", "--budgets=[0.2]"]
    experiment = str(ROOT / "sweeps" / "compare" / "digits.yaml")
    methods = "--methods=[full, ppp, ocap, l1_local+finetune]"
    assert main(["compare", "--data", str(series), experiment, methods, *quick]) == 0
    table = pd.read_csv(tmp_path / "results" / "digits-my" / "table.csv.gz")
    assert set(table["dataset"]) == {"my"}
    people = table.groupby("persons")["seen"].unique().apply(sorted).to_dict()
    assert people == {f"person+{size} classes": [False, True] for size in (2, 5)}
    speakers = {seen: set(rows["identity"].str.split(":").str[0]) for seen, rows in table.groupby("seen")}
    assert not speakers[True] & speakers[False]
    assert (table["macs_fraction"] <= table["budget"]).all()


@pytest.mark.usefixtures("sketched")
def test_people_with_too_few_samples_become_classes(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    experiment = [
        "compare",
        "--data",
        str(series),
        str(ROOT / "sweeps" / "compare" / "digits.yaml"),
        "--methods=[full]",
    ]
    quick = ["--seeds=[0]", "--training.epochs=1", "--persons.count=3", "--persons.shots=8", "--persons.classes=[2, 6]"]
    assert main([*experiment, *quick]) == 0
    notices = [line for line in capsys.readouterr().err.splitlines() if "left out" in line or "instead" in line]
    assert len(notices) == 2
    assert "classes with 8 training and 1 test samples are wanted" in notices[0]
    assert "left out with seed 0: my has 1 persons of 6 classes, and `other` needs 2" in notices[1]
    assert set(pd.read_csv(tmp_path / "results" / "digits-my" / "table.csv.gz")["persons"]) == {"2 classes"}
    assert main([*experiment, *quick, "--persons.protocol=person"]) == 2
    assert "lower persons.shots (now 8)" in capsys.readouterr().err


def test_a_mistake_is_not_taken_for_too_few_people(series: Path, capsys: pytest.CaptureFixture[str]):
    experiment = str(ROOT / "sweeps" / "compare" / "digits.yaml")
    assert "unknown method 'foo'" in _fails(capsys, "compare", "--data", str(series), experiment, "--methods=[foo]")


@pytest.mark.usefixtures("sketched")
def test_a_fast_form_changes_what_the_file_says(
    tiny_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    with tiny_yaml.open("a") as file:
        file.write("fast:\n  persons.count: 3\n  persons.classes: [2]\n  methods: [full]\n")
    assert main(["compare", str(tiny_yaml), "--fast", "--seeds=[0]"]) == 0
    assert "a preview: the section `fast` of" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "results" / "tiny-fast" / "table.csv.gz")
    assert len(table) == 3


@pytest.mark.usefixtures("sketched")
def test_people_of_a_real_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    if not SOURCES["arabic_speech_commands"].present():
        pytest.skip(str(SOURCES["arabic_speech_commands"].missing("arabic_speech_commands")))
    experiment = str(ROOT / "sweeps" / "compare" / "arabic_kws_res15.yaml")
    quick = ["--fast", "--data.classes=3", "--training.epochs=1", "--persons.classes=[2]", "--methods=[full, ppp]"]
    quick += ["--backbone.name=ds_cnn_s", "--backbone.options={}"]
    assert main(["compare", experiment, *quick, "--out", str(tmp_path / "out"), "--workers=1"]) == 0
    printed = capsys.readouterr().out
    assert "person+2 classes, seen" in printed
    assert "person+2 classes, unseen" in printed
    table = pd.read_csv(tmp_path / "out" / "table.csv.gz")
    assert set(table["seen"]) == {True, False}
    assert set(table["backbone"]) == {"ds_cnn_s"}
