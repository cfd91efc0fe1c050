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
# personal, and which way of doing it is best? From `results/` alone; nothing is trained here.
#
# *Prototype-based Personalized Pruning* (PPP, [picture](../docs/concepts/ppp.md)) makes a *mask*
# of channels for each person from a few unlabelled samples, their *support set*: *gates*, small
# modules beside the network, say which channels to keep. It is held against one small network for
# everybody (`l1_local+retrain`: the smallest filters removed, the rest trained on), diff pruning
# (a sparse difference of the weights), fine-tuning, and against what the same samples give for
# nothing: outputs corrected for the classes that they seem to have (`+classes`). Same persons,
# same support samples, same budgets in multiply-accumulates (MACs), and what is trained for
# everybody goes through as many samples.
#
# Differences are paired, in points, with 95 % intervals over persons and seeds. One *gains* or
# *loses* where its interval leaves out 0, is *equal within a point* where the interval lies within
# a point of 0, and is *not told apart* else. An asterisk: a paired test is significant after Holm's
# correction for the number of tests. The test is about the networks of these seeds, the interval
# about other networks, too, so that one may be clear where the other is not. A person is *seen*
# where samples of theirs were in training.

# %%
# %matplotlib inline
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

from pppl import load_run
from pppl.figures import style
from pppl.report import accuracies_of, answers_of, overview_of

RESULTS = Path("../results")
NAMES = ("digits", "photographs", "cifar10_mobilenet", "clinc150_encoder")
NAMES += ("keywords", "fsdd", "shoulder", "writers")
LEADS = ("leads_photographs", "leads_digits", "leads_keywords", "leads_fsdd", "leads_shoulder")
folders, leads = ([RESULTS / name for name in names] for names in (NAMES, LEADS))
runs = {path.name: load_run(path) for path in folders}
list(runs.values())

# %% [markdown]
# ## What follows, at a tenth of the MACs
#
# [FINDINGS](../results/FINDINGS.md) has the same at a quarter, and what it means.

# %%
Markdown(answers_of(folders, budget=0.1))

# %% [markdown]
# ## Error against MACs
#
# People whom training has not seen, and persons who are classes. Lower is better. Where persons
# have all classes, small networks are drawn without the correction.

# %%
SERIES = (
    ("full", ""),
    ("full+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp@persons+classes", "own"),
    ("l1_local+retrain+finetune", ""),
)
with style("icml"):
    fig = overview_of(folders, SERIES)
fig

# %% [markdown]
# ## Masks that know the person
#
# Later comparisons ask what could make a mask know its person, each idea beside the gates that it
# is added to: gates that see channels of the full network, that begin with everybody's mask, that
# know the person's classes in training, a code of the person. Here `+classes` is today's: the
# votes of the *full* network also for small ones (above: of the network that is deployed).

# %%
Markdown(answers_of(leads, budget=0.1, seen=False))

# %% [markdown]
# ## Accuracy of everything, at a tenth of the MACs
#
# In %, with 95 % intervals; people whom training has not seen. What does not prune takes all MACs.

# %%
Markdown(accuracies_of(folders, 0.1, seen=False))

# %% [markdown]
# ## Who, or what?
#
# The own mask less a *twin*'s, of somebody else with the same classes: what is left is who it is.
# Less a *swap*, the same person's other classes: what is left is which classes. Behind `+classes`
# the correction stays the person's own, so that masks alone are compared.

# %%
with style("icml"):
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
                    gain, low, high = (100 * row[f"gain{end}"] for end in ("", "_low", "_high"))
                    ax.errorbar(
                        gain, place + offset, xerr=[[gain - low], [high - gain]], color=colour,
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
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)

# %% [markdown]
# ## What it costs besides: training and bytes
#
# On digits, where every method was run; means over persons, at a tenth of the MACs for what is
# pruned. `summary.csv` of each folder has the same for its data.

# %%
columns = {
    "retrain_samples": "samples trained on, per person",
    "train_samples": "for everybody, beyond the full network",
    "personalize_seconds": "seconds",
    "artifact_bytes": "bytes of a person's own",
}
costs = runs["digits"].summary.query("control in ('', 'own') and budget in (0.1, 1)")
costs = costs.groupby("method", sort=False)[[*columns]].mean().rename(columns=columns)
costs.style.format("{:,.0f}").format("{:.3f}", subset=["seconds"])

# %% [markdown]
# A person's own file need not be the whole small network: for whoever holds the global one a mask
# is a bit per gated channel, and a class prior some bytes (`personal.thin`), see `05_on_device`.
#
# ## What was learnt
#
# For how many kinds of persons (a data set, a number of classes, seen or unseen) each difference
# gains, loses, is equal or is not told apart, at a tenth of the MACs.


# %%
def verdict(row, name):
    """What an interval says of a difference or a gain."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if max(-low, high) <= 0.01:
        return "equal within a point"
    return "gains" if low > 0 else "loses" if high < 0 else "not told apart"


VERDICTS = ["gains", "loses", "equal within a point", "not told apart"]
answers = pd.concat(load_run(folder).frame("answers.csv") for folder in folders + leads)
answers = answers[answers["budget"].isin([0.1, 1.0])]
counts = pd.crosstab(answers["question"], answers.apply(verdict, axis=1, name="difference"))
counts = counts.reindex(answers["question"].unique()).reindex(columns=VERDICTS, fill_value=0)
twins = pd.concat(load_run(folder).frame("gains.csv") for folder in folders + leads)
twins = twins[(twins["against"] == "twin") & (twins["budget"] == 0.1)]
twins = twins[twins["persons"].str.startswith("person")]
of_twins = twins.apply(verdict, axis=1, name="gain").value_counts()
table = [f"| question | {' | '.join(VERDICTS)} |", "|---" * 5 + "|"]
table += [f"| {question} | {' | '.join(map(str, row))} |" for question, *row in counts.itertuples()]
of_each = ", ".join(f"{of_twins.get(name, 0)} {name}" for name in VERDICTS)


def told(beginning):
    """How often the first question that begins so gains and loses."""
    row = counts[counts.index.str.startswith(beginning)].iloc[0]
    return f"gains on {row['gains']} of {row.sum()} kinds of persons and loses on {row['loses']}"


Markdown(
    "\n".join(table) + f"\n\nA mask of one's own less that of a twin who is somebody else, over "
    f"{len(twins)} kinds of people and methods: {of_each}.\n\n"
    "**What to conclude.** "
    f"Correcting outputs for the person's classes {told('Correct the outputs')}: it is free, and "
    "right where a person has few of the classes. A mask of one's own over one small network for "
    f"all, both corrected, {told('Gates that see the person over L1 for all, retrained (ppp@')}; "
    f"over a twin's mask it gains in {of_twins.get('gains', 0)}. Labels, by fine-tuning, over the "
    f"list of classes: {told('Labels beyond a list of classes, by fine-tuning')}. So correct the "
    "outputs, make one small network for everybody, and let people tell their classes."
)
