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
# # Every figure of the project, at the size of a venue
#
# **What this answers:** nothing new; it draws every figure of `results/` from its tables alone,
# without any training, in two minutes, with captions and LaTeX tables beside them. Change the
# venue, and the widths and fonts change.

# %%
# %matplotlib inline
import os
import time
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display
from PIL import Image
from pppl.figures import render

VENUE = "icml"  # or neurips, ieee, slides
results = Path("../results")
folders = sorted(
    run.parent for run in results.glob("*/run.json") if (run.parent / "figures").is_dir()
)
committed = {
    "digits",
    "digits_ppp",
    "digits_persons",
    "arabic_ppp",
    "arabic_kws_res15",
    "arabic_kws_persons",
    "fsdd",
    "mnist_persons",
    "cifar10_persons",
    "cifar10_resnet20",
    "cifar10_diff",
    "clinc150_domains",
    "minilm",
}
folders = [folder for folder in folders if folder.name in committed]
if os.environ.get("PPPL_FAST"):  # tests draw a part
    folders = [
        folder for folder in folders if folder.name in ("digits_ppp", "minilm", "clinc150_domains")
    ]

# %%
start = time.perf_counter()
drawn = {folder.name: render(folder, venue=VENUE) for folder in folders}
seconds = time.perf_counter() - start
pd.DataFrame(
    {"figures": {name: ", ".join(path.stem for path in paths) for name, paths in drawn.items()}}
)

# %% [markdown]
# ## What a reader sees first
#
# At the size of the screen; the files have 200 dots per inch, and PDFs no dots at all.

# %%
for name, figure in (
    ("digits", "personal_gain"),
    ("cifar10_persons", "iso_macs"),
    ("minilm", "task_scores"),
):
    path = results / name / "figures" / f"{figure}.png"
    image = Image.open(path)
    image.thumbnail((900, 900))
    display(image, Markdown(f"*{path.with_suffix('.txt').read_text().strip()}*"))

# %% [markdown]
# ## What was learnt

# %%
count = sum(map(len, drawn.values()))
Markdown(
    f"{count} figures of {len(drawn)} results folders were drawn in {seconds:.0f} seconds at "
    f"the widths of {VENUE}."
)
