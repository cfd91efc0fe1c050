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
# # On the device
#
# **What this answers:** what does a person's network cost where it runs: how much of the promised
# speed arrives, what does rounding channels bring, how large is a person's file, and how are
# thousands of people served at once? Digits on a wide network; milliseconds are this
# machine's, one thread, by torch and ONNX Runtime; another machine has others.
#
# A person's network (here by *Prototype-based Personalized Pruning*, PPP,
# [picture](../docs/concepts/ppp.md)) is the global one without some of its channels: a plain,
# smaller network for any runtime. A *budget* is its fraction of the full network's
# multiply-accumulates (MACs). Processors take channels in groups of 4, 8 or 16; `round_to` keeps
# multiples of such a number.

# %%
# %matplotlib inline
import os
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from sklearn.datasets import load_digits

from pppl import Experiment, UserError, latency, load_run, personalize, train
from pppl.deploy import DeployRequest, Limit, People, Thin, time_in_turns
from pppl.figures import style

torch.set_num_threads(1)
experiment = Experiment.load("../sweeps/compare/digits.yaml").replace(
    name="device",
    seeds=[0],
    methods=["full", "ppp"],
    backbone__options={"widths": [256, 256, 256, 256]},
    training__epochs=1,  # speed does not depend on what was learnt
)
base = Path("../results/device")
train(experiment, base)

# %% [markdown]
# ## One person, every budget
#
# Ten samples of a person who writes 3 and 8. `personalize` is what the command `pppl personalize`
# runs.

# %%
pixels, labels = load_digits(return_X_y=True)
mine = [*np.flatnonzero(labels == 3)[:5], *np.flatnonzero(labels == 8)[:5]]
np.savez(base / "person.npz", x=(pixels[mine] / 16).reshape(-1, 1, 8, 8).astype(np.float32))

made = {}
budgets = (0.3,) if os.environ.get("PPPL_FAST") else (0.15, 0.3, 0.6)  # tests export a part
for round_to in (1, 8, 16):
    for budget in budgets:
        wish = DeployRequest(limit=Limit(value=budget, unit="macs"), round_to=round_to)
        out = base / f"budget{budget}-multiple{round_to}"
        try:
            with redirect_stdout(None):  # it describes the samples, each time
                personalize(base, str(base / "person.npz"), wish, out)
        except UserError as error:  # so many channels of each layer are over the budget
            print(error)
        else:
            made[str(out / "personal.onnx")] = round_to

# %% [markdown]
# Every file and the full network are timed in turns, one sample at a time, by torch and by ONNX
# Runtime: medians with quartiles. `speed_up` is over the full network; `share` is how much of the
# speed-up that the MACs promise arrives: 1 where a tenth of the MACs takes a tenth of the time.

# %%
times = latency([Path(name) for name in made], runs=60)
times["round_to"] = times["file"].map(made).fillna(1).astype(int)
full = times[times["file"].str.startswith("full")].set_index("engine")
times["MACs"] = times["macs"] / full["macs"].iloc[0]
times["share"] = times["speed_up"] * times["MACs"]
shown = [
    "file",
    "engine",
    "MACs",
    "median_ms",
    "low_ms",
    "high_ms",
    "speed_up",
    "share",
    "bytes",
    "peak_mib",
]
table = times[shown].assign(file=[Path(name).parent.name or name for name in times["file"]])
table.style.hide(axis="index").format(precision=2).format("{:,}", subset=["bytes"], na_rep="")

# %% [markdown]
# ## Latency against MACs
#
# Medians with quartiles. Off the dotted line, MACs are not latency: unrounded channels leave
# vector units idle.

# %%
with style("icml"):
    fig, axes = plt.subplots(1, 2, figsize=(6.75, 3), layout="constrained")
    for ax, engine in zip(axes, ("onnxruntime", "torch"), strict=True):
        of_engine = times[(times["engine"] == engine) & times["file"].isin(made)]
        for round_to, marker, colour in (
            (1, "o", "#0072B2"),
            (8, "s", "#009E73"),
            (16, "^", "#D55E00"),
        ):
            rows = of_engine[of_engine["round_to"] == round_to]
            spread = [rows["median_ms"] - rows["low_ms"], rows["high_ms"] - rows["median_ms"]]
            label = "any number of channels" if round_to == 1 else f"multiples of {round_to}"
            ax.errorbar(
                100 * rows["MACs"],
                rows["median_ms"],
                yerr=spread,
                marker=marker,
                color=colour,
                ls={1: "-", 8: "--", 16: ":"}[round_to],
                capsize=2,
                label=label,
            )
        whole = full.loc[engine, "median_ms"]
        ax.plot([0, 100], [0, whole], color="black", lw=0.8, ls=":", label="as the MACs promise")
        ax.plot([100], [whole], "k*", ms=8, label="full network")
        ax.set(
            title={"torch": "torch", "onnxruntime": "ONNX Runtime"}[engine],
            xlim=(0, 104),
            ylim=0,
            xlabel="MACs (% of the full network's)",
            ylabel="ms for one sample",
        )
    _ = fig.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )

# %% [markdown]
# `--round-to auto` measures multiples on this machine and says why it chose what it did.

# %%
wish = DeployRequest(
    limit=Limit(value=0.3, unit="macs"), round_to=0, formats=("onnx", "onnx-int8", "torch")
)
report = personalize(base, str(base / "person.npz"), wish, base / "auto")
report["rounding"]["reason"]

# %% [markdown]
# ## What is sent
#
# The personal file, its exports, and the thin form: a bit per gated channel for whoever holds the
# global network.

# %%
whole = (base / "models" / "full-seed0.safetensors").stat().st_size
sizes = pd.Series({"the full network": whole, **report["files"]}, name="bytes")
sizes.to_frame().style.format("{:,}")

# %% [markdown]
# ## Many people at once
#
# One global network, a mask per person; a batch of different people is one pass.

# %%
network = load_run(base).global_model("ppp").gated["ppp"]
people = People(network.backbone, networks=16)
thin = Thin.read(base / "auto" / "personal.thin")
for _ in range(1000):
    people.add(thin.kept)
x = torch.randn(64, 1, 8, 8)
who = list(range(64))
with torch.inference_mode():
    served = time_in_turns(
        {
            "64 people, one batch": lambda: people(x, who),
            "the same batch, the full network": lambda: network.backbone(x),
            "64 people, one by one": lambda: [people.network(i)(x[i : i + 1]) for i in who],
        },
        runs=10,
        warm_up=2,
    )
rates = {
    name: {"ms": t.median, "people per second": 64000 / t.median} for name, t in served.items()
}
pd.DataFrame(rates).T.style.format("{:,.1f}")

# %% [markdown]
# ## What was learnt

# %%
runtime = times[(times["engine"] == "onnxruntime") & times["file"].isin(made)]
shares = runtime.groupby("round_to")["share"].mean()
arrives = "; ".join(
    f"{share:.0%} with {'any number of channels' if multiple == 1 else f'multiples of {multiple}'}"
    for multiple, share in shares.items()
)
batch, plain = (
    served[name].median for name in ("64 people, one batch", "the same batch, the full network")
)
Markdown(
    f"- Of the speed-up that MACs promise, ONNX Runtime delivers, on average over budgets, "
    f"{arrives}. More than all of it "
    "is possible where a smaller network fits a nearer cache.\n"
    f"- The thin form has {sizes['personal.thin']:,} bytes, "
    f"{sizes['personal.safetensors'] / sizes['personal.thin']:,.0f} times less than the "
    f"personal file, "
    f"and each person takes {people.bytes / len(people):.0f} bytes of a server's memory.\n"
    f"- A batch of 64 different people costs {batch / plain:.2f} times the plain batch of the "
    f"full network."
)
