"""The intervals that the prose of the README and the findings tells are those of the results in the repository."""

import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from pppl.experiments.statistics import mean_interval
from pppl.paired import people_of

ROOT = Path(__file__).parents[1]
_NUMBER = r"-?\d+(?:\.\d)?"  # importances of sweeps have two decimals and are not meant
_INTERVAL = rf"\[({_NUMBER}), ({_NUMBER})\]"
_TOLD = re.compile(rf"(?<![\d.-])({_NUMBER})(?![\d.])[^\d\[\]]*{_INTERVAL}")

# The intervals of a text in its order: folder, persons, budget, and sums of accuracies of the same persons, each of a
# method and control. One that does not prune is taken as it is at any budget.
_Claims = list[tuple[str, str, float, list[str]]]
_README: _Claims = [
    ("digits_persons", "2 classes", 0.05, ["full - ppp@persons own"]),
    ("arabic_kws_persons", "seen", 0.1, ["full - ppp@persons own"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@persons own - full"]),
    ("cifar10_persons", "3 classes", 0.15, ["ppp@persons own - full"]),
    ("cifar10_persons", "3 classes", 0.25, ["ppp@persons own - full", "ppp@persons own - ppp@nothing own"]),
    ("arabic_kws_res15", "seen", 1.0, ["finetune"]),  # an example of an interval without width
]
_GAIN = "ppp own - ppp other"
_MORE = "ppp own - ppp other - gated own + gated other"
_FINDINGS: _Claims = [
    ("digits", "2 classes", 0.1, [_GAIN, _MORE]),
    ("digits", "3 classes", 0.1, [_MORE]),
    ("digits", "5 classes", 0.1, [_MORE]),
    ("arabic_kws_res15", "unseen", 0.35, [_GAIN]),
    ("arabic_kws_res15", "seen", 0.35, [_GAIN, "gated own - ppp own"]),
    ("arabic_kws_res15", "unseen", 0.35, ["gated own - ppp own"]),
    ("arabic_kws_res15", "seen", 0.35, [_MORE]),
    ("arabic_kws_res15", "unseen", 0.35, [_MORE]),
    ("arabic_kws_res15", "seen", 0.2, ["onda_hap"]),
    ("arabic_kws_res15", "unseen", 0.2, ["onda_hap"]),
    ("arabic_kws_res15", "seen", 0.2, ["onda_hap_tpt"]),
    ("arabic_kws_res15", "unseen", 0.2, ["onda_hap_tpt"]),
    ("cifar10_resnet20", "3 classes", 0.35, ["ppp+diff - ppp own", _GAIN]),
    ("cifar10_resnet20", "5 classes", 0.35, [_GAIN]),
    ("cifar10_resnet20", "3 classes", 0.5, ["ppp own"]),
    ("cifar10_diff", "3 classes", 0.1, ["diff@0.01 - full", "ppp+diff@0.05 - l1_local+finetune"]),
    ("omniglot", "5 classes", 0.2, ["full", "ppp own"]),
    ("omniglot", "5 classes", 0.5, ["ppp own"]),
    ("omniglot", "5 classes", 0.2, ["gated own"]),
    ("omniglot", "5 classes", 0.5, ["ocap"]),
    ("omniglot", "5 classes", 0.2, [_GAIN, "l1_local+finetune"]),
    ("omniglot", "5 classes", 0.35, ["l1_local+finetune"]),
    ("arabic_kws_persons", "seen", 0.1, ["full - ppp@persons own"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@persons own - full"]),
    ("arabic_kws_persons", "seen", 0.1, ["full - ppp@long own"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@long own - full"]),
    ("arabic_kws_persons", "seen", 0.1, ["ppp@persons own - ppp@persons other"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@persons own - ppp@persons other"]),
    ("arabic_kws_persons", "seen", 0.05, ["ppp@persons own - ppp@persons other"]),
    ("arabic_kws_persons", "unseen", 0.05, ["ppp@persons own - ppp@persons other"]),
    ("arabic_kws_persons", "seen", 0.1, ["ppp@long own - ppp@nothing own"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@long own - ppp@nothing own"]),
    ("arabic_kws_persons", "seen", 0.1, ["ppp@persons own - l1_local+retrain"]),
    ("arabic_kws_persons", "unseen", 0.1, ["ppp@persons own - l1_local+retrain"]),
    ("digits_persons", "2 classes", 0.05, ["full - ppp@persons own", "ppp@persons own - gated@persons own"]),
    ("digits_persons", "2 classes", 0.05, ["ppp@persons own - l1_local+retrain", "ppp@persons own - ppp@nothing own"]),
    ("digits_persons", "2 classes", 0.05, ["ppp@persons own - ppp@persons other", "ppp@persons own - ppp@layers own"]),
    ("digits_persons", "3 classes", 0.05, ["ppp@persons own", "full - ppp@persons own"]),
    ("digits_persons", "5 classes", 0.05, ["ppp@persons own", "gated@persons own - ppp@persons own"]),
    ("digits_persons", "5 classes", 0.05, ["l1_local+retrain - ppp@persons own"]),
    ("cifar10_persons", "3 classes", 0.25, ["ppp@persons own - full", "ppp@persons own - ppp@nothing own"]),
    ("cifar10_persons", "3 classes", 0.25, ["ppp@persons own - ppp@persons other", "ppp@persons own - finetune"]),
    ("cifar10_persons", "3 classes", 0.1, ["ppp@persons own - gated@persons own"]),
    ("cifar10_persons", "3 classes", 0.25, ["ppp@persons own - gated@persons own"]),
    ("cifar10_persons", "3 classes", 0.1, ["full - ppp@persons own"]),
    ("cifar10_persons", "3 classes", 0.05, ["full - ppp@persons own"]),
    ("mnist_persons", "seen", 0.1, ["full - ppp@persons own"]),
    ("mnist_persons", "unseen", 0.1, ["full - ppp@persons own"]),
    ("mnist_persons", "seen", 0.1, ["full - gated@persons own"]),
    ("mnist_persons", "unseen", 0.1, ["full - gated@persons own"]),
    ("mnist_persons", "seen", 0.1, ["ppp@persons population - ppp@persons own"]),
    ("mnist_persons", "unseen", 0.1, ["ppp@persons population - ppp@persons own"]),
    ("digits", "2 classes", 0.1, ["ppp own"]),
    ("digits", "5 classes", 0.1, ["ppp own"]),
    ("arabic_kws_res15", "seen", 0.35, ["ppp own"]),
    ("arabic_kws_res15", "unseen", 0.35, ["ppp own"]),
]
_TEXTS = {"README.md": _README, "results/FINDINGS.md": _FINDINGS}
# Their intervals come from a bootstrap over test examples, and no table holds the differences.
_TEXT_TASKS = "## One text encoder, many tasks"


@pytest.mark.parametrize("name", _TEXTS)
def test_intervals_in_prose(name: str):
    prose = _prose((ROOT / name).read_text(encoding="utf-8"))
    told = _TOLD.findall(prose)
    assert len(told) == len(re.findall(_INTERVAL, prose)), "a value stands before each interval"
    claims = [(folder, persons, budget, term) for folder, persons, budget, terms in _TEXTS[name] for term in terms]
    for each, claim in zip(told, claims, strict=True):
        decimals = [len(number.partition(".")[2]) for number in each]
        computed = zip(_interval(*claim), decimals, strict=True)
        # Adding 0 makes 0 of -0.
        assert each == tuple(f"{round(number, digits) + 0:.{digits}f}" for number, digits in computed), claim


def test_what_is_told():
    assert _TOLD.findall(_prose("a text [1](x): 1.1\nbelow [-1.1,\n3.3], -12 *points* [-13,\n-11]")) == [
        ("1.1", "-1.1", "3.3"),
        ("-12", "-13", "-11"),
    ]
    for untold in (
        "| 1.0 [0.0, 2.0] |",
        "```\n1 [0, 2]\n```",
        "`1 [0, 2]`",
        f"{_TEXT_TASKS}\n1 [0, 2]",
        "0.16 [0.11, 0.22]",
    ):
        assert not _TOLD.findall(_prose(untold))


def _prose(text: str) -> str:
    """Return it without tables, code and the section on text tasks, on one line."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(rf"^{_TEXT_TASKS}$.*?(?=^## |\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\|.*$|`[^`]*`", "", text, flags=re.MULTILINE)
    return " ".join(text.split())


@cache
def _table(folder: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / folder / "table.csv", keep_default_na=False)


def _interval(folder: str, persons: str, budget: float, terms: str) -> tuple[float, float, float]:
    """Return the mean of a sum of accuracies and the ends of its interval, in %."""
    table = _table(folder)
    of_whom = table["seen"] == (persons == "seen") if persons in ("seen", "unseen") else table["persons"] == persons
    table = table[of_whom & table["budget"].isin([budget, 1.0])]
    total, signs = pd.Series(0.0, pd.MultiIndex.from_frame(table[["seed", "identity"]].drop_duplicates())), []
    for sign, method, control in re.findall(r"([+-] |^)(\S+)(?: (own|other|population))?", terms):
        rows = table[(table["method"] == method) & (table["control"] == control)].set_index(["seed", "identity"])
        assert len(rows), (folder, terms, method)
        assert rows.index.is_unique
        signs.append(-1 if sign == "- " else 1)
        total += signs[-1] * rows["accuracy"]
    total = total.dropna()
    index = total.index.to_frame()
    limits = (-signs.count(-1), signs.count(1))
    low, high = mean_interval(total.to_numpy(), index["seed"].tolist(), people_of(index), limits=limits)
    return 100 * float(total.mean()), 100 * float(low), 100 * float(high)
