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
#
# *Diff pruning* (Guo, Rush, Kim 2021) keeps one network for all and learns for each task, or each
# person, a difference of its weights that is zero nearly everywhere. The *rate* is the share of
# values that may differ. A person's difference is learnt on the labels of a few samples (the
# *support set*) and scored on others (*queries*). It saves bytes, not arithmetic: all
# multiply-accumulates (MACs) remain. \[low, high\] are 95 % intervals.

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
# Persons of 5 of 10 digits, and in the table of 2; `diff` is a rate of 0.5 %, `diff@0.001` of 0.1
# %. Fine-tuning stores the whole network again. On digits there is next to nothing left to gain:
# this shows how small a difference may be that does no harm.

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
with style("icml"):
    fig, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
    for place, values in enumerate(shares.to_numpy()):
        ax.plot(100 * values, [place] * len(values), "o", ms=4, mfc="none", color="#0072B2")
    ax.plot(
        100 * shares.mean(axis=1), range(len(shares)), "|", ms=10, color="#D55E00", label="mean"
    )
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


of_five = rates[rates["persons"] == "5 classes"].sort_values("artifact_bytes")
by_rate = "; ".join(
    f"`{row['method']}` ({row['artifact_bytes'] / 1e3:.1f} kB) {100 * row['score']:.1f} % "
    f"[{100 * row['score_low']:.1f}, {100 * row['score_high']:.1f}]"
    for row in of_five.to_dict("records")
)
peers = [
    m
    for m in means.index
    if m not in ("full", "diff") and means.loc[m, "score"] > means.loc["diff", "score"]
]
Markdown(
    f"- On 5 of 10 digits the full network has {told(whole, ('full', '', 1.0))} as it is and "
    f"{told(whole, ('finetune', '', 1.0))} fine-tuned, which stores "
    f"{whole.loc[('finetune', '', 1.0), 'artifact_bytes'] / 1e3:,.0f} kB for a person. Differences "
    f"have, by rate: {by_rate}. All MACs remain.\n"
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
