"""The accuracies that the README and the findings tell are those of the results in the repository."""

import itertools
import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
TEXTS = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "results/FINDINGS.md")]
_CELL = re.compile(r"(\d+\.\d) \[(\d+\.\d), (\d+\.\d)\]")

# Rows of a table by their label: methods and controls, as many as the label has parts.
_DIGITS = {
    "full network": [("full", "")],
    "**PPP, own prototype**": [("ppp", "own")],
    "PPP, everybody's prototype": [("ppp", "population")],
    "PPP, another person's prototype": [("ppp", "other")],
    "the same without prototype loss: own / another's": [("gated", "own"), ("gated", "other")],
    "L1 + fine-tuning on the person": [("l1_local+finetune", "")],
    "OnDA (HAP, pseudo-labels)": [("onda_hap", "")],
    "PPP, then diff pruning (0.5 % of the weights differ)": [("ppp+diff", "")],
    "L1 + retraining for everybody": [("l1_local+retrain", "")],
    "the same, weights of 4 bits (9 kB instead of 44)": [("l1_local+retrain+quant", "")],
    "OCAP (activation ranking) / Taylor on the person": [("ocap", ""), ("taylor_support", "")],
    "L1, whole network / per layer": [("l1", ""), ("l1_local", "")],
    "basis pruning": [("basis", "")],
}

_ARABIC = {
    "full network": [("full", "")],
    "full, fine-tuned on the person / diff pruning (0.5 %)": [("finetune", ""), ("diff", "")],
    "PPP, own prototype": [("ppp", "own")],
    "PPP, everybody's / another person's": [("ppp", "population"), ("ppp", "other")],
    "the same without prototype loss: own / another's": [("gated", "own"), ("gated", "other")],
    "each sample through its own gates (31 % of the MACs): PPP / without prototype loss": [
        ("ppp_dynamic", ""),
        ("gated_dynamic", ""),
    ],
    "OCAP / by votes": [("ocap", ""), ("ocap_frequency", "")],
    "Taylor on the person / basis pruning on the person": [("taylor_support_local", ""), ("basis_support", "")],
    "L1 / FPGM / Taylor, per layer": [("l1_local", ""), ("fpgm_local", ""), ("taylor_local", "")],
    "L1 / Taylor + fine-tuning on the person": [("l1_local+finetune", ""), ("taylor_local+finetune", "")],
    "OnDA (HAP, pseudo-labels)": [("onda_hap", "")],
    "the same with L1 / tuned before pruning, too: HAP / L1": [
        ("onda_l1", ""),
        ("onda_hap_tpt", ""),
        ("onda_l1_tpt", ""),
    ],
    "PPP, then diff pruning": [("ppp+diff", "")],
    "L1 + retraining for everybody": [("l1_local+retrain", "")],
    "the same, weights of 4 bits": [("l1_local+retrain+quant", "")],
}

# Gates for a person at a time; not every data set has all of these.
_VARIANTS = {
    "full network": [("full", "")],
    "PPP as published: own / another's": [("ppp", "own"), ("ppp", "other")],
    "**PPP per person: own** / another's": [("ppp@persons", "own"), ("ppp@persons", "other")],
    "the same, recalibrated": [("ppp@persons+bn", "")],
    "trained longer: own / another's": [("ppp@long", "own"), ("ppp@long", "other")],
    "without prototype loss: own / another's": [("gated@persons", "own"), ("gated@persons", "other")],
    "one mask for all": [("ppp@nothing", "own")],
    "gates of the published kind: own / another's": [("ppp@layers", "own"), ("ppp@layers", "other")],
    "without distillation: own / another's": [("ppp@undistilled", "own"), ("ppp@undistilled", "other")],
    "from scratch: own / another's": [("ppp@scratch", "own"), ("ppp@scratch", "other")],
    "OCAP / Taylor on the person / L1, per layer": [("ocap", ""), ("taylor_support_local", ""), ("l1_local", "")],
    "L1 / Taylor + fine-tuning on the person": [("l1_local+finetune", ""), ("taylor_local+finetune", "")],
    "PPP as published, then diff pruning": [("ppp+diff", "")],
    "L1 + retraining for everybody": [("l1_local+retrain", "")],
}
_ON_KEYWORDS_ONLY = ("the same, recalibrated", "trained longer: own / another's")
_DIGITS_PER_PERSON = {label: each for label, each in _VARIANTS.items() if label not in _ON_KEYWORDS_ONLY}

_WRITERS = {
    "full network": [("full", "")],
    "PPP as published: own / everybody's": [("ppp", "own"), ("ppp", "population")],
    "**PPP per person: own** / everybody's": [("ppp@persons", "own"), ("ppp@persons", "population")],
    "without prototype loss": [("gated@persons", "own")],
    "without prototype loss, trained for 60 epochs": [("gated@long", "own")],
    "one mask for all": [("ppp@nothing", "own")],
    "without distillation": [("ppp@undistilled", "own")],
    "from scratch": [("ppp@scratch", "own")],
    "L1 / Taylor + fine-tuning on the person": [("l1_local+finetune", ""), ("taylor_local+finetune", "")],
}

_NOT_ON_PHOTOGRAPHS = (
    "full network",
    "trained longer: own / another's",
    "gates of the published kind: own / another's",
    "without distillation: own / another's",
    "from scratch: own / another's",
    "L1 + retraining for everybody",
)
_PHOTOGRAPHS_PER_PERSON = {
    "full network / fine-tuned on the person, all MACs": [("full", ""), ("finetune", "")],
    **{label: each for label, each in _VARIANTS.items() if label not in _NOT_ON_PHOTOGRAPHS},
}

_CIFAR = {
    "full network / fine-tuned on the person / diff pruning, all MACs": [("full", ""), ("finetune", ""), ("diff", "")],
    "PPP, own prototype": [("ppp", "own")],
    "PPP, everybody's / another person's": [("ppp", "population"), ("ppp", "other")],
    "the same without prototype loss: own / another's": [("gated", "own"), ("gated", "other")],
    "OCAP / Taylor on the person": [("ocap", ""), ("taylor_support_local", "")],
    "L1 / LAMP, per layer": [("l1_local", ""), ("lamp_local", "")],
    "L1 / Taylor + fine-tuning on the person": [("l1_local+finetune", ""), ("taylor_local+finetune", "")],
    "OnDA: HAP / tuned before pruning, too": [("onda_hap", ""), ("onda_hap_tpt", "")],
    "PPP, then diff pruning": [("ppp+diff", "")],
    "L1 + retraining for everybody": [("l1_local+retrain", "")],
}

# The README's own table: a column for each kind of persons, with its folder, its rows and its budget.
_OVERVIEW = {
    "full network, all MACs": ("full", ""),
    "**PPP per person**": ("ppp@persons", "own"),
    "without prototype loss": ("gated@persons", "own"),
    "one mask for all, trained the same way": ("ppp@nothing", "own"),
    "PPP as published": ("ppp", "own"),
    "L1, per layer": ("l1_local", ""),
    "PPP as published, then diff pruning \\*": ("ppp+diff", ""),
    "L1 + fine-tuning on the person \\*": ("l1_local+finetune", ""),
    "L1 + retraining for everybody \\*\\*": ("l1_local+retrain", ""),
}
_KINDS = {
    "digits, 2 classes, 10 %": ("digits_persons", "persons == '2 classes'", 0.1),
    "keywords, seen speakers, 10 %": ("arabic_kws_persons", "seen", 0.1),
    "keywords, unseen speakers, 10 %": ("arabic_kws_persons", "not seen", 0.1),
    "photographs, 3 classes, 25 %": ("cifar10_persons", "persons == '3 classes'", 0.25),
    "unseen writers, 10 %": ("mnist_persons", "not seen", 0.1),
}


def _rows(header: str) -> list[list[str]]:
    """Cells of the table with this header."""
    (table,) = [block for text in TEXTS for block in text.split("\n\n") if block.startswith(header)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def _told(summary: pd.DataFrame, method: str, control: str, budget: float) -> tuple[str, ...]:
    of_method = summary[(summary["method"] == method) & (summary["control"] == control)]
    (row,) = of_method[of_method["budget"].isin([budget, 1.0])].to_dict("records")
    return tuple(f"{100 * row[name]:.1f}" for name in ("accuracy", "accuracy_low", "accuracy_high"))


def _check_by_budget(
    rows: list[list[str]],
    summary: pd.DataFrame,
    methods: dict[str, list[tuple[str, str]]],
    budgets: tuple[float, ...],
) -> None:
    """Of a table with a column for each budget."""
    assert [row[0] for row in rows] == [*methods]
    for label, *cells, _ in rows:
        for budget, cell in zip(budgets, cells, strict=True):
            if cell != "the same":
                assert _CELL.findall(cell) == [_told(summary, *each, budget) for each in methods[label]], label


def _check_seen_and_unseen(
    rows: list[list[str]], summary: pd.DataFrame, methods: dict[str, list[tuple[str, str]]], budget: float
) -> None:
    """Of a table with a column for people who were in training, and one for others."""
    assert [row[0] for row in rows] == [*methods]
    for label, *cells, _ in rows:
        for seen, cell in zip((True, False), cells, strict=True):
            told = [_told(summary[summary["seen"] == seen], *each, budget) for each in methods[label]]
            assert _CELL.findall(cell) == told, label


def test_the_overview():
    header = f"| | {' | '.join(_KINDS)} |"
    rows = _rows(header)
    assert [row[0] for row in rows] == [*_OVERVIEW]
    for column, (folder, which, budget) in enumerate(_KINDS.values(), 1):
        summary = pd.read_csv(ROOT / "results" / folder / "summary.csv", keep_default_na=False).query(which)
        for row in rows:
            method, control = _OVERVIEW[row[0]]
            of_method = summary[(summary["method"] == method) & (summary["control"] == control)]
            there = bool(of_method["budget"].isin([budget, 1.0]).any())
            told = [_told(summary, method, control, budget)] if there else []
            assert _CELL.findall(row[column]) == told, row[0]
            assert (row[column] == "-") == (not there), row[0]


def test_digits():
    summary = pd.read_csv(ROOT / "results" / "digits" / "summary.csv", keep_default_na=False)
    rows, of_two = _rows("| | accuracy | retrained on |"), summary[summary["persons"] == "2 classes"]
    assert [row[0] for row in rows] == [*_DIGITS]
    for label, accuracy, _ in rows:
        assert _CELL.findall(accuracy) == [_told(of_two, *each, 0.1) for each in _DIGITS[label]], label


def test_arabic_keywords():
    summary = pd.read_csv(ROOT / "results" / "arabic_kws_res15" / "summary.csv", keep_default_na=False)
    rows = _rows("| | seen in training | unseen | retrained on |")
    _check_seen_and_unseen(rows, summary, _ARABIC, 0.35)


def test_gates_for_a_person_at_a_time():
    summary = pd.read_csv(ROOT / "results" / "arabic_kws_persons" / "summary.csv", keep_default_na=False)
    rows = _rows("| | seen, 10 % of the MACs | seen, 25 % | unseen, 10 % | unseen, 25 % | retrained on |")
    assert [row[0] for row in rows] == [*_VARIANTS]
    for label, *cells, _ in rows:
        for (seen, budget), cell in zip(itertools.product((True, False), (0.1, 0.25)), cells, strict=True):
            told = [_told(summary[summary["seen"] == seen], *each, budget) for each in _VARIANTS[label]]
            assert _CELL.findall(cell) == told, label


def test_digits_for_a_person_at_a_time():
    summary = pd.read_csv(ROOT / "results" / "digits_persons" / "summary.csv", keep_default_na=False)
    rows, of_two = _rows("| | 5 % of the MACs | 10 % | retrained on |"), summary[summary["persons"] == "2 classes"]
    _check_by_budget(rows, of_two, _DIGITS_PER_PERSON, (0.05, 0.1))


def test_writers():
    summary = pd.read_csv(ROOT / "results" / "mnist_persons" / "summary.csv", keep_default_na=False)
    rows = _rows("| at a tenth of the MACs | seen writers | unseen | retrained on |")
    _check_seen_and_unseen(rows, summary, _WRITERS, 0.1)


def test_photographs():
    summary = pd.read_csv(ROOT / "results" / "cifar10_resnet20" / "summary.csv", keep_default_na=False)
    rows = _rows("| | 20 % of the MACs | 35 % of the MACs | retrained on |")
    _check_by_budget(rows, summary[summary["persons"] == "3 classes"], _CIFAR, (0.2, 0.35))


def test_photographs_for_a_person_at_a_time():
    summary = pd.read_csv(ROOT / "results" / "cifar10_persons" / "summary.csv", keep_default_na=False)
    rows = _rows("| | 10 % of the MACs | 25 % | 50 % | retrained on |")
    _check_by_budget(rows, summary, _PHOTOGRAPHS_PER_PERSON, (0.1, 0.25, 0.5))
