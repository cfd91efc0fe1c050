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
# without any training, in minutes, with captions and LaTeX tables beside them. Change the
# venue, and the widths and fonts change. A single folder is drawn by `pppl figures DIR`; for a
# paper `--style ieee --columns 1 --methods '[full, ppp]'` draws some methods, one column wide.
#
# The methods and words that the figures name are explained in
# [`00_quickstart`](00_quickstart.ipynb).

# %%
# %matplotlib inline
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display
from PIL import Image

from pppl.figures import render, style
from pppl.report import overview_of

VENUE = "icml"  # or neurips, ieee, slides
results = Path("../results")
folders = sorted(
    folder
    for folder in results.iterdir()
    if (folder / "summary.csv").exists() or (folder / "trials.csv").exists()
)
if os.environ.get("PPPL_FAST"):  # tests draw a part
    folders = [folder for folder in folders if folder.name in ("digits_ppp", "minilm")]

# %%
start = time.perf_counter()
with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
    paths_of = list(pool.map(partial(render, venue=VENUE), folders))
drawn = {folder.name: paths for folder, paths in zip(folders, paths_of, strict=True)}
seconds = time.perf_counter() - start
figures = {name: ", ".join(path.stem for path in paths) for name, paths in drawn.items()}
pd.DataFrame({"figures": figures}).style

# %% [markdown]
# ## All data sets in one figure
#
# Error against multiply-accumulates (MACs), with 95 % intervals: the full network, what is free,
# one small network for all, one for each person, and fine-tuning on the person's labels.

# %%
NAMES = (
    "digits",
    "photographs",
    "cifar10_mobilenet",
    "clinc150_encoder",
    "keywords",
    "fsdd",
    "shoulder",
    "writers",
)
SERIES = (
    ("full", ""),
    ("full+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp@persons+classes", "own"),
    ("l1_local+retrain+finetune", ""),
)
with style(VENUE):
    fig = overview_of([results / name for name in NAMES if (results / name).is_dir()], SERIES)
    fig.savefig(results / "overview.png")
    fig.savefig(results / "overview.pdf", metadata={"CreationDate": None})
fig

# %% [markdown]
# ## What a reader sees first
#
# At the size of the screen; the files have 200 dots per inch, and PDFs no dots at all.

# %%
for name, figure in (
    ("digits", "personal_gain"),
    ("digits", "iso_macs"),
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
