"""The global networks of an experiment: trained once, then cached by the hash of all that determines them."""

import copy
import dataclasses
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from pytorch_lightning.callbacks import Callback
from torch import nn

from ..backbones import Backbone, build, load_weights, plain_module
from ..config import Experiment, TrainingSettings
from ..data import IdentityDataset, Support
from ..data.identities import TRAIN
from ..gating import GatedNetwork, PersonGatedNetwork
from ..personalizers import GlobalModel, RetrainedNetwork, gate_settings, make_personalizers
from ..personalizers.global_model import RetrainSettings
from ..pruning import CostModel
from ..system import progress
from ..system.errors import UserError
from ..system.files import cache_folder, claim, output_folder, replacing
from ..system.processes import threads
from ..system.tracking import notice, track
from ..tasks import TASKS, task_of
from ..training import DistilledModule, GlobalModule, PersonModule, PPPModule, fit
from ..training.gate_settings import PersonTraining
from ..training.lightning import device_count
from .network_files import load_network, read_device, save_network, state_sha256
from .recipes import Distillation, Recipe, recipes, weights_file

_RETRAINED = "retrained"
_AT_LEAST = 512  # a global model holds this many training samples even if methods ask for fewer


def global_model(experiment: Experiment, dataset: IdentityDataset, seed: int, folder: str | Path) -> GlobalModel:
    """Return the global model of one seed, from the cache or trained now; `folder` receives the logs.

    Networks that the model retrains are cached, too.
    """
    networks = {
        r.kind: load_or_train(r, experiment, dataset, Path(folder))[0] for r in recipes(experiment, dataset, seed)
    }
    return assemble(networks, experiment, dataset, seed, folder)


def assemble(
    networks: Mapping[str, nn.Module], experiment: Experiment, dataset: IdentityDataset, seed: int, folder: str | Path
) -> GlobalModel:
    """Return the global model made of `networks`, by the kind of their recipe."""
    gated = {
        kind: cast(GatedNetwork | PersonGatedNetwork, network) for kind, network in networks.items() if kind != "full"
    }
    most = max(_AT_LEAST, *(each.training_samples for each in make_personalizers(experiment)))
    rows = np.random.default_rng(seed).permutation(dataset.rows(TRAIN))[:most]
    train = Support(x=dataset.inputs(rows), y=dataset.targets(rows), seed=seed)
    full = cast(Backbone, networks["full"])
    retrained = partial(retrain, experiment, dataset, seed, Path(folder), full)
    return GlobalModel(
        task=task_of(dataset),
        full=full,
        gated=gated,
        cost=CostModel(full, dataset.input_shape),
        train=train,
        retrain=retrained,
    )


def retrain(
    experiment: Experiment,
    dataset: IdentityDataset,
    seed: int,
    folder: Path,
    full: Backbone,
    network: Backbone,
    settings: RetrainSettings,
) -> RetrainedNetwork:
    """Return a copy of a network after further training by `settings`, from the cache or trained now.

    **Arguments:**

    - `full`: the network whose predictions are distilled, if the settings ask for distillation.
    """
    start = copy.deepcopy(network).cpu().train()
    before = state_sha256(start.state_dict(), {})
    how = {"epochs": settings.epochs, "learning_rate": settings.learning_rate}
    training = dataclasses.replace(experiment.training, **how)
    teacher = copy.deepcopy(full).cpu() if settings.distillation or settings.classes else None
    recipe = Recipe(
        kind=_RETRAINED,
        task=dataset.task,
        dataset_sha256=dataset.sha256,
        spec=start.spec,
        weights_sha256=before,
        training=training.to_hash(),
        distilled=None
        if teacher is None
        else Distillation(
            teacher_sha256=state_sha256(teacher.state_dict(), {}),
            weight=settings.distillation,
            classes=settings.classes,
        ),
        seed=seed,
    )
    recipe = dataclasses.replace(recipe, kind=f"{_RETRAINED}-{recipe.key[:8]}")  # gives each log a name of its own
    spent = is_cached(recipe)
    with threads(training.threads):
        tuned, metrics = load_or_train(recipe, experiment, dataset, folder, start, teacher=teacher)
    return RetrainedNetwork(
        network=cast(Backbone, tuned.to(next(network.parameters()).device)),
        seconds_before=metrics["seconds"] if spent else 0.0,
    )


def load_or_train(
    recipe: Recipe,
    experiment: Experiment,
    dataset: IdentityDataset,
    folder: Path,
    start: Backbone | None = None,
    watching: Sequence[Callback] = (),
    teacher: Backbone | None = None,
) -> tuple[nn.Module, dict[str, float]]:
    """Return a recipe's network in evaluation mode and the metrics of its last epoch, from the cache or from training.

    The metrics of a retrained network include `seconds`.

    **Arguments:**

    - `start`: the network that training starts from. By default, these are random weights, `backbone.weights` or, for
      gates that are trained one person at a time, the full network.
    - `watching`: callbacks of the training.
    - `teacher`: the network that is distilled, if the recipe names one.

    Raise `UserError` if networks cannot be cached or the devices do not suffice.
    """
    path = cache_path(recipe)
    if path.exists():
        try:
            return load_network(path)
        except UserError as error:
            notice(f"{error}; training it again")
    try:
        output_folder(path.parent)
    except UserError as error:
        raise UserError(
            f"cannot keep networks in {path.parent}: set PPPL_CACHE to a folder that can be written"
        ) from error
    network, metrics = _train(recipe, experiment, dataset, folder, start, watching, teacher)
    save_network(path, recipe, network, metrics, hashed=True)
    return network, metrics


def check_devices(experiment: Experiment) -> None:
    """Raise `UserError` if the experiment cannot be trained on the devices that it asks for.

    There may be too few devices, the batch may be too small for them, or gates may be trained one person at a time,
    which takes a single device.
    """
    count, batch = device_count(experiment.training.devices), experiment.training.batch_size
    if batch < 2 * count > 2:
        raise UserError(f"training.batch_size is {batch}: at least {2 * count}, 2 samples for each of {count} devices")
    for method in make_personalizers(experiment) if count > 1 else ():
        if method.gates and isinstance(gate_settings(method.gates, method.experiment), PersonTraining):
            raise UserError(
                f"{method.method} trains its gates for a person at a time (ppp.training: persons), which takes one "
                f"device: set training.devices to 1, or ppp.training to samples"
            )


def list_training_devices(experiment: Experiment, seeds: Mapping[int, IdentityDataset]) -> dict[str, list[str]]:
    """Return the experiment's networks in the cache, by the GPU or processor that they were trained on.

    Networks that methods retrain are left out.

    **Arguments:**

    - `seeds`: the data set as each of the experiment's seeds splits it.
    """
    by_device: dict[str, list[str]] = {}
    for seed, dataset in seeds.items():
        for recipe in recipes(experiment, dataset, seed):
            with suppress(OSError, UserError):
                by_device.setdefault(read_training_device(recipe), []).append(f"{recipe.kind}-seed{seed}")
    return by_device


def read_training_device(recipe: Recipe) -> str:
    """Return the GPU or processor that a network in the cache was trained on."""
    return read_device(cache_path(recipe))


def is_cached(recipe: Recipe) -> bool:
    """Return whether the cache has this network in a valid file."""
    try:
        load_network(cache_path(recipe))
    except UserError:
        return False
    return True


def cache_path(recipe: Recipe) -> Path:
    """Return the network's file in the cache, the same for variants that differ only in what is done with it."""
    return model_cache() / f"{recipe.kind.partition('@')[0]}-{recipe.key}.safetensors"


def model_cache() -> Path:
    """Return `$PPPL_CACHE`, or the user's cache folder."""
    return cache_folder("PPPL_CACHE", "models")


def _make_module(
    recipe: Recipe, experiment: Experiment, start: Backbone | None, teacher: Backbone | None
) -> GlobalModule:
    """Return the Lightning module that trains a recipe's network."""
    training, task = TrainingSettings(**recipe.training), TASKS.find(recipe.task)
    if recipe.person_training is not None:
        assert start is not None
        person_options = {name: getattr(recipe.person_training, name) for name in ("by_people", "sizes", "shots")}
        return PersonModule(
            start, training, task, recipe.person_training.settings, recipe.person_training.pruning, **person_options
        )
    if start is not None and recipe.distilled is not None:
        assert teacher is not None
        return DistilledModule(start, training, task, teacher, recipe.distilled.weight, recipe.distilled.classes)
    if start is not None:
        return GlobalModule(start, training, task)
    backbone = build(recipe.spec)
    if experiment.backbone.weights:
        fresh = load_weights(plain_module(backbone), weights_file(experiment), notice)
        if fresh:
            notice(f"{', '.join(fresh)} are not taken from {experiment.backbone.weights}: they are for other classes")
    if recipe.ppp is None:
        return GlobalModule(backbone, training, task)
    return PPPModule(backbone, training, task, recipe.ppp)


def _train(
    recipe: Recipe,
    experiment: Experiment,
    dataset: IdentityDataset,
    folder: Path,
    start: Backbone | None,
    watching: Sequence[Callback],
    teacher: Backbone | None,
) -> tuple[nn.Module, dict[str, float]]:
    """Train a recipe's network, and write its log to `folder`."""
    check_devices(experiment)
    if recipe.person_training is not None:
        full_recipe, *_ = recipes(experiment, dataset, recipe.seed)
        start = cast(Backbone, load_or_train(full_recipe, experiment, dataset, folder)[0])
    name = f"{recipe.kind}-seed{recipe.seed}"
    notice(f"training {recipe.kind}, seed {recipe.seed}, {recipe.training['epochs']} epochs")
    config = {**experiment.to_dict(), "kind": recipe.kind, "seed": recipe.seed}
    logs, begin = output_folder(folder / "training"), time.perf_counter()
    claim([log := logs / f"{name}.csv"])
    with (
        tempfile.TemporaryDirectory(dir=logs, prefix=".") as scratch,
        track(
            folder, experiment.tracking, group=experiment.name, name=name, job_type="train", config=config
        ) as tracker,
    ):
        module, metrics = fit(
            lambda: _make_module(recipe, experiment, start, teacher),
            dataset,
            seed=recipe.seed,
            folder=Path(scratch),
            log_epoch=tracker.log,
            # A notebook or a file would keep the remains of every epoch's bar. Lightning draws on stdout.
            progress=progress.bars_shown(sys.stdout) and not progress.in_notebook(),
            watching=watching,
        )
        with replacing(log) as temporary:
            shutil.copyfile(Path(scratch) / "metrics.csv", temporary)
        tracker.summary({f"last_{key}": value for key, value in metrics.items()})
    if recipe.kind.startswith(_RETRAINED):
        metrics["seconds"] = time.perf_counter() - begin
    return module.network, metrics
