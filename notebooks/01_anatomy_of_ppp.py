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
# # Anatomy of PPP: gates, prototypes, thresholds
#
# **What this answers:** what do the gates see in a person, how does a prototype become a network,
# and which of the choices on the way matter? Handwritten digits; networks of `results/digits` are
# taken from the cache or trained, half a minute.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.decomposition import PCA

from pppl import load_run, prototype, study
from pppl.figures import gates_figure, style

run = load_run("../results/digits")
GATES = "ppp@tenth"  # trained for each sample, for a tenth of the MACs
run

# %% [markdown]
# ## Gates over layers and people
#
# How probable it is that a channel is open for a person's samples. Rows are channels, sorted in
# their layer by how often they are open for everybody; columns are persons. What is alike in a
# row is nobody's own.

# %%
gates = run.frame("gates.csv")
with style("icml"):
    fig = gates_figure(gates[gates["persons"] == "2 classes"])
fig

# %%
of_two = gates[gates["persons"] == "2 classes"]
each = of_two.pivot(index="identity", columns=["layer", "channel"], values="probability")
spread = (each.max() - each.min() > 0.5).groupby("layer").mean()
always, never = (
    (each.min() > 0.5).groupby("layer").mean(),
    (each.max() < 0.5).groupby("layer").mean(),
)
pd.DataFrame(
    {"open for all": always, "closed for all": never, "depends on the person": spread}
).style.format("{:.0%}")

# %% [markdown]
# ## Prototypes in two dimensions
#
# A prototype is a person's mean gate over all layers. Persons of one digit each span the map; a
# person of two digits lies between theirs, since the mean of two kinds of samples is the mean of
# their means.

# %%
network = run.global_model(GATES).gated[GATES]
dataset = run.dataset
train = dataset.rows(0)
labels = dataset.y[train].numpy()
of_class = [
    [
        np.concatenate([layer.numpy() for layer in prototype(network, dataset.inputs(rows))])
        for rows in np.array_split(train[labels == digit][:60], 12)
    ]
    for digit in range(10)
]
people = np.array(
    [
        np.concatenate([g.numpy() for g in prototype(network, p.support_of(dataset).x)])
        for p in run.persons
        if p.persons == "2 classes"
    ]
)
flat = PCA(2).fit(np.concatenate(of_class))
fig, ax = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
for digit, prototypes in enumerate(of_class):
    x, y = flat.transform(np.array(prototypes)).T
    ax.scatter(x, y, marker=f"${digit}$", s=30, color="#0072B2", lw=0.4)
x, y = flat.transform(people).T
ax.scatter(
    x, y, marker="o", s=22, facecolor="none", edgecolor="#D55E00", label="persons of 2 digits"
)
share = flat.explained_variance_ratio_
ax.set(
    xlabel=f"first component ({share[0]:.0%} of the variance)",
    ylabel=f"second component ({share[1]:.0%})",
)
_ = fig.legend(loc="outside upper right", frameon=False)

# %% [markdown]
# ## What the threshold does
#
# No threshold is set by hand: channels are ranked by their probability and the best that fit the
# budget stay. Below is the least probability that stayed, per person and budget, and how many
# channels each layer keeps. Where many channels are certainly open or certainly closed, a wide
# range of thresholds gives the same network.

# %%
persons = [p for p in run.persons if p.persons == "2 classes"][:8]
budgets = (0.05, 0.1, 0.2, 0.35, 0.5)
rows = []
for person in persons:
    probabilities = prototype(network, person.support_of(dataset).x)
    for budget in budgets:
        model = run.personalize(person, method=GATES, budget=budget)
        kept = [p[mask].min().item() for p, mask in zip(probabilities, model.masks, strict=True)]
        widths = dict(enumerate(model.module.widths, 1))
        rows.append({"person": person.identity, "budget": budget, "threshold": min(kept), **widths})
kept = pd.DataFrame(rows)
fig, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.6), layout="constrained")
for _, own in kept.groupby("person"):
    left.plot(own["budget"], own["threshold"], color="#0072B2", lw=0.8, marker="o", ms=2.5)
left.set(
    xlabel="budget (fraction of the MACs)",
    ylabel="least probability that is kept",
    ylim=(-0.03, 1.03),
)
for layer, marker in zip(range(1, 5), "os^D", strict=True):
    right.plot(
        budgets, kept.groupby("budget")[layer].mean(), marker=marker, ms=4, label=f"layer {layer}"
    )
right.set(xlabel="budget (fraction of the MACs)", ylabel="channels kept (mean)")
_ = right.legend(frameon=False)

# %% [markdown]
# ## Sequential against parallel
#
# `parallel` takes all gates from one pass; `sequential` prunes layer by layer, so that each gate
# sees what it will see after pruning, at the price of a pass per layer.

# %%
sequential = run.changed(ppp__prototypes="sequential")
results = pd.DataFrame(
    [
        {
            "prototypes": name,
            "budget": budget,
            "accuracy": way.accuracy(model, person),
            "ms": 1000 * model.seconds,
        }
        for name, way in (("parallel", run), ("sequential", sequential))
        for budget in (0.05, 0.1, 0.35)
        for person in persons
        for model in [way.personalize(person, method=GATES, budget=budget)]
    ]
)
ways = results.pivot_table(index="budget", columns="prototypes", values=["accuracy", "ms"])
ways.style.format("{:.1%}", subset=["accuracy"]).format("{:.1f}", subset=["ms"])

# %% [markdown]
# ## Target rate and temperature
#
# What 100 trials of the sweep `digits_ppp` say, on validation persons at a tenth of the MACs.

# %%
trials = study("../results/digits_ppp").trials
fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained", sharey=True)
for ax, key, label in zip(
    axes, ("ppp.target_rate", "ppp.temperature"), ("target rate", "temperature"), strict=True
):
    points = ax.scatter(
        trials[key],
        trials["score"],
        c=trials["ppp.prototype_weight"],
        cmap="cividis",
        norm="log",
        s=12,
    )
    ax.set(xlabel=label)
axes[0].set(ylabel="validation accuracy")
_ = fig.colorbar(points, ax=axes, label="prototype weight")

# %% [markdown]
# ## What was learnt

# %%
good = trials.nlargest(10, "score")
gap = (ways["accuracy"]["sequential"] - ways["accuracy"]["parallel"]) * 100
slower = ways["ms"]["sequential"].mean() / ways["ms"]["parallel"].mean()
Markdown(
    f"- Between {spread.min():.0%} and {spread.max():.0%} of a layer's channels depend on the "
    f"person; the deeper "
    f"layers {'differ more' if spread.iloc[-1] > spread.iloc[0] else 'do not differ more'} "
    f"between people "
    f"(first layer {spread.iloc[0]:.0%}, last {spread.iloc[-1]:.0%}).\n"
    f"- Two components hold {share.sum():.0%} of what prototypes of single digits differ in.\n"
    f"- At 10 % of the MACs the least probability kept is "
    f"{kept[kept['budget'] == 0.1]['threshold'].median():.2f} "
    f"(median of {len(persons)} persons), at half of them "
    f"{kept[kept['budget'] == 0.5]['threshold'].median():.2g}: "
    "a larger budget takes in channels that the gates had closed.\n"
    f"- Sequential less parallel: "
    f"{', '.join(f'{v:+.1f} points at {b:.0%}' for b, v in gap.items())}, at {slower:.1f} "
    f"times the time; {len(persons)} persons of one seed, so small differences mean nothing.\n"
    f"- The ten best trials have target rates of {good['ppp.target_rate'].min():.2f} to "
    f"{good['ppp.target_rate'].max():.2f}, near the budget of 0.1, and temperatures of "
    f"{good['ppp.temperature'].min():.2f} to {good['ppp.temperature'].max():.2f}."
)
