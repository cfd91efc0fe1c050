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
# # Quick start: one network, made small for one person
#
# **What this answers:** what do a person's own few samples, without labels and without any
# training, make of a global network, and what does it cost in accuracy? On handwritten digits, in
# a minute, no download.
#
# A *person* here uses 2 of the 10 digits. *Prototype-based Personalized Pruning* (PPP) looks at 10
# unlabelled samples of theirs and keeps the channels that these open; *L1* keeps the largest
# filters, for everybody alike; then *fine-tuning* trains on the person's labels. What the samples
# give for nothing stands beside it: they tell which digits the person writes, and `+classes`
# corrects the outputs for that.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown

from pppl import Experiment, compare, load_run
from pppl.figures import accuracy_vs_macs, style

experiment = Experiment.load("../sweeps/compare/digits.yaml").replace(
    name="quickstart",
    seeds=[0],
    persons__classes=[2],
    persons__count=6,
    person_training__epochs=40,
    methods=[
        *("full", "full+classes", "ppp@persons", "ppp@persons+classes"),
        *("l1_local", "l1_local+finetune"),
    ],
    budgets=[0.1, 0.25],
)

# %% [markdown]
# One line trains the global networks (kept, so that it happens once), personalizes them for every
# person, method and budget, and measures. The table shows means with 95 % intervals over persons.

# %%
summary = compare(experiment, "../results/quickstart")
summary.query("budget in (0.1, 1)")

# %% [markdown]
# `load_run` opens any results folder again: settings, tables, persons and networks.

# %%
run = load_run("../results/quickstart")
person, somebody = run.persons[:2]
personal = run.personalize(person, method="ppp@persons", budget=0.1)
personal

# %% [markdown]
# The person's digits, as the network gets them, and how well three networks of a tenth of the
# MACs read them: their own, the one that another person's samples would have chosen, and what L1
# leaves.

# %%
fig, axes = plt.subplots(1, 10, figsize=(6, 0.8))
for ax, image in zip(axes, run.dataset.inputs(person.support), strict=True):
    ax.imshow(image[0], cmap="gray_r")
    ax.axis("off")
_ = fig.suptitle(
    f"the support set of person {person.identity}: {len(person.support)} samples", fontsize=9
)

# %%
networks = {
    "the full network": run.global_model().full,
    "their own": personal,
    f"that of person {somebody.identity}": run.personalize(
        somebody, method="ppp@persons", budget=0.1
    ),
    "what L1 leaves": run.personalize(person, method="l1_local", budget=0.1),
}
for name, network in networks.items():
    print(f"{name:<24}{run.accuracy(network, person):7.1%} of {len(person.query)} queries")

# %% [markdown]
# The same at every budget, all persons together.

# %%
with style("icml"):
    fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    accuracy_vs_macs(summary, ax, looks=run.looks)
    ax.set_ylabel("accuracy on the person's queries")
    fig.legend(loc="outside right upper", frameon=False)

# %% [markdown]
# **Your own data** need one `.npz` file: `x` `(N, C, H, W)` or `(N, C, T)`, `y` `(N,)`, `classes`
# `(K,)`, and, if you know them, `identity` `(N,)`, the person of each sample. With your file at
# `data__name` the comparison is yours; these data are made up.

# %%
import numpy as np

rng = np.random.default_rng(0)
# 12 people, 4 activities, 10 recordings of each
subject, activity, _ = np.indices((12, 4, 10)).reshape(3, -1)
x = rng.normal(size=(len(subject), 3, 64)) + 0.5 * activity[:, None, None]
names = ["walk", "climb", "sit", "stand"]
np.savez(
    "../results/made_up.npz", x=x.astype(np.float32), y=activity, classes=names, identity=subject
)

mine = experiment.replace(
    name="made_up",
    methods=["full", "full+classes", "ppp", "l1_local", "l1_local+finetune"],
    data__name="../results/made_up.npz",
    training__epochs=30,
    training__batch_size=32,
    budgets=[0.25],
    persons__count=3,
)
compare(mine, "../results/made_up")

# %% [markdown]
# ## What was learnt

# %%
tenth = summary[summary["budget"] == 0.1].set_index(["method", "control"])
full = summary["score_full"].iloc[0]


def told(method, control=""):
    row = tenth.loc[(method, control)]
    return f"{row['score']:.1%} [{row['score_low']:.1%}, {row['score_high']:.1%}]"


gains = run.frame("gains.csv").query("budget == 0.1 and against == 'twin'")
gain = gains.set_index("method").loc["ppp@persons"]
free = summary.set_index("method").loc["full+classes"]
Markdown(
    f"At a tenth of the MACs the person's own network has {told('ppp@persons', 'own')} where the "
    f"full one has {full:.1%}, and with the person's classes, which cost nothing, "
    f"{free['score']:.1%}. Chosen by another person's samples it has "
    f"{told('ppp@persons', 'other')}, but over other samples of the same digits its own gain "
    f"{100 * gain['gain']:.1f} points [{100 * gain['gain_low']:.1f}, "
    f"{100 * gain['gain_high']:.1f}]: "
    f"what is chosen are the digits, not the hand. L1 without training keeps {told('l1_local')}, "
    f"and after 80 steps on the person's labels {told('l1_local+finetune')}. This is one seed and "
    f"{int(gain['n'])} persons: `02_ppp_vs_the_field` has the full comparisons."
)
