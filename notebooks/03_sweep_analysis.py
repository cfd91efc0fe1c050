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
# # What matters in PPP: three sweeps
#
# **What this answers:** of what PPP leaves open, what matters, is there a price in being
# personal, what do more MACs buy, and what is the prototype loss worth? From the tables of three
# sweeps alone: 100 trials on digits, 100 more for a front, 32 on Arabic keywords.
#
# *Prototype-based Personalized Pruning* (PPP, [picture](../docs/concepts/ppp.md)) trains *gates*
# beside a network, small modules that open or close its channels for each sample; a person's
# *prototype* is their mean over some samples, and the most open channels that fit a budget of
# multiply-accumulates (MACs) stay. A *sweep* (Optuna) tries settings of the gates' training on
# validation persons, whom no result is reported for:
#
# | setting | meaning |
# |---|---|
# | `target_rate`, `target_weight` | the fraction of channels to leave open, and how strictly |
# | `prototype_weight`, `prototype_scale` | how much gates of one class are drawn together |
# | `temperature` | how soft decisions are in training |
# | `gate_width` | hidden units of a gate |
# | `learning_rate` | of network and gates |

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from pppl import load_run, study
from pppl.figures import style, sweep_figures

digits, arabic = study("../results/digits_ppp"), study("../results/arabic_ppp")
digits

# %% [markdown]
# ## The search as it went

# %%
with style("icml"):
    figures = sweep_figures(digits.trials, digits.importances)
figures["history"]

# %%
figures["contour"]

# %%
figures["parallel"]

# %% [markdown]
# ## What matters
#
# PED-ANOVA compares the best trials with all, setting by setting; intervals are over trials.

# %%
both = digits.importances.merge(
    arabic.importances, on="key", how="outer", suffixes=("_digits", "_arabic")
)
both = both.sort_values("importance_digits")
with style("icml"):
    fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
    for offset, name, colour, marker in (
        (-0.15, "digits", "#0072B2", "o"),
        (0.15, "arabic", "#D55E00", "s"),
    ):
        value, low, high = (both[f"importance{end}_{name}"] for end in ("", "_low", "_high"))
        ax.errorbar(
            value,
            np.arange(len(both)) + offset,
            xerr=[(value - low).clip(0), (high - value).clip(0)],
            color=colour,
            marker=marker,
            ls="",
            ms=4,
            capsize=2,
            label={"arabic": "Arabic keywords"}.get(name, name),
        )
    ax.set_yticks(range(len(both)), [key.split(".")[-1].replace("_", " ") for key in both["key"]])
    ax.set(xlabel="importance (PED-ANOVA), 95 % interval", xlim=(0, 1))
    _ = ax.legend(frameon=False, loc="lower right")

# %% [markdown]
# ## Accuracy against being personal
#
# A trial's accuracy with a person's own samples, and how much less another person's samples give.
# None beats those on the front in both.


# %%
def front(frame, x, y):
    """Rows that no other beats in both columns."""
    rows = frame.sort_values([x, y], ascending=False)
    return rows[rows[y] > rows[y].cummax().shift(fill_value=-1)]


with style("icml"):
    fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.8), layout="constrained")
    for ax, (name, result) in zip(
        axes, {"digits, 10 %": digits, "Arabic keywords, 35 %": arabic}.items(), strict=True
    ):
        done = result.trials[result.trials["state"] == "complete"]
        dots = ax.scatter(
            done["own_minus_other"],
            done["score"],
            c=done["ppp.prototype_weight"],
            norm="log",
            cmap="cividis",
            s=14,
        )
        best = front(done, "score", "own_minus_other")
        ax.plot(
            best["own_minus_other"], best["score"], color="#D55E00", lw=1, zorder=0, label="front"
        )
        ax.set(title=f"{name} of the MACs", xlabel="own less another's accuracy")
        fig.colorbar(dots, ax=ax, label="prototype weight")
    axes[0].set_ylabel("validation accuracy")
    _ = axes[0].legend(frameon=False, loc="lower left")

# %% [markdown]
# ## What more MACs buy
#
# On digits the budget was searched, too, for a front of accuracy against MACs (NSGA-II).

# %%
several = study("../results/digits_front")
with style("icml"):
    figures = sweep_figures(several.trials, several.importances)
figures["pareto"]

# %% [markdown]
# ## What the prototype loss is worth
#
# The prototype loss draws the gates of one class together and those of others apart. First its
# weight in the two sweeps, by quarters or thirds of the trials; then, on test persons and seeds
# that no trial used, gates that are trained for a person at a time with it and without it
# (`gated`).

# %%
rows = []
for name, result in (("digits", digits), ("Arabic keywords", arabic)):
    done = result.trials[result.trials["state"] == "complete"]
    cut = pd.qcut(done["ppp.prototype_weight"], 4 if len(done) > 40 else 3)
    for part, of_part in done.groupby(cut, observed=True):
        rows.append(
            {
                "sweep": name,
                "weight": f"{part.left:.3g} to {part.right:.3g}",
                "trials": len(of_part),
                "median accuracy": of_part["score"].median(),
                "median own - other": of_part["own_minus_other"].median(),
            }
        )
weights = pd.DataFrame(rows).set_index(["sweep", "weight"])
weights.style.format("{:.1%}", subset=["median accuracy", "median own - other"])

# %%
QUESTION = "The prototype loss of gates per person (ppp@persons less gated@persons)"
worth = load_run("../results/digits").frame("answers.csv").query("question == @QUESTION")


def interval(row, name):
    return (
        f"{100 * row[name]:.1f} [{100 * row[f'{name}_low']:.1f}, {100 * row[f'{name}_high']:.1f}]"
    )


pd.DataFrame(
    {
        "persons": worth["persons"],
        "budget": worth["budget"],
        "accuracy with the loss less without (points)": worth.apply(
            interval, axis=1, name="difference"
        ),
        "p, corrected": worth["holm_p"],
    }
).style.hide(axis="index").format("{:.0%}", subset=["budget"]).format(
    "{:.2f}", subset=["p, corrected"]
)

# %% [markdown]
# ## What was learnt

# %%
first = {
    name: result.importances.iloc[0]
    for name, result in (("digits", digits), ("Arabic keywords", arabic))
}
second = {
    name: result.importances.iloc[1]
    for name, result in (("digits", digits), ("Arabic keywords", arabic))
}
clear = worth[(worth["difference_low"] > 0) | (worth["difference_high"] < 0)]


def rank(row, next_row):
    """Whether a setting's importance is told apart from the next one's, by their intervals."""
    apart = row["importance_low"] > next_row["importance_high"]
    return f"{'' if apart else 'not '}told apart from `{next_row['key']}`"


told = "; ".join(
    f"on {name} `{row['key']}` has the highest importance ({row['importance']:.2f} "
    f"[{row['importance_low']:.2f}, {row['importance_high']:.2f}]), {rank(row, second[name])}"
    for name, row in first.items()
)
of_weight = weights.loc["digits", "median accuracy"]
best = {
    name: result.trials.loc[result.trials["best"], "score"].iloc[0]
    for name, result in (("digits", digits), ("Arabic keywords", arabic))
}
Markdown(
    f"- {told[0].upper()}{told[1:]}.\n"
    f"- The best trials have {', '.join(f'{v:.1%} on {k}' for k, v in best.items())}, on "
    f"validation persons; the best of "
    "many flatters.\n"
    f"- On test persons the prototype loss changes accuracy clearly (interval without 0) in "
    f"{len(clear)} of "
    f"{len(worth)} cases.\n"
    f"- Of the prototype weights on digits the lowest quarter has a median accuracy of "
    f"{of_weight.iloc[0]:.0%} over its trials, the highest {of_weight.iloc[-1]:.0%}"
    f"{': large weights cost accuracy' if of_weight.iloc[-1] < of_weight.iloc[0] - 0.01 else ''}."
)
