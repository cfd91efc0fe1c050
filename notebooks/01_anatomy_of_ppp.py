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
# # Anatomy of PPP: two kinds of gates
#
# **What this answers:** what do gates see in a person, how does that become a network, and what do
# the choices on the way matter? *Prototype-based Personalized Pruning* (PPP) trains *gates* beside
# a network: small modules that open or close its channels. A few unlabelled samples of a person,
# the *support set*, pass through them, and the channels that are most open and fit the *budget* (a
# fraction of the full network's multiply-accumulates, MACs) stay: the person's *mask*
# ([picture](how_it_works.svg)). There are two kinds of gates:
#
# - **per sample** (`ppp`, after the paper): a gate on each layer sees the layer's input and decides
#   for each sample alone. The *prototype* of a person is the mean over the support set.
# - **per person** (`ppp.training: persons`, beyond the paper): gates see the mean of the full
#   network's class predictions over the support set, and the budget, and score all channels at
#   once. They are trained on persons, with masks as they will be deployed.
#
# Handwritten digits, persons who use 2 of them; networks of `results/digits` are taken from the
# cache or trained, in about a minute.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.decomposition import PCA

from pppl import load_run, prototype, study
from pppl.figures import gates_figure, style

SAMPLE, PERSON = "ppp@tenth", "ppp@persons"
KINDS = {"per sample": SAMPLE, "per person": PERSON}
results = load_run("../results/digits")
settings = {name: results.experiment.settings[name] for name in KINDS.values()}
if os.environ.get("PPPL_FAST"):  # tests train for a tenth of the time
    for name, key in ((SAMPLE, "ppp.epochs"), (PERSON, "person_training.epochs")):
        settings[name] = settings[name] | {key: 10}
run = results.changed(methods=list(KINDS.values()), settings=settings, tuning={}, searched={})
dataset = run.dataset
persons = [p for p in run.persons if p.persons == "2 classes"]
results

# %% [markdown]
# ## Gates per sample, over layers and people
#
# How probable it is that a channel is open for a person's samples. Rows are channels, sorted in
# their layer by how often they are open for everybody; columns are persons. What is alike in a row
# is nobody's own.

# %%
gates = results.frame("gates.csv")
of_two = gates[gates["persons"] == "2 classes"]
with style("icml"):
    fig = gates_figure(of_two)
fig

# %%
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
# ## What they see
#
# Left, prototypes of gates per sample: a person's mean gates over all layers, in two dimensions.
# Persons of one digit each span the map; a person of two digits lies between theirs, since the mean
# of two kinds of samples is the mean of their means. Right, what gates per person see: ten numbers,
# the mean prediction for each class. Two persons with the same digits look the same there.

# %%
sampled, per_person = (run.global_model(name) for name in KINDS.values())


def prototype_of(x):
    """The mean open probability of all channels over samples, `(D,)`."""
    return np.concatenate([p.numpy() for p in prototype(sampled.gated[SAMPLE], x)])


def view_of(x):
    """The mean class prediction over samples, `(K,)`, which gates per person see."""
    return per_person.gated[PERSON].view(x, per_person.full).mean(0).detach().numpy()


train = dataset.rows(0)
labels = dataset.y[train].numpy()
pieces = {
    digit: [dataset.inputs(rows) for rows in np.array_split(train[labels == digit][:60], 12)]
    for digit in range(10)
}
shares = {}
with style("icml"):
    fig, axes = plt.subplots(1, 2, figsize=(6.75, 3.3), layout="constrained")
    for ax, (kind, see) in zip(
        axes, {"per sample": prototype_of, "per person": view_of}.items(), strict=True
    ):
        of_digit = {digit: np.array([see(x) for x in xs]) for digit, xs in pieces.items()}
        flat = PCA(2).fit(np.concatenate([*of_digit.values()]))
        for digit, seen in of_digit.items():
            ax.scatter(*flat.transform(seen).T, alpha=0)  # letters alone leave the axes as they are
            for x, y in flat.transform(seen):
                ax.text(x, y, str(digit), ha="center", va="center", color="#0072B2", fontsize=8)
        people = np.array([see(p.support_of(dataset).x) for p in persons])
        ax.scatter(
            *flat.transform(people).T, s=22, facecolor="none", edgecolor="#D55E00",
            label="persons of 2 digits",
        )  # fmt: skip
        share = shares[kind] = flat.explained_variance_ratio_
        ax.set(
            title=f"gates {kind}",
            xlabel=f"first component ({share[0]:.0%} of the variance)",
            ylabel=f"second component ({share[1]:.0%})",
        )
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", frameon=False)

# %% [markdown]
# ## Masks
#
# What both kinds keep at a tenth of the MACs, person by person: black where a channel is kept.
# Channels are sorted in their layer by how many persons keep them.

# %%
masks = {
    kind: {p.identity: run.personalize(p, method=name, budget=0.1).masks for p in persons}
    for kind, name in KINDS.items()
}
with style("icml"):
    fig, axes = plt.subplots(1, 2, figsize=(6.75, 3.6), layout="constrained")
    for ax, (kind, of_person) in zip(axes, masks.items(), strict=True):
        layers = []
        for layer in zip(*of_person.values(), strict=True):
            kept = np.array([mask.numpy() for mask in layer]).T  # (channels, persons)
            layers.append(kept[np.argsort(-kept.sum(1), kind="stable")])
        ax.imshow(np.concatenate(layers), cmap="Greys", aspect="auto", interpolation="nearest")
        edges = np.cumsum([len(layer) for layer in layers])
        for edge in edges[:-1]:
            ax.axhline(edge - 0.5, color="#0072B2", lw=0.8)
        names = [f"layer {number}" for number in range(1, len(layers) + 1)]
        ax.set_yticks(edges - [len(layer) / 2 for layer in layers], names, rotation=90, va="center")
        ax.set_xticks(range(len(of_person)), list(of_person), rotation=90)
        ax.tick_params(length=0)
        ax.set(title=f"gates {kind}", xlabel="person (digits)")

# %% [markdown]
# How much of a mask is a person's own: the share of kept channels that it has in common with the
# mask of a *twin* (other samples of the same digits), of a *swap* (other digits), and of all other
# persons.

# %%


def common(one, two):
    """The share of the channels kept by one mask or the other that both keep."""
    pairs = [*zip(one, two, strict=True)]
    return sum(int((a & b).sum()) for a, b in pairs) / sum(int((a | b).sum()) for a, b in pairs)


def mask_of(name, rows, person):
    """The mask of a person's network if these rows of the data are the support set."""
    own = run.personalizer(name)
    return own.personalize(run.global_model(name), person.support_of(dataset, rows), 0.1).masks


def overlaps(kind, name):
    """Mean shares in common, over persons."""
    own = masks[kind]
    others = [common(a, b) for i, a in own.items() for j, b in own.items() if i < j]
    of = {
        against: np.mean([common(own[p.identity], mask_of(name, rows(p), p)) for p in persons])
        for against, rows in (("twin", lambda p: p.twin), ("swap", lambda p: p.swap))
    }
    return of | {"another person": np.mean(others)}


overlap = pd.DataFrame({f"gates {kind}": overlaps(kind, name) for kind, name in KINDS.items()}).T
overlap.style.format("{:.0%}")

# %% [markdown]
# ## From probabilities to a budget
#
# No threshold is set by hand: channels are ranked and the best that fit the budget stay. Left, the
# least probability that stayed with gates per sample, for each person and budget: where many
# channels are certainly open or certainly closed, a wide range of thresholds gives the same
# network. Right, the channels that both kinds keep in each layer (mean over persons).

# %%
budgets = (0.05, 0.1, 0.2, 0.35, 0.5)
rows = []
for kind, name in KINDS.items():
    for person in persons:
        probabilities = prototype(sampled.gated[SAMPLE], person.support_of(dataset).x)
        for budget in budgets:
            model = run.personalize(person, method=name, budget=budget)
            least = min(p[m].min().item() for p, m in zip(probabilities, model.masks, strict=True))
            row = {"kind": kind, "person": person.identity, "budget": budget, "threshold": least}
            row["accuracy"] = run.accuracy(model, person)
            rows.append(row | dict(enumerate(model.module.widths, 1)))
kept = pd.DataFrame(rows)
with style("icml"):
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.75, 3), layout="constrained")
    for _, own in kept[kept["kind"] == "per sample"].groupby("person"):
        left.plot(own["budget"], own["threshold"], color="#0072B2", lw=0.8, marker="o", ms=2.5)
    left.set(
        xlabel="budget (fraction of the MACs)",
        ylabel="least probability that is kept",
        yscale="log",
    )
    for (kind, rows), dash in zip(kept.groupby("kind", sort=False), ("-", "--"), strict=True):
        for layer, marker, colour in zip(
            range(1, 5), "os^D", ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True
        ):
            means = rows.groupby("budget")[layer].mean()
            label = f"layer {layer}, {kind}"
            right.plot(budgets, means, dash, marker=marker, color=colour, ms=4, label=label)
    right.set(xlabel="budget (fraction of the MACs)", ylabel="channels kept (mean)")
    fig.legend(*right.get_legend_handles_labels(), loc="outside right center", frameon=False)

# %% [markdown]
# What that comes to in accuracy on these persons, one seed, outputs not corrected for their
# classes. Gates per sample are trained for one budget (here a tenth), gates per person for all
# above 4.5 %.

# %%
accuracies = kept.pivot_table(index="budget", columns="kind", values="accuracy", sort=False)
accuracies.style.format("{:.1%}").format_index("{:.0%}")

# %% [markdown]
# ## Gates per sample: sequential against parallel
#
# `parallel` takes all gates from one pass; `sequential` prunes layer by layer, so that each gate
# sees what it will see after pruning, at the price of a pass per layer.

# %%
sequential = run.changed(ppp__prototypes="sequential")
compared = pd.DataFrame(
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
        for model in [way.personalize(person, method=SAMPLE, budget=budget)]
    ]
)
ways = compared.pivot_table(index="budget", columns="prototypes", values=["accuracy", "ms"])
ways.style.format("{:.1%}", subset=["accuracy"]).format("{:.1f}", subset=["ms"]).format_index(
    "{:.0%}"
)

# %% [markdown]
# ## Gates per sample: target rate and temperature
#
# The target rate is the fraction of channels that training wants open, the temperature how soft the
# gates' decisions are in training. What 100 trials of the sweep `digits_ppp` say, on validation
# persons at a tenth of the MACs.

# %%
trials = study("../results/digits_ppp").trials
with style("icml"):
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
    fig.colorbar(points, ax=axes, label="prototype weight")

# %% [markdown]
# ## What was learnt

# %%
good = trials.nlargest(10, "score")
gap = (ways["accuracy"]["sequential"] - ways["accuracy"]["parallel"]) * 100
slower = ways["ms"]["sequential"].mean() / ways["ms"]["parallel"].mean()
of_sample = kept[kept["kind"] == "per sample"].groupby("budget")["threshold"].median()
deeper = "differ more" if spread.iloc[-1] > spread.iloc[0] else "do not differ more"
at_tenth = accuracies.loc[0.1]
twins, swaps = overlap["twin"], overlap["swap"]
Markdown(
    f"- Gates per sample: between {spread.min():.0%} and {spread.max():.0%} of a layer's channels "
    f"depend on the person; the deeper layers {deeper} between people (first layer "
    f"{spread.iloc[0]:.0%}, last {spread.iloc[-1]:.0%}). Two components hold "
    f"{shares['per sample'].sum():.0%} of what prototypes of single digits differ in.\n"
    f"- Masks of the same digits from other samples have {twins.iloc[0]:.0%} (per sample) and "
    f"{twins.iloc[1]:.0%} (per person) of their channels in common, those of other digits "
    f"{swaps.iloc[0]:.0%} and {swaps.iloc[1]:.0%}: what is personal here are the classes.\n"
    f"- At a tenth of the MACs gates per sample have {at_tenth['per sample']:.1%}, gates per "
    f"person {at_tenth['per person']:.1%}; at half of them {accuracies.loc[0.5, 'per sample']:.1%} "
    f"and {accuracies.loc[0.5, 'per person']:.1%} ({len(persons)} persons of one seed).\n"
    f"- Gates per sample keep channels down to a probability of {of_sample[0.1]:.2g} at 10 % of "
    f"the MACs (median), {of_sample[0.5]:.2g} at half of them: a budget above what the gates open "
    "takes in channels that they had closed, the more so the larger it is.\n"
    f"- Sequential less parallel: "
    f"{', '.join(f'{v:+.1f} points at {b:.0%}' for b, v in gap.items())}, at {slower:.1f} times "
    f"the time; {len(persons)} persons of one seed, so small differences mean nothing.\n"
    f"- The ten best trials have target rates of {good['ppp.target_rate'].min():.2f} to "
    f"{good['ppp.target_rate'].max():.2f}, near the budget of 0.1, and temperatures of "
    f"{good['ppp.temperature'].min():.2f} to {good['ppp.temperature'].max():.2f}."
)
