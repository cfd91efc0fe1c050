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
# # When the support set fails
#
# **What this answers:** how many samples must a person give, what if some are somebody else's, if
# a class is missing or rare, and what do labels buy? Spoken digits of speakers whom training never
# met, 3 of the 10 digits each, a quarter of the MACs. The same persons get every kind of support
# set. From `results/support` alone; nothing is trained here.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from pppl import load_run
from pppl.figures import style, support_kinds
from pppl.tables import mean_interval

run = load_run("../results/support")
summary = run.summary.query("not seen and control in ('', 'own')").copy()
table = run.table.query("not seen and control in ('', 'own')").copy()
for frame in (summary, table):
    frame["kind"] = frame["persons"].str.partition(", ")[2]
run

# %% [markdown]
# ## Without labels
#
# Only `@told` knows more than the samples: the person's list of classes.

# %%
WITHOUT = [
    ("full", ""),
    ("full+classes", ""),
    ("full+classes@told", ""),
    ("full+tent+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp@nothing+classes", "own"),
    ("ppp@channels+classes", "own"),
    ("ppp@code+classes", "own"),
]
with style("icml"):
    fig, ax = plt.subplots(figsize=(6.75, 4.2), layout="constrained")
    support_kinds(summary, ax, WITHOUT, looks=run.looks)
    ax.set_ylabel("accuracy on the queries")
    _ = fig.legend(loc="outside lower center", ncols=2, frameon=False)

# %% [markdown]
# ## What each fault costs
#
# Paired differences in points to five good samples of each class, over the same persons, with 95 %
# intervals over speakers and networks. A class that comes later is among the queries.

# %%
USUAL = "5 shots"
kinds = [kind for kind in dict.fromkeys(table["kind"]) if kind != USUAL]
LABELLED = [
    "full+prototypes",
    "finetune",
    "l1_local+retrain+finetune",
    "ppp@channels+finetune",
    "ppp@channels+diff",
]
methods = [method for method, _ in WITHOUT] + LABELLED


def cost(method, kind):
    """The mean difference to the usual support set in points, and the ends of its interval."""
    rows = table[table["method"] == method]
    one, usual = (rows[rows["kind"] == each] for each in (kind, USUAL))
    pairs = one.merge(usual, on=["seed", "identity"], suffixes=("", "_usual"))
    difference = 100 * (pairs["score"] - pairs["score_usual"]).to_numpy()
    speakers = pairs["identity"].str.partition(":")[0]
    return difference.mean(), *mean_interval(difference, pairs["seed"], speakers)


costs = pd.DataFrame({kind: {method: cost(method, kind) for method in methods} for kind in kinds})
costs.map(lambda c: f"{c[0]:+.1f} [{c[1]:.1f}, {c[2]:.1f}]")

# %% [markdown]
# ## What labels buy
#
# Accuracy against the number of labels: those of the support set, 1 to 20 for each of 3 classes.
# Dotted: what five samples of each class do without any label.

# %%
count_of = {f"{n} shot{'s' * (n > 1)}": 3 * n for n in (1, 2, 5, 10, 20)}
UNLABELLED = {"full+classes": "black", "ppp@channels+classes": "#0072B2"}


def rows_of(method):
    """The rows of one method, by the kind of support set."""
    return summary[summary["method"] == method].set_index("kind")


with style("icml"):
    fig, ax = plt.subplots(figsize=(6.75, 3.2), layout="constrained")
    for place, (method, marker) in enumerate(zip(LABELLED, "os^dv", strict=True)):
        rows = rows_of(method).loc[[*count_of]]
        x = np.array([*count_of.values()]) * (1 + 0.04 * (place - 2))  # beside each other
        score, low, high = (100 * rows[name] for name in ("score", "score_low", "score_high"))
        label = run.looks.look(method, rows["control"].iloc[0]).label
        ends = [score - low, high - score]
        ax.errorbar(x, score, yerr=ends, marker=marker, ms=4, capsize=2, label=label)
    for method, colour in UNLABELLED.items():
        row = rows_of(method).loc[USUAL]
        label = run.looks.look(method, row["control"]).label
        ax.axhline(100 * row["score"], color=colour, ls=":", lw=1, label=label)
    ax.set_xscale("log")
    ax.set_xticks([*count_of.values()], [str(count) for count in count_of.values()])
    ax.minorticks_off()
    ax.set(xlabel="labelled samples of the person", ylabel="accuracy on the queries (%)")
    _ = fig.legend(loc="outside right upper", frameon=False)

# %% [markdown]
# ## For whom it fails
#
# A mean over speakers hides voices that a network does not know at all. Accuracy in % for each
# speaker, by a network that has not met them, with five samples of each class.

# %%
usual = table[table["kind"] == USUAL]
usual = usual.assign(speaker=usual["identity"].str.partition(":")[0], score=100 * usual["score"])
by_speaker = usual.pivot_table(index="method", columns="speaker", values="score").loc[methods]
by_speaker.style.format("{:.0f}").background_gradient(cmap="Greys", vmin=0, vmax=150)

# %% [markdown]
# ## What was learnt


# %%
def told(method, kind=USUAL):
    """Accuracy in % with its interval."""
    row = 100 * rows_of(method).loc[kind, ["score", "score_low", "score_high"]]
    return f"{row['score']:.1f} % [{row['score_low']:.1f}, {row['score_high']:.1f}]"


def losers(kind):
    """The methods that a kind of support set harms, by an interval without 0."""
    harmed = {method: each for method, each in costs[kind].items() if each[2] < 0}
    lines = [
        f"`{name}` {mean:+.1f} [{low:.1f}, {high:.1f}]"
        for name, (mean, low, high) in harmed.items()
    ]
    return ", ".join(lines) or "no loss is told apart from none"


knows = by_speaker.loc["full"]
Markdown(
    "\n".join(f"- **{kind}** in place of {USUAL}: {losers(kind)}." for kind in kinds)
    + f"\n- Three labels, one of each class, take the full network from {told('full+classes')} to "
    f"{told('finetune', '1 shot')} by fine-tuning and {told('full+prototypes', '1 shot')} by the "
    f"nearest class mean, sixty to {told('finetune', '20 shots')} and "
    f"{told('full+prototypes', '20 shots')}.\n"
    f"- Speakers differ more than methods: the full network has {knows.max():.0f} % on "
    f"`{knows.idxmax()}` and {knows.min():.0f} % on `{knows.idxmin()}`."
)
