# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PPP against the field
#
# **What this answers:** what does it cost, in accuracy, to make one global network small and
# personal, and which way of doing it is best? PPP as published, PPP whose gates are trained for a
# person at a time, diff pruning, static pruning with and without training, on the same persons,
# support samples and budgets. From `results/` alone; nothing is trained here.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

from pppl import load_run
from pppl.figures import overview_figure, style

runs = {
    "digits, 2 classes": load_run("../results/digits_persons"),
    "keywords, seen speakers": load_run("../results/arabic_kws_persons"),
    "keywords, unseen speakers": load_run("../results/arabic_kws_persons"),
    "photographs, 3 classes": load_run("../results/cifar10_persons"),
    "writers, seen": load_run("../results/mnist_persons"),
    "writers, unseen": load_run("../results/mnist_persons"),
}
persons = {"digits, 2 classes": "2 classes", "photographs, 3 classes": "3 classes"}


def rows_of(name, frame="summary.csv"):
    """The rows of one kind of persons."""
    table = runs[name].frame(frame)
    if name in persons:
        return table[table["persons"] == persons[name]]
    return table[table["seen"] == ("unseen" not in name)]


WAYS = {
    ("full", ""): "the full network",
    ("ppp", "own"): "PPP as published",
    ("ppp@persons", "own"): "PPP per person",
    ("gated@persons", "own"): "the same without prototype loss",
    ("ppp@nothing", "own"): "one mask for all, gates",
    ("l1_local", ""): "L1",
    ("l1_local+retrain", ""): "L1, retrained for everybody",
    ("l1_local+finetune", ""): "L1, fine-tuned on the person",
    ("ppp+diff", ""): "PPP, then diff pruning",
}

# %% [markdown]
# ## Accuracy against MACs

# %%
with style("icml"):
    fig = overview_figure({name: rows_of(name) for name in runs})
fig

# %% [markdown]
# ## At one budget
#
# Accuracy in % with its 95 % interval over persons and seeds, at a tenth of the MACs
# (photographs: at a quarter).

# %%
BUDGETS = {name: 0.25 if "photographs" in name else 0.1 for name in runs}


def at_budget(name):
    """One row per method: those that do not prune have the budget 1."""
    rows = rows_of(name)
    least = rows.groupby(["method", "control"])["budget"].transform("min")
    return rows[(rows["budget"] == BUDGETS[name]) | (least == 1)].set_index(["method", "control"])


def cell(rows, way):
    if way not in rows.index:
        return "-"
    mean, low, high = (100 * rows.loc[way, f"accuracy{end}"] for end in ("", "_low", "_high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


pd.DataFrame(
    {name: [cell(at_budget(name), way) for way in WAYS] for name in runs}, index=list(WAYS.values())
)

# %% [markdown]
# ## Iso-accuracy
#
# The least fraction of the MACs at which a method is within 3 points of the full network; 100 %
# where no budget suffices.


# %%
def iso(name, way):
    curves = rows_of(name, "curves.csv").set_index(["method", "control"])
    if way not in curves.index:
        return "-"
    row = curves.loc[way]
    low, high = (100 * row[f"macs_within_3_{end}"] for end in ("low", "high"))
    return f"{100 * row['macs_within_3']:.0f} % [{low:.0f}, {high:.0f}]"


pruned = {way: label for way, label in WAYS.items() if way != ("full", "")}
pd.DataFrame(
    {name: [iso(name, way) for way in pruned] for name in runs}, index=list(pruned.values())
)

# %% [markdown]
# ## Personal gain
#
# How much better a person's own samples serve than everybody's and than another person's. Without
# the first, "personal" is only another word for "small".

# %%
fig, axes = plt.subplots(1, 2, figsize=(6.75, 3.4), layout="constrained", sharey=True)
methods = {
    "ppp": ("PPP as published", "o", "#0072B2"),
    "ppp@persons": ("PPP per person", "d", "#C51B7D"),
    "gated@persons": ("without prototype loss", "^", "#009E73"),
}
for ax, against in zip(axes, ("population", "other"), strict=True):
    for offset, (method, (label, marker, colour)) in zip(
        (-0.2, 0, 0.2), methods.items(), strict=True
    ):
        for place, name in enumerate(runs):
            gains = rows_of(name, "gains.csv")
            gains = gains[
                (gains["method"] == method)
                & (gains["against"] == against)
                & (gains["budget"] == BUDGETS[name])
            ]
            for row in gains.to_dict("records"):
                spread = [
                    [100 * (row["gain"] - row["gain_low"])],
                    [100 * (row["gain_high"] - row["gain"])],
                ]
                ax.errorbar(
                    100 * row["gain"],
                    place + offset,
                    xerr=spread,
                    color=colour,
                    marker=marker,
                    ms=4,
                    capsize=2,
                    label=label if place == 0 else None,
                )
    ax.axvline(0, color="black", lw=0.6)
    ax.set_xlabel(
        f"own less {'everybody' if against == 'population' else 'another person'}'s (points)"
    )
axes[0].set_yticks(range(len(runs)), list(runs))
axes[0].invert_yaxis()
_ = fig.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
)

# %% [markdown]
# ## What it costs besides: retraining and bytes

# %%
costs = []
for name in runs:
    rows = at_budget(name)
    for way, label in WAYS.items():
        if way in rows.index:
            row = rows.loc[way]
            costs.append(
                {
                    "persons": name,
                    "method": label,
                    "samples trained on, per person": row["retrain_samples"],
                    "for everybody, beyond the full network": row["train_samples"],
                    "seconds": row["personalize_seconds"],
                    "kB of a person's own": row["artifact_bytes"] / 1e3,
                }
            )
costs = pd.DataFrame(costs)
costs.groupby("method", sort=False).mean(numeric_only=True).style.format("{:,.0f}").format(
    "{:.3f}", subset=["seconds"]
)

# %% [markdown]
# A person's own file need not be the whole small network: for whoever holds the global one a mask
# is a bit per gated channel (`personal.thin`), see `05_on_device`.
#
# ## What was learnt


# %%
def lead(name, way, over):
    rows = at_budget(name)
    points = 100 * (rows.loc[way, "accuracy"] - rows.loc[over, "accuracy"])
    return f"{abs(points):.1f} points {'ahead of' if points >= 0 else 'behind'} {WAYS[over]}"


per_person, published, everybody = ("ppp@persons", "own"), ("ppp", "own"), ("ppp@nothing", "own")
lines = []
for name in runs:
    rows = at_budget(name)
    training_free = [
        way
        for way in WAYS
        if way in rows.index
        and rows.loc[way, "retrain_samples"] == 0
        and way not in (("full", ""), ("l1_local+retrain", ""))
    ]
    best = max(training_free, key=lambda way: rows.loc[way, "accuracy"])
    trained = [
        way
        for way in WAYS
        if way in rows.index
        and (rows.loc[way, "retrain_samples"] > 0 or way == ("l1_local+retrain", ""))
    ]
    rival = max(trained, key=lambda way: rows.loc[way, "accuracy"])
    lines.append(
        f"- **{name}**, {BUDGETS[name]:.0%} of the MACs: without training on anybody "
        f"{WAYS[best]} is best "
        f"({cell(rows, best)}; the full network {cell(rows, ('full', ''))}), of what trains "
        f"{WAYS[rival]} "
        f"({cell(rows, rival)}). "
        f"PPP per person is {lead(name, per_person, published)} and "
        f"{lead(name, per_person, everybody)}."
    )
Markdown(
    "\n".join(lines)
    + "\n- Differences are of means; the intervals above say which of them are more than "
    "chance, and `gains.csv` and "
    "`summary.csv` hold the paired tests. Fine-tuning uses the person's labels and a device "
    "that trains; PPP uses neither."
)
