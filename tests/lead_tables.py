"""Tables on masks that know the person: the best of them beside what is free, and what changed people bring."""

from pathlib import Path

import pandas as pd

from pppl.report.markdown import markdown_table
from pppl.tables.answers import answers
from pppl.tables.schema import load_frame

# Of each folder, budgets for which a goal was set, and what is free, or equally trained, for everybody.
_GOALS = {
    "leads_photographs": (0.1, "+classes"),
    "leads_digits": (0.05, "+classes"),
    "leads_keywords": (0.1, "+classes"),
    "leads_fsdd": (0.25, "+classes"),
    "leads_shoulder": (0.25, ""),
}
MASKS = ("random", "sees", "known", "channels", "code")
_PLAIN = {"plain_fsdd": "leads_fsdd"}


def goals(results: Path) -> str:
    """Return the best personal mask without labels of each data set, and how much it is above others."""
    less = ("less full", "less L1 + retraining", "less one mask for all", "less everybody's mask", "less a twin's")
    rows = [row for name, (budget, step) in _GOALS.items() for row in _goal(results / name, budget, step)]
    return markdown_table(("data", "MACs", "best mask", "%", *less), rows)


def _goal(folder: Path, budget: float, step: str) -> list[list[str]]:
    table, gains = (_unseen(load_frame(folder / name)) for name in ("table.csv.gz", "gains.csv"))
    masks = [f"ppp@{mask}{step}" for mask in MASKS]
    others = [f"full{step}", f"l1_local+retrain{step}", f"ppp@nothing{step}"]
    rows = []
    for persons, of in table.groupby("persons", sort=False):
        own = of[of["method"].isin(masks) & (of["control"] == "own") & (of["budget"] == budget)]
        best = str(own.groupby("method")["score"].mean().idxmax())
        compared = answers(of, {other: (best, other) for other in others})
        compared = compared[compared["budget"] == budget].set_index("question")
        gain = gains[(gains["method"] == best) & (gains["persons"] == persons) & (gains["budget"] == budget)]
        where = f"{str(of['dataset'].iloc[0]).replace('_', ' ')}, {str(persons).removeprefix('person+')}"
        differences = [_difference(compared.loc[other], "difference") for other in others]
        controls = gain.set_index("against")
        differences += [_difference(controls.loc[control], "gain") for control in ("population", "twin")]
        score = f"{100 * own.loc[own['method'] == best, 'score'].mean():.1f}"
        rows.append([where, f"{budget:.0%}", f"`{best}`", score, *differences])
    return rows


def changed_people(results: Path) -> str:
    """Return accuracies of networks that were trained with people who change and without, on the same persons."""
    head = ("data", "MACs", "method", "without, %", "with, %", "difference")
    rows = []
    for without, name in _PLAIN.items():
        plain, changed = (_unseen(load_frame(results / each / "table.csv.gz")) for each in (without, name))
        methods = [*dict.fromkeys(plain["method"])]
        both = pd.concat([changed, plain.assign(method=plain["method"] + "@plain")], ignore_index=True)
        found = answers(both, {method: (method, f"{method}@plain") for method in methods})
        where = str(plain["dataset"].iloc[0]).replace("_", " ")
        for row in found.to_dict("records"):
            scores = [f"{100 * row[key]:.1f}" for key in ("score_against", "score")]
            rows.append([where, f"{row['budget']:.0%}", f"`{row['method']}`", *scores, _difference(row, "difference")])
    return markdown_table(head, rows)


def _unseen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of persons whom training has not met; where persons are classes, all."""
    return table.loc[~table["seen"] | ~table["persons"].astype(str).str.startswith("person")]


def _difference(row: "pd.Series | dict", name: str) -> str:
    mean, low, high = (round(100 * row[f"{name}{end}"], 1) + 0.0 for end in ("", "_low", "_high"))  # no -0.0
    return f"{mean:+.1f} [{low:.1f}, {high:.1f}]"
