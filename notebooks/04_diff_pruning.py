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
# # Diff pruning: a sparse difference per task or person
#
# **What this answers:** how sparse can a difference to one shared network be before it costs
# accuracy, where in the network do the differences lie, what is stored as tasks come, and is it
# worth it beside its peers? From `results/`; six small differences are learnt here.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

from pppl import DiffSettings, learn_delta, load_run
from pppl.figures import accuracy_vs_bytes, scores_figure, storage, style

digits, text, domains = (
    load_run(f"../results/{name}") for name in ("digits", "minilm", "clinc150_domains")
)
digits

# %% [markdown]
# ## Sparsity against accuracy
#
# Persons of 2 and 5 of 10 digits; the size of a person's file is what the rate of differences comes
# to.

# %%
with style("icml"):
    fig, ax = plt.subplots(figsize=(6.2, 2.8), layout="constrained")
    accuracy_vs_bytes(digits.summary.query("persons == '5 classes'"), ax)
    ax.set_ylabel("accuracy on the queries")
    fig.legend(loc="outside right upper", frameon=False)

# %%
rates = digits.summary.query("method.str.startswith('diff') and budget == 1")
rates[
    [
        "persons",
        "method",
        "score",
        "score_low",
        "score_high",
        "artifact_bytes",
        "retrain_samples",
        "n",
    ]
]

# %% [markdown]
# ## Where the differences lie
#
# Differences of 0.5 % learnt for six persons of digits, tensor by tensor: the share of its values
# that differ.

# %%
model = digits.global_model("diff")
network = model.full
of_person = {}
for person in digits.persons[:6]:
    support = person.support_of(digits.dataset)
    _, delta, _ = learn_delta(
        network, support, model.task, DiffSettings(), rate=0.005, structured=True
    )
    of_person[person.identity] = {
        name: len(delta.positions.get(name, ())) / shape.numel()
        for name, shape in delta.shapes.items()
    }
shares = pd.DataFrame(of_person)
fig, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
for place, values in enumerate(shares.to_numpy()):
    ax.plot(100 * values, [place] * len(values), "o", ms=4, mfc="none", color="#0072B2")
ax.plot(100 * shares.mean(axis=1), range(len(shares)), "|", ms=10, color="#D55E00", label="mean")
ax.axvline(0.5, color="black", lw=0.6, ls=":", label="rate of the whole network")
ax.set_yticks(range(len(shares)), list(shares.index), fontsize=7)
ax.set(xlabel="values that differ (%), a circle per person")
ax.invert_yaxis()
_ = ax.legend(frameon=False)

# %% [markdown]
# ## Peers, on text
#
# One text encoder (MiniLM-L6), four tasks, nine ways to adapt it at the same number of epochs and
# searches.

# %%
with style("icml"):
    fig = scores_figure(text.summary)
fig

# %%
average = text.summary[text.summary["task"] == "average"]
average[
    [
        "method",
        "score",
        "score_low",
        "score_high",
        "minus_full",
        "minus_full_low",
        "minus_full_high",
        "task_bytes",
    ]
]

# %% [markdown]
# ## Storage against tasks
#
# Ten domains of CLINC150, one after the other: one base and its deltas beside a whole network for
# each.

# %%
stream = domains.frame("stream.csv")
with style("icml"):
    fig, ax = plt.subplots(figsize=(4, 2.6), layout="constrained")
    storage(stream, ax)

# %% [markdown]
# ## What was learnt

# %%
five = digits.summary.query("persons == '5 classes'")
whole = five.set_index(["method", "control", "budget"])
means = average.set_index("method")
last = stream.iloc[-1]
conv = shares[
    [("conv" in name or "head" in name) and "weight" in name for name in shares.index]
].mean(axis=1)


def told(frame, key, name="score"):
    row = frame.loc[key]
    return (
        f"{100 * row[name]:.1f} % [{100 * row[f'{name}_low']:.1f}, {100 * row[f'{name}_high']:.1f}]"
    )


of_five = rates[rates["persons"] == "5 classes"]
best = of_five.loc[of_five["score"].idxmax()]
peers = [
    m
    for m in means.index
    if m not in ("full", "diff") and means.loc[m, "score"] > means.loc["diff", "score"]
]
Markdown(
    f"- On 5 of 10 digits a difference in {best['artifact_bytes'] / 1e3:.0f} kB "
    f"(`{best['method']}`) brings the full network "
    f"from {told(whole, ('full', '', 1.0))} to {100 * best['score']:.1f} % "
    f"[{100 * best['score_low']:.1f}, "
    f"{100 * best['score_high']:.1f}]; fine-tuning all of it, "
    f"{whole.loc[('finetune', '', 1.0), 'artifact_bytes'] / 1e3:,.0f} "
    f"kB, to {told(whole, ('finetune', '', 1.0))}. All MACs remain.\n"
    f"- Differences are not spread evenly: `{conv.idxmax()}` has {conv.max():.1%} of its "
    f"weights changed, "
    f"`{conv.idxmin()}` {conv.min():.1%}, at 0.5 % of the network.\n"
    f"- On text `diff` has {told(means, 'diff', 'score')} on average, "
    f"{told(means, 'full', 'score')} is full fine-tuning's; "
    f"{len(peers)} of {len(means) - 2} peers have a higher "
    f"mean{': ' + ', '.join(peers) if peers else ''}.\n"
    f"- {int(last['step'])} tasks take {last['stored_bytes'] / 1e6:.0f} MB as deltas on one base, "
    f"{last['copies_bytes'] / 1e6:.0f} MB as networks of their own."
)
