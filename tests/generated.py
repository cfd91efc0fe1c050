"""Generated blocks of README, site and findings: `python tests/generated.py` writes them, and a test compares."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import beside_theirs
import lead_tables
import readme_tables

from pppl.report import accuracies_of, answers_of, leaks_of, markdown
from pppl.report.folder import read_results

ROOT = Path(__file__).parents[1]
_NAMES = ("digits", "photographs", "cifar10_mobilenet", "clinc150_encoder", "keywords", "fsdd", "shoulder", "writers")
# The last two have a budget of a quarter, too.
_LEADS = ("leads_photographs", "leads_digits", "leads_keywords", "leads_fsdd", "leads_shoulder")
_MAIN = (
    *("full", "full+classes", "full+classes@told", "full+prototypes", "finetune", "finetune@last"),
    *("l1_local", "l1_local+retrain", "l1_local+retrain+classes", "ppp@nothing", "ppp@nothing+classes"),
    *("ppp@persons", "ppp@persons+classes", "ppp@persons_long", "ppp@persons_long+classes"),
    *("ppp@tenth", "ocap", "capnn", "l1_local+finetune"),
    *("l1_local+retrain+finetune", "ppp@persons+finetune", "ppp@persons+diff"),
)
_BLOCK = re.compile(r"(<!-- (?P<name>[\w, .]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


def _there(names: Sequence[str] = _NAMES) -> list[Path]:
    return [ROOT / "results" / name for name in names if (ROOT / "results" / name).is_dir()]


def _of_all(name: str) -> Callable[[], str] | None:
    """Return a function that makes a block about all data sets; None if there is no such block."""
    return {
        "answers": lambda: _ten(answers_of(_there(), budget=0.1, seen=False)),
        "results": lambda: accuracies_of(_there(), 0.1, _MAIN, seen=False),
        "answers at a tenth": lambda: answers_of(_there(), budget=0.1),
        "answers at a quarter": lambda: answers_of(_there(), budget=0.25),
        "leads at a tenth": lambda: accuracies_of(_there(_LEADS), 0.1, seen=False),
        "leads at a quarter": lambda: accuracies_of(_there(_LEADS[-2:]), 0.25, seen=False),
        "what leads bring at a tenth": lambda: answers_of(_there(_LEADS), budget=0.1),
        "what leads bring at a quarter": lambda: answers_of(_there(_LEADS[-2:]), budget=0.25),
        "labels": lambda: accuracies_of(_there(("labels_photographs",)), 0.1),
        "support sets": lambda: accuracies_of(_there(("support",)), 0.25, seen=False),
        "goals": lambda: lead_tables.goals(ROOT / "results"),
        "people who change": lambda: lead_tables.changed_people(ROOT / "results"),
        "leaks": lambda: leaks_of(_there(_LEADS), 0.1),
        "ours beside theirs": lambda: beside_theirs.table(ROOT / "results"),
        "networks": _networks,
        "methods": _methods,
        "decisions": lambda: readme_tables.decisions(ROOT / "results"),
        "headline": lambda: readme_tables.headline(ROOT / "results"),
    }.get(name)


def _methods() -> str:
    from pppl.personalizers import METHODS, STEPS
    from pppl.personalizers.method_texts import SCOPES, tell_method

    rows = []
    for name in (*METHODS, *(f"+{step}" for step in STEPS)):
        if name.endswith((*SCOPES,)):
            continue
        told = tell_method(name)
        marks = ["yes" if each else "no" for each in (told.reads_labels, told.trains)]
        rows.append([f"`{name}`", told.text, *marks, ", ".join(told.controls)])
    head = ["method", "what it does", "labels of the person", "trains on the person", "controls"]
    scopes = [f"`NAME{scope}`, as `l1{scope}`: {text}" for scope, text in SCOPES.items()]
    told = "Static methods, and those with `_support`, compare all layers. Two more compare them in another way. "
    return f"{markdown.markdown_table(head, rows)}\n\n{told}{'. '.join(scopes)}."


def _networks() -> str:
    from hub_networks import table

    return table()


# Beginnings of the answers on what to do in practice. Those about training gates and settings are in the findings only.
_TO_DO = (
    "Correct the outputs for the person's classes",
    "The same by the mean of its predictions",
    "Let the person tell the classes",
    "Gates that see the person over L1 for all, retrained (",
    "The same, gates trained as long",
    "What pruning by L1 costs",
    "Labels beyond a list of classes, by the nearest class mean",
    "A mask of one's own",
    "The least MACs",
    "What a device stores",
)


def _ten(lines: str) -> str:
    """Return the answers on what to do in practice, numbered anew."""
    parts = [line.partition(". ")[2] for line in lines.splitlines()]
    kept = [line for line in parts if line.removeprefix("**").startswith(_TO_DO)]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(kept, 1))


def block(name: str) -> str:
    """Return the content of a block.

    **Arguments:**

    - `name`: that of a block about all data sets, or `FOLDER, BUDGET` for the accuracies of a results folder.
    """
    about_all = _of_all(name)
    if about_all is not None:
        return about_all()
    folder, budget = name.split(", ")
    return accuracies_of([ROOT / "results" / folder], float(budget))


def with_blocks(text: str) -> str:
    """Return a text with all of its blocks brought up to date."""
    markdown.read_results = lru_cache(maxsize=64)(read_results)  # many blocks are about the same folders
    return _BLOCK.sub(lambda found: f"{found[1]}\n{block(found['name'])}\n\n{found[4]}", text)


PATHS = (
    *(ROOT / "README.md", ROOT / "results" / "FINDINGS.md", ROOT / "docs" / "index.md"),
    *(ROOT / "docs" / "results" / "practice.md", ROOT / "docs" / "reference" / "removable.md"),
    ROOT / "docs" / "reference" / "methods.md",
)

if __name__ == "__main__":
    for each in PATHS:
        each.write_text(with_blocks(each.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
