"""Comparisons of ways to adapt an encoder, on a tiny BERT and tasks of sixty sentences."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_encoder import make_encoder, write_task

from pppl import TextExperiment, compare_tasks
from pppl.cli.command import main
from pppl.comparison.confirm import confirm
from pppl.comparison.result_kinds import KINDS, find_faults
from pppl.comparison.task_memory import MemoryRun, measure_memory, memory_journal
from pppl.comparison.task_plan import COLUMNS
from pppl.system.errors import Differs, UserError
from pppl.system.memory import PeakMemory
from pppl.tables.provenance import read_run, update_run
from pppl.tables.task_statistics import AVERAGE, Scoring, summarize_tasks
from pppl.text.adapt import Prepared, prepare
from pppl.text.metrics import METRICS

pytest.importorskip("transformers", reason="the extra `text` is not installed")

METHODS = ("full", "bias_norm", "gradient_mask", "diff")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> TextExperiment:
    folder = tmp_path_factory.mktemp("tasks")
    tasks = (write_task(folder / "two.csv"), write_task(folder / "three.csv", labels=3))
    return TextExperiment(
        name="tiny",
        encoder=make_encoder(folder / "encoder"),
        tasks=tasks,
        methods=METHODS,
        epochs=2,
        batch_size=8,
        search=(1.0, 30.0),
        seeds=(0, 1),
    )


@pytest.fixture(scope="module")
def results(experiment: TextExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    compare_tasks(experiment, folder)
    return folder


def test_the_best_on_validation_is_what_other_seeds_run(experiment: TextExperiment, results: Path):
    table = pd.read_csv(results / "table.csv.gz")
    assert list(table.columns) == list(COLUMNS)
    for (task, method), rows in table.groupby(["task", "method"]):
        searched = rows[rows["seed"] == 0]
        assert len(searched) == 2, f"{method} on {task} tries every learning rate with the first seed"
        best = searched.loc[searched["validation"].idxmax(), "learning_rate"]
        chosen = rows[rows["chosen"]]
        assert chosen["learning_rate"].tolist() == [best, best]
        assert chosen["seed"].tolist() == [0, 1]
        assert len(rows) == 3
    assert set(table["method"]) == set(METHODS)
    assert table["peak_memory_mib"].min() > 0
    sparse = table[table["method"].isin(["gradient_mask", "diff"])]
    assert (sparse["task_bytes"] < 0.05 * table.loc[table["method"] == "full", "task_bytes"].min()).all()


def test_the_summary_is_of_the_chosen_rows(experiment: TextExperiment, results: Path):
    table, summary = (pd.read_csv(results / name) for name in ("table.csv.gz", "summary.csv"))
    scores = table[table["chosen"]].groupby(["task", "method"])["score"].mean().to_dict()
    for row in summary.to_dict("records"):
        if row["task"] == AVERAGE:
            expected = np.mean([scores[task, row["method"]] for task in experiment.tasks])
        else:
            expected = scores[row["task"], row["method"]]
        assert row["score"] == pytest.approx(expected)
        assert row["score_low"] <= row["score"] <= row["score_high"]
        assert row["n"] == 2
    full = dict(summary.loc[summary["method"] == "full", ["task", "score"]].itertuples(index=False))
    for row in summary[summary["method"] != "full"].to_dict("records"):
        assert row["minus_full"] == pytest.approx(row["score"] - full[row["task"]])
        assert row["minus_full_low"] <= row["minus_full"] <= row["minus_full_high"]
    assert set(summary.loc[summary["minus_diff"].isna(), "method"]) == {"diff"}


def _forget(folder: Path) -> None:
    """As of an earlier version, which kept no record of what it wrote."""
    for path in folder.glob(".pppl-written*"):
        path.unlink()


@pytest.mark.slow
def test_stamps_are_renewed_where_runs_are_what_they_were(experiment: TextExperiment, results: Path, tmp_path: Path):
    folder = Path(shutil.copytree(results, tmp_path / "copy"))
    stamps = read_run(folder)["fingerprints"]
    assert find_faults(folder, KINDS) == []

    def before(told: dict) -> dict:
        return {**told, "code": "before"}

    update_run(folder, fingerprints={method: before(stamp) for method, stamp in stamps.items()})
    for name in ("journal.jsonl", "memory.jsonl"):
        rows = [json.loads(line) for line in (folder / name).read_text().splitlines() if line]
        marked = [json.dumps({**row, "fingerprint": before(row["fingerprint"])}) for row in rows]
        (folder / name).write_text("\n".join(marked) + "\n")
    _forget(folder)
    assert ["of other code" in line for line in find_faults(folder, KINDS)] == [True]
    table = pd.read_csv(folder / "table.csv.gz")
    other = table.assign(score=table["score"] + 0.25)
    other.to_csv(folder / "table.csv.gz", index=False)
    with pytest.raises(Differs, match="nothing renewed"):
        confirm(folder)
    shutil.copy(results / "table.csv.gz", folder)
    _forget(folder)
    assert f"{len(METHODS)} methods are what they were" in confirm(folder)
    assert read_run(folder)["fingerprints"] == stamps
    assert find_faults(folder, KINDS) == []
    run = (folder / "run.json").read_bytes()
    compare_tasks(experiment, folder)
    assert (folder / "run.json").read_bytes() == run, "nothing was left to do"


def test_tables_of_tasks_that_do_not_belong_together_are_told(results: Path, tmp_path: Path):
    folder = Path(shutil.copytree(results, tmp_path / "copy"))
    table, summary = (pd.read_csv(folder / name) for name in ("table.csv.gz", "summary.csv"))
    table.drop(index=table.index[table["chosen"]][0]).to_csv(folder / "table.csv.gz", index=False)
    assert "lacks 1 of 16 chosen runs" in find_faults(folder, KINDS)[0]
    table.to_csv(folder / "table.csv.gz", index=False)
    summary.loc[1, "score"] += 0.01
    summary.to_csv(folder / "summary.csv", index=False)
    assert "bias_norm on" in find_faults(folder, KINDS)[0]
    summary.drop(columns="score_low").to_csv(folder / "summary.csv", index=False)
    assert "score_low" in find_faults(folder, KINDS)[0]


@pytest.mark.usefixtures("sketched")
def test_a_comparison_goes_on_where_it_was_killed(experiment: TextExperiment, results: Path, tmp_path: Path):
    lines = [line for line in (results / "journal.jsonl").read_text().splitlines(keepends=True) if line.strip()]
    (tmp_path / "journal.jsonl").write_text("".join(lines[: len(lines) - 3]) + lines[-3][:40])
    shutil.copy(results / "memory.jsonl", tmp_path)
    (tmp_path / "deltas").symlink_to(results / "deltas")
    compare_tasks(experiment, tmp_path, workers=2)
    assert json.loads((tmp_path / "run.json").read_text())["runs_computed"] == 3
    measured = ["train_seconds"]
    for name in ("table.csv.gz", "summary.csv"):
        before, after = (pd.read_csv(folder / name).drop(columns=measured) for folder in (results, tmp_path))
        pd.testing.assert_frame_equal(before, after)
    run = (tmp_path / "run.json").read_bytes()
    compare_tasks(experiment, tmp_path)
    assert (tmp_path / "run.json").read_bytes() == run, "nothing was left to do, so nothing new is told"


@pytest.mark.usefixtures("sketched")
def test_a_task_whose_file_changed_is_run_again(experiment: TextExperiment, tmp_path: Path):
    task = write_task(tmp_path / "mine.csv")
    one = experiment.replace(tasks=[task], methods=["bias_norm"], search=[1.0], seeds=[0])
    compare_tasks(one, tmp_path)
    first = json.loads((tmp_path / "run.json").read_text())
    write_task(tmp_path / "mine.csv", rows=40)
    with pytest.raises(UserError, match=r"holds results on other texts of .*mine\.csv"):
        compare_tasks(one, tmp_path)
    (tmp_path / "run.json").unlink()  # by somebody who does not want them
    compare_tasks(one, tmp_path)
    second = json.loads((tmp_path / "run.json").read_text())
    assert second["runs_computed"] == 1
    assert first["dataset_sha256"] != second["dataset_sha256"]


def test_tasks_in_a_stream_are_not_forgotten_and_cost_a_delta_each(experiment: TextExperiment, results: Path):
    stream, table = (pd.read_csv(results / name) for name in ("stream.csv", "table.csv.gz"))
    learnt = table[table["chosen"] & (table["method"] == "diff") & (table["seed"] == 0)].set_index("task")
    assert stream["task"].tolist() == list(experiment.tasks)
    assert stream["score"].tolist() == stream["score_at_end"].tolist()
    assert stream["score"].tolist() == pytest.approx([learnt.loc[task, "score"] for task in experiment.tasks])
    told = stream["task_bytes"].to_numpy() - [learnt.loc[task, "task_bytes"] for task in experiment.tasks]
    assert all(told > 0), "a file tells what the network's outputs mean"
    assert all(told < 400)
    base = stream["copies_bytes"].iloc[0]
    assert stream["stored_bytes"].tolist() == (base + stream["task_bytes"].cumsum()).tolist()
    assert stream["copies_bytes"].tolist() == [base, 2 * base]


def test_figures_are_drawn_again_from_the_tables(results: Path):
    names = {f"{name}.{suffix}" for name in ("task_scores", "storage") for suffix in ("png", "pdf", "txt")}
    assert {path.name for path in (results / "figures").glob("[!.]*")} == names
    before = (results / "figures" / "task_scores.pdf").read_bytes()
    assert main(["figures", str(results)]) == 0
    assert (results / "figures" / "task_scores.pdf").read_bytes() == before


def _prepared(experiment: TextExperiment) -> dict[str, Prepared]:
    return {task: prepare(experiment.encoder, task) for task in experiment.tasks}


def _tests(prepared: dict[str, Prepared]) -> dict[str, Scoring]:
    return {
        name: Scoring(targets=each.test.targets.numpy(), metric=METRICS["accuracy"]) for name, each in prepared.items()
    }


def _rows(prepared: dict[str, Prepared], right: dict[str, float]) -> list[dict[str, object]]:
    """Predictions right so often, by method, wrong ones different for each seed."""
    rows = []
    for task, of_task in prepared.items():
        targets = of_task.test.targets
        for method, rate in right.items():
            for seed in range(3):
                generator = torch.Generator().manual_seed(seed)
                wrong = torch.randperm(len(targets), generator=generator)[: round((1 - rate) * len(targets))]
                predicted = targets.clone()
                predicted[wrong] = (predicted[wrong] + 1) % of_task.task.outputs
                score = float((predicted == targets).float().mean())
                names = {
                    "task": task,
                    "encoder": "e",
                    "method": method,
                    "rate": 0.1,
                    "seed": seed,
                    "metric": "accuracy",
                }
                costs = dict.fromkeys(("values", "task_bytes", "peak_memory_mib", "train_seconds"), 1.0)
                rows.append(names | costs | {"metric": "accuracy", "score": score, "predicted": predicted.tolist()})
    return rows


def test_intervals_are_paired(experiment: TextExperiment):
    prepared = _prepared(experiment)
    summary = summarize_tasks(_rows(prepared, {"full": 1.0, "diff": 0.5, "lora": 0.5}), _tests(prepared))
    full, diff, lora = (summary[summary["method"] == name].iloc[-1] for name in ("full", "diff", "lora"))
    assert full["task"] == diff["task"] == AVERAGE
    assert (full["score_low"], full["score"], full["score_high"]) == (1, 1, 1)
    assert 0.2 < diff["score_low"] < 0.5 < diff["score_high"] < 0.8
    assert diff["minus_full_low"] == pytest.approx(diff["score_low"] - 1)
    assert lora["minus_diff_low"] == lora["minus_diff_high"] == 0, "the same predictions, whatever is drawn"


def test_each_task_is_resampled_for_itself(experiment: TextExperiment):
    """Whether tasks fail on examples of the same number says nothing of their average."""
    prepared = _prepared(experiment)
    widths = []
    for wrong in ((0, 0), (0, 1)):
        rows = _rows(prepared, {"full": 1.0})
        for row in rows:
            place = wrong[experiment.tasks.index(str(row["task"]))]
            predicted = np.array(row["predicted"])
            predicted[place] = (predicted[place] + 1) % 2
            row |= {"predicted": predicted.tolist(), "score": 1 - 1 / len(predicted)}
        average = summarize_tasks(rows, _tests(prepared)).iloc[-1]
        widths.append(average["score_high"] - average["score_low"])
    assert widths[0] == pytest.approx(widths[1], abs=1 / 12 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods=[lor]"], "unknown text method 'lor': did you mean 'lora'?"),
        (["--tasks=[glue/COLA]"], "unknown task 'glue/COLA': did you mean 'glue/CoLA'?"),
        (["--rate=2"], "rate is 2.0: a fraction in (0, 1]"),
        (["--epochs=0"], "epochs is 0: at least 1"),
        (["--search=[]"], "search is empty"),
        (["--search=[0]"], "search is [0.0]: each more than 0"),
        (["--seeds=[0, 0]"], "seeds is [0, 0]: name each once"),
        (["--epochs_of.glue/COLA=3"], "unknown task in epochs_of 'glue/COLA'"),
        (["--search_tasks=[glue/RTE]"], "unknown task in search_tasks 'glue/RTE'"),
        (["--persons.count=3"], "unknown key 'persons.count'"),
        (["--precision=16"], "precision: expected one of ['32-true', 'bf16-mixed']"),
        (["--methods=[lora]", "--rate=1e-9"], "rank 1 has"),
        (["--workers=0"], "--workers is 0: at least 1"),
    ],
)
def test_bad_input_is_one_line(
    experiment: TextExperiment,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    path = tmp_path / "tasks.yaml"
    path.write_text(f"encoder: {experiment.encoder}\ntasks: ['{experiment.tasks[0]}']\n")
    assert main(["tasks", str(path), *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pppl: error: ")
    assert message in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
def test_compiling_without_a_compiler(experiment: TextExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no C\+\+ compiler: install g\+\+, or set compiled to false"):
        compare_tasks(experiment.replace(compiled=True), tmp_path)


@pytest.mark.usefixtures("sketched")
def test_a_delta_that_is_gone_is_learnt_again(experiment: TextExperiment, results: Path, tmp_path: Path):
    for name in ("journal.jsonl", "memory.jsonl"):
        shutil.copy(results / name, tmp_path)
    compare_tasks(experiment, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["runs_computed"] == len(experiment.tasks)
    assert (tmp_path / "stream.csv").read_bytes() == (results / "stream.csv").read_bytes()


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("search", [(0.01, 0.1, 1.0), (1.0, 1e36, 1e37)])
def test_a_search_goes_on_beyond_its_end(
    experiment: TextExperiment, search: tuple[float, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = experiment.replace(tasks=experiment.tasks[:1], methods=["full"], search=search, seeds=[0])
    compare_tasks(one.replace(beyond=0), tmp_path)
    table = pd.read_csv(tmp_path / "table.csv.gz").sort_values("learning_rate")
    rates, best = table["learning_rate"].tolist(), table["validation"].max()
    at_end = [validation == best for validation in table["validation"].iloc[[0, 2]]]
    beyond = [rates[0] ** 2 / rates[1], rates[2] ** 2 / rates[1]]
    ends = [rate for rate, here in zip(beyond, at_end, strict=True) if here]
    assert len(ends) > 0, "this search has its best rate at an end"
    assert "the best learning rate is an end of those tried" in capsys.readouterr().err
    compare_tasks(one, tmp_path)
    again = pd.read_csv(tmp_path / "table.csv.gz")
    assert again["learning_rate"].tolist()[:3] == [rate for rate in again["learning_rate"] if rate in rates]
    assert again["learning_rate"].iloc[3:].tolist() == pytest.approx(ends[:1])
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["runs_computed"] == 1


def test_one_step_is_too_few_for_two_stages(experiment: TextExperiment, tmp_path: Path):
    few = experiment.replace(tasks=experiment.tasks[:1], epochs=1, examples=8, methods=["diff"])
    with pytest.raises(UserError, match=r"one step is all, but some methods have two stages: give more epochs"):
        compare_tasks(few, tmp_path)


@pytest.mark.usefixtures("sketched")
def test_deltas_of_two_rates_live_in_one_folder(experiment: TextExperiment, tmp_path: Path):
    one = experiment.replace(tasks=experiment.tasks[:1], methods=["diff"], search=[1.0], seeds=[0])
    for rate in (0.005, 0.1, 0.005):
        compare_tasks(one.replace(rate=rate), tmp_path)
        table, stream = (pd.read_csv(tmp_path / name) for name in ("table.csv.gz", "stream.csv"))
        assert 0 < stream["task_bytes"].item() - table["task_bytes"].item() < 400


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("method", ["full", "gradient_mask", "diff"])
def test_a_run_that_diverges_is_a_row_and_no_end(
    experiment: TextExperiment, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = experiment.replace(tasks=experiment.tasks[:1], methods=[method], search=[1e36, 1.0], seeds=[0])
    summary = compare_tasks(one, tmp_path)
    assert f"{method} on {one.tasks[0]} diverged at a learning rate of" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "table.csv.gz")
    assert table["validation"].isna().tolist() == [True, False]
    assert table["chosen"].tolist() == [False, True]
    assert summary["score"].tolist() == pytest.approx([table["score"].iloc[1]])
    hopeless = compare_tasks(one.replace(search=[1e36]), tmp_path)
    assert hopeless["score"].tolist() == pytest.approx([table["score"].iloc[0]]), "it always says the same"


@pytest.mark.slow
def test_memory_does_not_depend_on_what_ran_before(experiment: TextExperiment, tmp_path: Path):
    """Nor is it more for a few values than for all: the encoder is in memory once."""
    task, names = experiment.tasks[0], ("full", "lora", "full")
    one = experiment.replace(encoder="minilm-l6", precision="bf16-mixed")
    folders = [tmp_path / str(index) for index in range(3)]
    for folder, method in zip(folders, names, strict=True):
        folder.mkdir()
        measure_memory(MemoryRun(experiment=one, task=task, method=method, folder=folder, fingerprint="any"))
        torch.ones(2**24).sum()  # whatever this process does in between
    journals = [memory_journal(folder, {(task, name): "any"}) for folder, name in zip(folders, names, strict=True)]
    full, lora, again = (next(iter(journal.rows.values()))["peak_memory_mib"] for journal in journals)
    assert again == pytest.approx(full, rel=0.1)
    assert 0 < lora < 0.6 * full


def test_peak_memory_is_what_came_to_it():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kept = torch.ones(2**20, device=device)
    with PeakMemory() as large:
        assert torch.ones(50 * 2**20, device=device).sum() > 0
    with PeakMemory() as small:
        kept += 1
    assert large.bytes == pytest.approx(200 * 2**20, rel=0.2)
    assert small.bytes < 20 * 2**20
