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
# personal, and which way of doing it is best? *Prototype-based Personalized Pruning* (PPP) makes a
# mask of channels for each person from a few unlabelled samples. It is held against one small
# network for everybody, diff pruning, fine-tuning, and against what the same samples give for
# nothing: a corrected class prior (`+classes`). Same persons, same support samples, same budgets in
# multiply-accumulates (MACs), each network trained as long. From `results/` alone; nothing is
# trained here. How PPP works is drawn [in the documentation](../docs/concepts/ppp.md).

# %%
# %matplotlib inline
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

from pppl import load_run
from pppl.figures import Looks, overview_figure, style
from pppl.report import accuracies_of, answers_of

NAMES = (
    "digits",
    "photographs",
    "cifar10_mobilenet",
    "clinc150_encoder",
    "keywords",
    "fsdd",
    "shoulder",
    "writers",
)
folders = [path for name in NAMES if (path := Path("../results") / name).is_dir()]
runs = {path.name: load_run(path) for path in folders}
list(runs.values())

# %% [markdown]
# ## What follows
#
# Paired differences in points at a tenth of the MACs, with 95 % intervals over persons and seeds.
# A person is *seen* where samples of theirs were in training.

# %%
Markdown(answers_of(folders, budget=0.1))

# %% [markdown]
# At a quarter of the MACs:

# %%
Markdown(answers_of(folders, budget=0.25))


# %% [markdown]
# ## Error against MACs
#
# People whom training has not seen, and persons who are classes. Lower is better; the dotted line
# is the full network with the person's classes, which costs nothing.


# %%
def panels_of(name):
    """The kinds of persons of one data set, by title."""
    summary = runs[name].summary
    unseen = summary[~summary["seen"] | ~summary["persons"].str.startswith("person")]
    for persons, rows in unseen.groupby("persons", sort=False):
        yield f"{name}, {str(persons).removeprefix('person+')}", rows


panels = dict(panel for name in runs for panel in panels_of(name))
SERIES = (
    ("full", ""),
    ("full+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp@persons+classes", "own"),
    ("l1_local+retrain+finetune", ""),
)
looks = {name: look for run in runs.values() for name, look in run.experiment.looks.items()}
with style("icml"):
    fig = overview_figure(panels, SERIES, looks=Looks.of(looks))
fig

# %% [markdown]
# ## Accuracy of everything, at a tenth of the MACs
#
# In %, with 95 % intervals; an asterisk marks what does not prune.

# %%
Markdown(accuracies_of(folders, 0.1, seen=False))

# %% [markdown]
# ## Who, or what?
#
# The own mask less a *twin*'s, of somebody else with the same classes: what is left is who it is.
# Less a *swap*, the same person's other classes: what is left is which classes. Behind `+classes`
# the prior stays the person's own, so that masks alone are compared.

# %%
fig, axes = plt.subplots(1, 2, figsize=(6.75, 3.4), layout="constrained", sharey=True)
methods = {
    "ppp@persons": ("gates per person", "d", "#C51B7D"),
    "ppp@persons+classes": ("the same, with the classes", "H", "#8C564B"),
    "ppp@tenth": ("gates per sample", "o", "#0072B2"),
}
kinds = []
for name, run in runs.items():
    gains = run.frame("gains.csv").query("budget == 0.1")
    for (persons, seen), rows in gains.groupby(["persons", "seen"], sort=False):
        who = f", {'seen' if seen else 'unseen'}" * str(persons).startswith("person")
        kinds.append((f"{name}, {str(persons).removeprefix('person+')}{who}", rows))
for ax, against in zip(axes, ("twin", "swap"), strict=True):
    for offset, (method, (label, marker, colour)) in zip(
        (-0.2, 0, 0.2), methods.items(), strict=True
    ):
        for place, (_, rows) in enumerate(kinds):
            chosen = rows[(rows["method"] == method) & (rows["against"] == against)]
            for row in chosen.to_dict("records"):
                ends = [
                    100 * (row["gain"] - row["gain_low"]),
                    100 * (row["gain_high"] - row["gain"]),
                ]
                ax.errorbar(
                    100 * row["gain"], place + offset, xerr=[[ends[0]], [ends[1]]], color=colour,
                    marker=marker, ms=4, capsize=2, label=label,
                )  # fmt: skip
    ax.axvline(0, color="black", lw=0.6)
    ax.set_xlabel(f"own less a {against}'s (points)")
axes[0].set_yticks(range(len(kinds)), [name for name, _ in kinds])
axes[0].invert_yaxis()
handles = {
    label: handle
    for ax in axes
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
}
_ = fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)

# %% [markdown]
# ## What it costs besides: training and bytes

# %%
columns = ["retrain_samples", "train_samples", "personalize_seconds", "artifact_bytes"]
costs = []
for name, run in runs.items():
    rows = run.summary.query("control in ('', 'own') and (budget == 0.1 or budget == 1)")
    costs.append(rows.groupby("method", sort=False)[columns].mean().assign(data=name))
costs = pd.concat(costs).groupby("method", sort=False)[columns].mean()
costs = costs.rename(
    columns={
        "retrain_samples": "samples trained on, per person",
        "train_samples": "for everybody, beyond the full network",
        "personalize_seconds": "seconds",
        "artifact_bytes": "bytes of a person's own",
    }
)
costs.style.format("{:,.0f}").format("{:.3f}", subset=["seconds"])

# %% [markdown]
# A person's own file need not be the whole small network: for whoever holds the global one a mask
# is a bit per gated channel, and a class prior some bytes (`personal.thin`), see `05_on_device`.
#
# ## What was learnt
#
# For how many kinds of persons the interval of each question's difference lies above 0, below it
# or around it.


# %%
def verdicts(question):
    """On how many kinds of persons a question's interval is above 0, below it, or holds it."""
    rows = pd.concat([run.frame("answers.csv") for run in runs.values()])
    rows = rows[(rows["question"] == question) & rows["budget"].isin([0.1, 1.0])]
    above, below = int((rows["difference_low"] > 0).sum()), int((rows["difference_high"] < 0).sum())
    return f"above 0 for {above}, below it for {below}, around it for {len(rows) - above - below}"


questions = dict.fromkeys(
    question for run in runs.values() for question in run.frame("answers.csv")["question"]
)
Markdown("\n".join(f"- {question}: {verdicts(question)}." for question in questions))
