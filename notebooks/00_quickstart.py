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
# # Quick start: one network, made small and personal
#
# **What this answers:** a person shows a global network a few samples, without labels. What do
# these make of it, and what does it cost in accuracy to make it small? Handwritten digits, about a
# minute, no download. The last but one cell is an **explorer**: run the notebook, then choose.
#
# It trains what the [findings](../results/FINDINGS.md) recommend, for persons with few classes:
#
# - `full+classes`: the full network, its outputs corrected for the classes that it finds in the
#   person's samples. No labels, no training, no cost.
# - `l1_local+retrain+classes`: one small network for everybody, its smallest filters removed (their
#   L1 norm) and the rest trained on, with the same correction.
#
# Beside them stands the subject of this project, `ppp@persons+classes`: *Prototype-based
# Personalized Pruning* (PPP), a small network for each person. The [README](../README.md) has the
# commands, your own data and your own network; the picture shows how PPP works.
#
# ![How PPP makes one global network small and personal](how_it_works.svg)

# %% [markdown]
# ## Words
#
# | word | meaning |
# |---|---|
# | person | here 3 of the 10 digits; in other data a speaker, a writer, a subject |
# | support set | the samples that a person shows, 5 of each class; labels are not read |
# | queries | other samples of the same classes, on which accuracy is measured, among all classes |
# | MACs | multiply-accumulates, the arithmetic of one pass through a network |
# | budget | the fraction of the full network's MACs that a small one may have |
# | gates | small modules, trained beside the network, that open or close its channels |
# | prototype | the mean of the gates over a support set: how probable each channel is open |
# | mask | the channels that are kept: the most probable ones that fit the budget |
# | own | a person's mask from their own support set; the rows below are its *controls* |
# | population | the mask of everybody's samples together |
# | other | the mask of another person |
# | twin | the mask of other samples of the same classes: does another draw of samples matter? |
# | swap | the mask of other classes: does it matter which classes? |
# | random | a mask by lot, as large |
# | \[low, high\] | 95 % interval: over persons for means, over queries for one person's accuracy |
# | p (Holm) | of a paired test over persons, corrected by Holm for the number of tests made |
# | seed | all random choices: split, persons, beginnings of networks; here there is one |

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from pppl import Experiment, compare, explore, load_run
from pppl.figures import accuracy_vs_macs, style

FREE, SMALL, OWN = "full+classes", "l1_local+retrain+classes", "ppp@persons+classes"
BUDGETS = [0.05, 0.1, 0.25]
SHOWN = 0.1  # the budget that tables and texts below are about, one of these
experiment = Experiment().replace(
    name="quickstart",
    data__name="digits",
    persons__classes=[3],
    persons__count=8,
    training__epochs=8,  # few, so that the full network makes mistakes to look at
    training__learning_rate=0.03,
    retrain__epochs=20,
    retrain__learning_rate=0.02,
    retrain__distillation=1.0,
    person_training__epochs=20,
    methods=["full", FREE, "l1_local+retrain", SMALL, "ppp@persons", OWN],
    budgets=BUDGETS,
    seeds=[0],
    reference="full",
    settings={"ppp@persons": {"ppp.training": "persons", "person_training.learning_rate": 0.04}},
    questions={
        "The full network, corrected for the person's classes, less as it is": [FREE, "full"],
        "One small network for everybody less the full network, both corrected": [SMALL, FREE],
        "A mask of one's own less one small network for everybody, both corrected": [OWN, SMALL],
    },
    looks={
        "ppp@persons": {"label": "PPP per person, own", "colour": "#C51B7D", "marker": "d"},
        OWN: {"label": "PPP per person, person's classes", "colour": "#C51B7D", "marker": "H"},
    },
)

# %% [markdown]
# ## Train and compare
#
# One line trains the networks for everybody (they are kept, so that it happens once), makes
# networks for all persons, methods and budgets, and measures. Means with intervals over `n` persons
# at the budget `SHOWN`; *seen* persons' digits were in training, and passes are how often training
# went through samples, of the person or of everybody, beyond the full network's training:

# %%
summary = compare(experiment, "../results/quickstart")
summary.query("budget in (@SHOWN, 1) and control in ('', 'own')")

# %%
run = load_run("../results/quickstart")  # opens any results folder again
with style("icml"):
    fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    of_own = summary[summary["control"].isin(["", "own"])]
    accuracy_vs_macs(of_own, ax, looks=run.looks, bottom=0.8)
    ax.set_ylabel("accuracy on the queries")
    fig.legend(loc="outside right upper", frameon=False)

# %% [markdown]
# ## Dissect what is free
#
# The support set of one person, and which classes the full network takes it for. A class that gets
# clearly fewer votes than the others is left out; outputs of the classes left out are closed.

# %%
person = run.persons[0]
with style("icml"):
    fig, axes = plt.subplots(1, len(person.support), figsize=(6.5, 0.8))
    for ax, image in zip(axes, run.dataset.inputs(person.support), strict=True):
        ax.imshow(image[0], cmap="gray_r")
        ax.axis("off")
    fig.suptitle(f"support set of person {person.identity}, 5 samples of each class", fontsize=9)


# %%
def look_at(person):
    """What the votes of a person's support set find, and what that changes."""
    corrected = run.personalize(person, method=FREE)
    return {
        "person's classes": person.identity.replace("+", ", "),
        "found by votes": ", ".join(map(str, corrected.classes.prior.nonzero().flatten().tolist())),
        "queries": len(person.query),
        "full": run.accuracy(run.global_model().full, person),
        "corrected": run.accuracy(corrected, person),
    }


found = pd.DataFrame(map(look_at, run.persons))
found.style.format("{:.1%}", subset=["full", "corrected"]).hide(axis="index")

# %% [markdown]
# ## Dissect a small network
#
# The network for everybody at the budget `SHOWN`: what it costs (its time is that of training it,
# once), what each layer keeps. The correction closes the outputs of classes that the person does
# not have: a bit for each class in the person's file.

# %%
run.personalize(person, method=SMALL, budget=SHOWN)

# %% [markdown]
# ## Dissect a mask of one's own
#
# PPP's mask beside its controls, same persons, outputs corrected alike: own less control, in
# points. A mask that is personal beats the twin's; one that only knows which classes a person has
# ties with the twin's and beats the swap's.

# %%
gains = run.frame("gains.csv").query("method == @OWN and budget == @SHOWN").set_index("against")


def points(row, name):
    """A difference in points with its interval."""
    mean, low, high = (round(100 * row[f"{name}{end}"], 1) + 0.0 for end in ("", "_low", "_high"))
    return f"{mean:+.1f} [{low:.1f}, {high:.1f}]"


pd.DataFrame(
    {
        "own less control (points)": gains.apply(points, axis=1, name="gain"),
        "p (Holm)": gains["holm_p"],
        "tests": gains["holm_tests"].astype(int),
    }
).style.format("{:.2f}", subset=["p (Holm)"])

# %% [markdown]
# ## Your own data
#
# One `.npz` file: `x` `(N, C, H, W)` or `(N, C, T)`, `y` `(N,)`, `classes` `(K,)`, and, if you
# know them, `identity` `(N,)`, the person of each sample. With your file at `data__name` the
# comparison is yours; these data are made up, of 12 people, some of whom training never meets
# (*unseen*).

# %%
rng = np.random.default_rng(0)
subject, activity, _ = np.indices((12, 4, 10)).reshape(3, -1)  # 10 recordings of 4 activities
x = rng.normal(size=(len(subject), 3, 64)) + 0.3 * activity[:, None, None]
names = ["walk", "climb", "sit", "stand"]
np.savez(
    "../results/made_up.npz", x=x.astype(np.float32), y=activity, classes=names, identity=subject
)
mine = experiment.replace(
    name="made_up",
    data__name="../results/made_up.npz",
    training__epochs=30,
    training__batch_size=32,
    methods=["full", FREE, SMALL],
    budgets=[0.25],
    persons__classes=[2],
    persons__count=3,
    settings={},
    questions={},
)
compare(mine, "../results/made_up")

# %% [markdown]
# ## Explore
#
# Choose a person, a method, a budget, whether outputs are corrected (`+classes`) and how many
# samples of each class the person shows. The picture has the accuracy of the network that comes of
# it and of the full one (intervals from this person's queries), which digits it confuses, what
# each layer keeps, and what the network costs.

# %%
explorer = explore(run)
explorer.method.value, explorer.classes.value, explorer.budget.value = (
    "l1_local+retrain",
    True,
    SHOWN,
)
explorer

# %% [markdown]
# ## What was learnt

# %%
answers = run.frame("answers.csv")
answers = answers[answers["budget"].isin([SHOWN, 1.0])]


def verdict(row, name):
    """What a difference says: by the interval alone."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if max(-low, high) <= 0.01:
        return "equal within a point"
    return "a gain" if low > 0 else "a loss" if high < 0 else "not told apart"


lines = [
    f"- {row['question']}: {points(row, 'difference')} points, **{verdict(row, 'difference')}** "
    f"(p = {row['holm_p']:.2f})."
    for row in answers.to_dict("records")
]
told = ", ".join(
    f"{against} {points(gains.loc[against], 'gain')} ({verdict(gains.loc[against], 'gain')})"
    for against in ("twin", "swap")
)
by_lot = summary.query("method == @OWN and control == 'random' and budget == @SHOWN")["score"].iloc[
    0
]
right = int((found["person's classes"] == found["found by votes"]).sum())
means = {
    row["method"]: f"{row['score']:.1%} [{row['score_low']:.1%}, {row['score_high']:.1%}]"
    for row in of_own[of_own["budget"].isin([SHOWN, 1.0])].to_dict("records")
}
Markdown(
    f"- The full network has {means['full']}, corrected {means[FREE]}; at {SHOWN:.0%} of the MACs "
    f"one small network for everybody has {means[SMALL]} and a mask of one's own {means[OWN]}, "
    f"both corrected. Votes find exactly the person's classes for {right} of {len(found)} "
    "persons.\n"
    + "\n".join(lines)
    + "\n- The small networks were trained on for 20 more passes than the full one, which stops "
    "early here; whether that is why some are ahead of it, this notebook does not test.\n"
    f"- A mask of one's own less its controls, in points: {told}; a mask by lot has {by_lot:.1%}. "
    "A mask that beats the swap, but not the twin, knows which classes a person has, and nothing "
    "else about them.\n"
    f"- That is one seed and {len(found)} persons, and another machine gives other numbers, since "
    "networks trained on other processors end elsewhere. [FINDINGS](../results/FINDINGS.md) has "
    "all data sets, ten seeds of digits, and what holds over them; "
    "[02](02_ppp_vs_the_field.ipynb) draws it."
)
