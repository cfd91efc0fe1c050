"""Tasks from files as their sources publish them, made small by the test; the real ones where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl.system.errors import UserError
from pppl.text.metrics import METRICS
from pppl.text.text_tasks import Examples, TextTask, load_task, task_names


@pytest.fixture
def glue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    return tmp_path / "glue"


def _write(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")


def test_a_task_without_header(glue: Path):
    _write(glue / "CoLA" / "train.tsv", *(f"gj04\t{i % 2}\t\tSentence {i}." for i in range(20)))
    _write(glue / "CoLA" / "dev.tsv", 'gj04\t0\t*\tThe "quoted one.', "gj04\t1\t\tFine.")
    task = load_task("glue/CoLA")
    assert (task.metric, task.labels, task.outputs) == ("matthews", ("0", "1"), 2)
    assert (len(task.train), len(task.validation)) == (18, 2)
    assert sorted(task.train.texts + task.validation.texts) == sorted((f"Sentence {i}.",) for i in range(20))
    assert task.test.texts == [('The "quoted one.',), ("Fine.",)], "quotes mean nothing in GLUE's files"
    assert task.test.targets.tolist() == [0, 1]
    held = {text for (text,) in task.validation.texts}
    assert held == {text for (text,) in load_task("glue/CoLA").validation.texts}, "always the same"


def test_pairs_and_regression(glue: Path):
    header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
    rows = [f"{i}\ta\tb\tc\td\te\tf\tOne {i}\tTwo {i}\t{i / 4:.3f}" for i in range(20)]
    for part in ("train", "dev"):
        _write(glue / "STS-B" / f"{part}.tsv", header, *rows)
    task = load_task("glue/STS-B")
    assert (task.labels, task.outputs, task.metric) == ((), 1, "Pearson and Spearman")
    assert task.test.texts[3] == ("One 3", "Two 3")
    assert task.test.targets[3].item() == 0.75


def test_intents_of_all_domains_or_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    folder = tmp_path / "clinc150"
    folder.mkdir()
    data = {
        part: [["send money", "transfer"], ["hello", "greeting"], ["pay", "bill"]] for part in ("train", "val", "test")
    }
    (folder / "data_full.json").write_text(json.dumps(data | {"oos_test": [["what", "oos"]]}))
    (folder / "domains.json").write_text(json.dumps({"banking": ["transfer", "bill"], "small_talk": ["greeting"]}))
    task = load_task("clinc150")
    assert task.labels == ("bill", "greeting", "transfer")
    assert task.test.targets.tolist() == [2, 1, 0]
    banking = load_task("clinc150/banking")
    assert banking.labels == ("bill", "transfer")
    assert banking.test.texts == [("send money",), ("pay",)]
    (folder / "domains.json").write_text("[]")
    with pytest.raises(UserError, match=r"is damaged .* fetch CLINC150"):
        load_task("clinc150/banking")


def test_a_table_of_ones_own(tmp_path: Path):
    path = tmp_path / "mine.csv"
    _write(path, "text,label", *(f'"Text,\n{i}",{"yes" if i % 2 else "no"}' for i in range(50)))
    task = load_task(str(path))
    assert (task.name, task.labels) == ("mine", ("no", "yes"))
    assert [len(part) for part in (task.train, task.validation, task.test)] == [41, 4, 5]
    assert ("Text,\n7",) in task.train.texts + task.validation.texts + task.test.texts
    path.write_bytes(b"text,label\n" + b'"a\rb",x\r\nc,y\r\n' * 2)
    assert ("a\rb",) in (task := load_task(str(path))).train.texts + task.validation.texts + task.test.texts
    _write(path, "text,text2,label,split", "a,b,x,train", "c,d,y,train", "e,,x,validation", "g,h,y,test")
    task = load_task(str(path))
    assert (task.train.texts, task.validation.texts) == ([("a", "b"), ("c", "d")], [("e", "")])
    for rows, message in (
        (["text,lable", "a,b"], "has no column 'label': its columns are lable, text"),
        (["text,lable"], "has no column 'label': its columns are lable, text"),
        ([], "has no column 'text': its columns are missing: the first line names them"),
        (["text,label", "a,b"], "has 1 labels: a task needs 2"),
        (["text,label,split", "a,x,train", "b,y,test"], "mine.csv: 1 examples are too few to hold some back"),
        (["text,label,split", "a,x,train", "b,y,tset"], "unknown split in .*mine.csv 'tset': did you mean 'test'"),
        (["text,label,split", "a,x,train", "b,y,train"], "has no rows whose split is test"),
        (["text,label", "a,x", "only text"], "line 3: not as many fields as the header has"),
        (["text,label", "a,x", "one, two,y"], "line 3: not as many fields as the header has"),
        (["text,label", "a,x", "b,"], "line 3: the label is empty"),
        (["text,label", "a,x", f"{'b' * 11_000_000},y"], "line 3: field larger than field limit"),
    ):
        _write(path, *rows)
        with pytest.raises(UserError, match=message):
            load_task(str(path))


def test_what_is_not_there_or_damaged(glue: Path):
    assert "glue/RTE" in task_names()
    with pytest.raises(UserError, match=r"unknown task 'glue/RTA': did you mean 'glue/RTE'\?"):
        load_task("glue/RTA")
    with pytest.raises(UserError, match=r"RTE.train.tsv is not there: put GLUE"):
        load_task("glue/RTE")
    _write(glue / "RTE" / "train.tsv", "index\tsentence1\tsentence2\tlabel", "0\ta\tb\tmaybe")
    with pytest.raises(UserError, match=r"train.tsv is damaged .*maybe.*: fetch it again"):
        load_task("glue/RTE")
    with pytest.raises(UserError, match=r"data_full.json is not there: put CLINC150"):
        load_task("clinc150")
    with pytest.raises(UserError, match=r"nowhere.csv is not there"):
        load_task(str(glue / "nowhere.csv"))


def test_metrics_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    rng = np.random.default_rng(0)
    for right in (0.0, 0.2, 0.5, 0.9, 1.0):
        targets = rng.integers(2, size=50)
        predicted = np.where(rng.random(50) < right, targets, 1 - targets)
        assert METRICS["accuracy"](targets, predicted) == pytest.approx(accuracy_score(targets, predicted))
        assert METRICS["matthews"](targets, predicted) == pytest.approx(matthews_corrcoef(targets, predicted))
        both = accuracy_score(targets, predicted) + f1_score(targets, predicted)
        assert METRICS["accuracy and F1"](targets, predicted) == pytest.approx(both / 2)


def _score(metric: str, targets: np.ndarray, outputs: np.ndarray) -> float:
    none = Examples(texts=[], targets=torch.zeros(0))
    labels = ("no", "yes") if outputs.shape[1] > 1 else ()
    task = TextTask(name="mine", metric=metric, labels=labels, train=none, validation=none, test=none)
    return task.score(torch.tensor(outputs), torch.tensor(targets))


def test_metrics_are_the_official_ones():
    targets, right = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 0, 1])
    logits = np.eye(2)[right]
    assert _score("accuracy", targets, logits) == pytest.approx(0.8)
    # F1 of class 1: precision 1, recall 2 / 3.
    assert _score("accuracy and F1", targets, logits) == pytest.approx((0.8 + 0.8) / 2)
    assert _score("matthews", targets, logits) == pytest.approx((2 * 2 - 0 * 1) / np.sqrt(2 * 3 * 2 * 3))
    assert _score("matthews", targets, np.eye(2)[np.ones(5, int)]) == 0
    values = np.array([[0.1], [0.9], [1.9], [3.2]])
    assert _score("Pearson and Spearman", np.array([0, 1, 2, 3]), values) == pytest.approx(
        (np.corrcoef([0, 1, 2, 3], values[:, 0])[0, 1] + 1) / 2
    )
    assert _score("Pearson and Spearman", np.array([0, 1, 2, 3]), np.ones((4, 1))) == 0
    assert set(METRICS) == {"accuracy", "matthews", "accuracy and F1", "Pearson and Spearman"}


@pytest.mark.skipif(
    not (Path(os.environ.get("PPPL_DATA", "")) / "glue").is_dir(),
    reason="GLUE is not in PPPL_DATA: put the official files into glue/ there",
)
@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("glue/CoLA", 8551, 1043),
        ("glue/MRPC", (3667, 3668), 408),  # one row is missing in some copies
        ("glue/RTE", 2490, 277),
        ("glue/SST-2", 67349, 872),
        ("glue/STS-B", 5749, 1500),
    ],
)
def test_the_official_files_have_the_official_sizes(name: str, train: int | tuple[int, ...], test: int):
    task = load_task(name)
    assert len(task.train) + len(task.validation) in np.atleast_1d(train)
    assert len(task.test) == test
