"""Training of an experiment's global networks into a folder of their own."""

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..config import Experiment
from ..data import IdentityDataset
from ..data.identities import TRAIN
from ..data.preprocessing import Preprocessing
from ..system import progress
from ..system.errors import UserError
from ..system.files import claim, output_folder, replacing
from ..system.processes import threads
from ..tables.journal import write_table
from ..tables.provenance import write_run
from ..tasks import task_of
from .chance import warn_near_chance
from .folders import refuse_other_results
from .global_models import load_or_train, read_training_device
from .load import load_split, open_experiment, report_data
from .network_files import load_network, save_network
from .recipes import Recipe, recipes, weights_sha256


def train(experiment: Experiment, out: str | Path) -> pd.DataFrame:
    """Train, or take from the cache, every network that the experiment's methods start from, for each seed.

    Write `models/<network>-seed<n>.safetensors`, `models/inputs-seed<n>.json` (the preprocessing of inputs and the
    unseen people), `models.csv` and `run.json`. Networks that are trained now also get their learning curves,
    `training/<network>-seed<n>.csv`.

    ```python
    train(Experiment.load("sweeps/compare/digits.yaml"), "results/base")
    ```

    **Returns:** one row per network: its last epoch and that epoch's validation metrics.

    Raise `UserError` if the folder cannot be written to, holds other results, or holds a corrupted network.
    """
    start = time.perf_counter()
    experiment, dataset = open_experiment(experiment)
    datasets = {seed: load_split(experiment, seed) for seed in experiment.seeds}
    plan = [recipe for seed in experiment.seeds for recipe in recipes(experiment, datasets[seed], seed)]
    report_data(experiment, dataset)
    folder = output_folder(out)
    refuse_other_results(folder, "train", experiment.data, dataset)
    models = output_folder(folder / "models")
    networks = [models / f"{recipe.kind}-seed{recipe.seed}.safetensors" for recipe in plan]
    inputs = [models / inputs_name(seed) for seed in experiment.seeds]
    for path in networks:
        if path.exists():
            _refuse_corrupted(path)
    claim([folder / "models.csv", folder / "run.json", *inputs, *networks])
    for seed, path in zip(experiment.seeds, inputs, strict=True):
        _write_inputs(path, experiment, dataset, datasets[seed])
    rows = []
    for path, recipe in progress.bar([*zip(networks, plan, strict=True)], desc="networks", unit="network"):
        with threads(experiment.training.threads):
            network, metrics = load_or_train(recipe, experiment, datasets[recipe.seed], folder)
        save_network(path, recipe, network, metrics, trained_on=read_training_device(recipe))
        _warn(recipe, metrics, datasets[recipe.seed])
        rows.append({"network": recipe.kind, "seed": recipe.seed, **metrics})
    table = pd.DataFrame(rows)
    write_table(folder / "models.csv", table)
    work = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": 1}
    write_run(folder, experiment.to_dict(), dataset.sha256, weights_sha256=weights_sha256(experiment), **work)
    return table.filter(["network", "seed", "epoch", "val_accuracy", "val_loss"])


def _warn(recipe: Recipe, metrics: Mapping[str, float], dataset: IdentityDataset) -> None:
    """Print a notice if the full network is hardly better than guessing on validation samples."""
    score = metrics.get(f"val_{task_of(dataset).metrics[0].name}")
    if recipe.kind == "full" and score is not None:
        warn_near_chance(f"the full network, seed {recipe.seed},", score, dataset)


def inputs_name(seed: int) -> str:
    """Return the name of the file that describes the inputs of a seed's networks."""
    return f"inputs-seed{seed}.json"


def _write_inputs(path: Path, experiment: Experiment, source: IdentityDataset, split: IdentityDataset) -> None:
    """Write the preprocessing of a seed's inputs and its unseen people."""
    preprocessing = Preprocessing.of(source, split, source.log_mel)
    people = set() if split.identity is None else set(split.identity) - set(split.identity[split.rows(TRAIN)])
    tree = {
        "preprocessing": json.loads(preprocessing.to_json()),
        "unseen": sorted(split.identities[person] for person in people),
        # Until there is a run.json, this section names the data that networks are trained on.
        "of": {"dataset_sha256": source.sha256, "config": {"data": dataclasses.asdict(experiment.data)}},
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def _refuse_corrupted(path: Path) -> None:
    """Raise `UserError` if a network's file is damaged."""
    try:
        load_network(path)
    except UserError as error:
        raise UserError(f"{error}: delete it, then the same command trains it again") from error
