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
# a class is missing or rare, if the mask is another person's, and what do labels buy? Spoken digits
# of speakers whom training never met, 3 of the 10 digits each, at a quarter of the MACs
# (multiply-accumulates). From `results/` alone; nothing is trained here.
#
# A *support set* are the samples that a person shows, `N shots` are N of each class; accuracy is
# measured on other samples of the person, the *queries*. The same persons get every kind of support
# set: `5 shots and a new class` has no sample of a fourth class that is among the queries, in
# `a fifth of others` every fifth sample is another speaker's, and `5, 2 and 1 shots` has classes of
# unequal number.
#
# | method | what it makes of the samples |
# |---|---|
# | `full` | nothing: the global network as it is |
# | `+classes` | outputs corrected for the classes that votes find; `@told`: that the person tells |
# | `+tent` | scales and shifts of batch normalization, trained for certain predictions |
# | `+prototypes` | with labels: the class whose labelled samples have the nearest mean features |
# | `+finetune` | with labels: the weights, trained on |
# | `+diff` | with labels: a sparse difference of the weights |
# | `l1_local+retrain` | one small network for all: smallest filters removed, the rest trained on |
# | `ppp@nothing` | one small network for all, chosen by gates that see nobody's samples |
# | `ppp@channels` | one for each person, by gates that see the full network's channels |
# | `ppp@code` | the same, with a code of the person that is moved on the support set |
#
# The last two are *Prototype-based Personalized Pruning* (PPP,
# [picture](../docs/concepts/ppp.md)); gates are small modules that choose channels.

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
    for place, method in enumerate(LABELLED):
        rows = rows_of(method).loc[[*count_of]]
        x = np.array([*count_of.values()]) * (1 + 0.04 * (place - 2))  # beside each other
        score, low, high = (100 * rows[name] for name in ("score", "score_low", "score_high"))
        look = run.looks.look(method, rows["control"].iloc[0])
        ax.errorbar(
            x, score, yerr=[score - low, high - score], color=look.colour, marker="os^dv"[place],
            ls=look.dash, ms=4, capsize=2, label=look.label,
        )  # fmt: skip
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
# ## Another person's mask
#
# What if the mask of somebody else is used, with the outputs corrected for the person's own
# classes? Own mask less that of everybody together (*population*), of *another* person, of a
# *twin* (somebody else with the same classes; where persons are classes, other samples of these)
# and of a *swap* (the person's other classes), in points. Right of 0 the own one is better.

# %%
MASKS = {
    "spoken digits, unseen, 25 %": ("support", "ppp@channels+classes", "person+3 classes, 5 shots"),
    "keywords, 3 classes, unseen, 10 %": (
        "leads_keywords", "ppp@channels+classes", "person+3 classes",
    ),
    "keywords, 10 classes, unseen, 10 %": (
        "leads_keywords", "ppp@channels+classes", "person+10 classes",
    ),
    "photographs, gates see channels, 10 %": (
        "leads_photographs", "ppp@channels+classes", "3 classes",
    ),
    "photographs, gates see predictions, 10 %": ("photographs", "ppp@persons+classes", "3 classes"),
    "digits, gates see predictions, 10 %": ("digits", "ppp@persons+classes", "5 classes"),
}  # fmt: skip
AGAINST = {"population": "s", "other": "o", "twin": "d", "swap": "v"}


def gains_of(folder, method, persons):
    """Own less each control, for people whom training never met."""
    gains = load_run(f"../results/{folder}").frame("gains.csv")
    gains = gains[(gains["method"] == method) & (gains["persons"] == persons)]
    gains = gains[~gains["seen"] | ~gains["persons"].str.startswith("person")]
    return gains[gains["budget"] == (0.25 if folder == "support" else 0.1)].set_index("against")


gains = {title: gains_of(*which) for title, which in MASKS.items()}
with style("icml"):
    fig, ax = plt.subplots(figsize=(6.75, 3.1), layout="constrained")
    for shift, (against, marker) in zip((-0.24, -0.08, 0.08, 0.24), AGAINST.items(), strict=True):
        rows = 100 * pd.DataFrame(
            [
                gain.loc[against, ["gain", "gain_low", "gain_high"]].astype(float)
                for gain in gains.values()
            ]
        )
        ends = [rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]
        places = np.arange(len(rows)) + shift
        ax.errorbar(
            rows["gain"], places, xerr=ends, marker=marker, ms=4, capsize=2, ls="", label=against
        )
    ax.axvline(0, color="black", lw=0.6)
    ax.set_yticks(range(len(gains)), list(gains))
    ax.invert_yaxis()
    ax.set_xlabel("own mask less the control's (points)")
    fig.legend(frameon=False, loc="outside right upper", title="less that of")

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


def better(against):
    """For which of the data above the own mask is better than a control's, by the interval."""
    rows = {title: gain.loc[against] for title, gain in gains.items()}
    above = [
        f"{title} ({100 * row['gain']:+.1f} [{100 * row['gain_low']:.1f}, "
        f"{100 * row['gain_high']:.1f}])"
        for title, row in rows.items()
        if row["gain_low"] > 0 and row["gain_high"] > 0.01  # more than equal within a point
    ]
    return "; ".join(above) or "nowhere"


knows = by_speaker.loc["full"]
Markdown(
    "\n".join(f"- **{kind}** in place of {USUAL}: {losers(kind)}." for kind in kinds)
    + f"\n- Three labels, one of each class, take the corrected full network from "
    f"{told('full+classes')} to "
    f"{told('finetune', '1 shot')} by fine-tuning and {told('full+prototypes', '1 shot')} by the "
    f"nearest class mean, sixty to {told('finetune', '20 shots')} and "
    f"{told('full+prototypes', '20 shots')}.\n"
    f"- **Another person's mask**: the own one is better than another person's on "
    f"{better('other')}; than that of other classes on {better('swap')}; than a twin's on "
    f"{better('twin')}; than everybody's on {better('population')}.\n"
    f"- Speakers differ: the full network has {knows.max():.0f} % on "
    f"`{knows.idxmax()}` and {knows.min():.0f} % on `{knows.idxmin()}`."
)
