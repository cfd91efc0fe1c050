"""The global networks of an experiment: trained once, kept by the hash of all that determines them."""

import copy
import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import platformdirs
import safetensors
import safetensors.torch
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from ..backbones import Backbone, ShapeSpec, build, load_weights, spec_for
from ..config import PPP, Experiment, Retrain, Training
from ..data import IdentityDataset, Support, data_folder
from ..data.datamodule import Batches
from ..data.identities import TRAIN
from ..errors import UserError
from ..files import output_folder, replacing
from ..gating import GatedNetwork
from ..personalizers import GlobalModel, Retrained, personalizers_for
from ..pruning import CostModel
from ..training import GlobalModule, PPPModule, fit
from .provenance import fingerprint
from .tracking import notice, track
from .workers import threads

# Raised when training code changes so that weights of an earlier version are no longer what it would train.
NETWORKS_VERSION = "2"
_GATED_VERSION = "2"  # of gated networks alone; `version` in personalizers/ppp.py and dynamic.py is raised, too


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that determines one global network: `ppp` is None without gates, `weights_sha256` empty without a start."""

    kind: str
    dataset_sha256: str
    spec: ShapeSpec
    weights_sha256: str
    training: dict[str, Any]
    ppp: PPP | None
    seed: int

    @property
    def key(self) -> str:
        """Hash of the recipe."""
        tree = dataclasses.asdict(self)
        if self.ppp is not None:
            tree["ppp"].pop("prototypes")  # how a prototype is taken, not how gates are trained
            tree["version"] = _GATED_VERSION
        del tree["kind"]
        return fingerprint(tree)


def recipes(experiment: Experiment, dataset: IdentityDataset, seed: int) -> list[Recipe]:
    """The networks that the experiment's methods need: `full`, and one per gated method."""
    gated = {p.gates for p in personalizers_for(experiment)} - {None}
    without = {"prototype_weight": 0.0, "prototype_scale": PPP().prototype_scale}  # which then says nothing
    ppp = {"ppp": experiment.ppp, "gated": dataclasses.replace(experiment.ppp, **without)}
    backbone = experiment.backbone
    spec = build(spec_for(backbone.name, backbone.options, dataset.input_shape, len(dataset.classes))).spec
    start = weights_sha256(experiment)
    return [
        Recipe(
            kind=kind,
            dataset_sha256=dataset.sha256,
            spec=spec,
            weights_sha256=start,
            training=dataclasses.asdict(experiment.training),
            ppp=ppp.get(kind),
            seed=seed,
        )
        for kind in ["full", *sorted(cast(set[str], gated))]
    ]


def global_model(experiment: Experiment, dataset: IdentityDataset, seed: int, folder: str | Path) -> GlobalModel:
    """The global model of one seed, from the cache where it is there, else trained; `folder` receives the logs.

    What it retrains is kept in the cache, too.
    """
    networks = {r.kind: trained(r, experiment, dataset, Path(folder))[0] for r in recipes(experiment, dataset, seed)}
    return assembled(networks, experiment, dataset, seed, folder)


def assembled(
    networks: Mapping[str, nn.Module], experiment: Experiment, dataset: IdentityDataset, seed: int, folder: str | Path
) -> GlobalModel:
    """The global model that networks, by the kind of their recipe, make up."""
    gated = {kind: cast(GatedNetwork, network) for kind, network in networks.items() if kind != "full"}
    most = max(each.experiment.static.samples for each in personalizers_for(experiment))
    rows = np.random.default_rng(seed).permutation(dataset.rows(TRAIN))[:most]
    train = Support(x=dataset.inputs(rows), y=dataset.y[rows], seed=seed)
    retrain = partial(_retrained, experiment, dataset, seed, Path(folder))
    full = cast(Backbone, networks["full"])
    return GlobalModel(full=full, gated=gated, cost=CostModel(full, dataset.input_shape), train=train, retrain=retrain)


def _retrained(
    experiment: Experiment, dataset: IdentityDataset, seed: int, folder: Path, network: Backbone, settings: Retrain
) -> Retrained:
    start = copy.deepcopy(network).cpu().train()
    before = _sha256(start.state_dict(), {})
    training = dataclasses.replace(experiment.training, **dataclasses.asdict(settings))
    recipe = Recipe(
        kind="retrained",
        dataset_sha256=dataset.sha256,
        spec=start.spec,
        weights_sha256=before,
        training=dataclasses.asdict(training),
        ppp=None,
        seed=seed,
    )
    recipe = dataclasses.replace(recipe, kind=f"retrained-{recipe.key[:8]}")  # so that logs have names of their own
    spent = cached(recipe)
    with threads(training.threads):
        tuned, metrics = trained(recipe, experiment, dataset, folder, start)
    rows = torch.from_numpy(dataset.rows(TRAIN))
    batches = len(Batches(dataset, rows, training.batch_size, seed=seed))
    return Retrained(
        network=cast(Backbone, tuned.to(next(network.parameters()).device)),
        samples=training.epochs * min(len(rows), batches * training.batch_size),
        seconds_before=metrics["seconds"] if spent else 0.0,
    )


def trained(
    recipe: Recipe,
    experiment: Experiment,
    dataset: IdentityDataset,
    folder: Path,
    start: Backbone | None = None,
    watching: Sequence[Callback] = (),
) -> tuple[nn.Module, dict[str, float]]:
    """A recipe's network in evaluation mode and the metrics of its best epoch, from the cache or from training.

    **Arguments:**

    - `start`: what training begins with, if not random weights or `backbone.weights`. Its metrics tell `seconds`.
    - `watching`: callbacks of the training.
    """
    path = _cache_path(recipe)
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
    network, metrics = _train(recipe, experiment, dataset, folder, start, watching)
    save_network(path, recipe, network, metrics)
    return network, metrics


def cached(recipe: Recipe) -> bool:
    """Whether the cache has this network, whole."""
    try:
        load_network(_cache_path(recipe))
    except UserError:
        return False
    return True


def _cache_path(recipe: Recipe) -> Path:
    return cache_folder() / f"{recipe.kind}-{recipe.key}.safetensors"


def cache_folder() -> Path:
    """`$PPPL_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("PPPL_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("pppl") / "models"


def weights_sha256(experiment: Experiment) -> str:
    """Hash of the file of `backbone.weights`; empty without one."""
    return hashlib.sha256(_weights(experiment).read_bytes()).hexdigest() if experiment.backbone.weights else ""


def _weights(experiment: Experiment) -> Path:
    """The file of `backbone.weights`, relative to here or to the data folder.

    Raises `UserError` where there is none.
    """
    name = experiment.backbone.weights
    for path in (Path(name), data_folder() / name):
        if path.is_file():
            return path
    raise UserError(
        f"backbone.weights is {name!r}: no such file here or in {data_folder()}; name another or leave it out"
    )


def _make_module(recipe: Recipe, experiment: Experiment, start: Backbone | None) -> GlobalModule:
    training = Training(**recipe.training)
    if start is not None:
        return GlobalModule(start, training)
    backbone = build(recipe.spec)
    if experiment.backbone.weights:
        fresh = load_weights(backbone, _weights(experiment))
        if fresh:
            notice(f"{', '.join(fresh)} are not taken from {experiment.backbone.weights}: they are for other classes")
    if recipe.ppp is None:
        return GlobalModule(backbone, training)
    return PPPModule(backbone, training, recipe.ppp)


def _train(
    recipe: Recipe,
    experiment: Experiment,
    dataset: IdentityDataset,
    folder: Path,
    start: Backbone | None,
    watching: Sequence[Callback],
) -> tuple[nn.Module, dict[str, float]]:
    name = f"{recipe.kind}-seed{recipe.seed}"
    notice(f"training {recipe.kind}, seed {recipe.seed}, {recipe.training['epochs']} epochs")
    config = {**experiment.to_dict(), "kind": recipe.kind, "seed": recipe.seed}
    logs, begin = output_folder(folder / "training"), time.perf_counter()
    with (
        tempfile.TemporaryDirectory(dir=logs, prefix=".") as scratch,
        track(folder, group=experiment.name, name=name, job_type="train", config=config) as tracker,
    ):
        module, metrics = fit(
            lambda: _make_module(recipe, experiment, start),
            dataset,
            seed=recipe.seed,
            folder=Path(scratch),
            log_epoch=tracker.log,
            progress=sys.stderr.isatty()
            and multiprocessing.parent_process() is None,  # workers have no line of their own
            watching=watching,
        )
        (Path(scratch) / "metrics.csv").replace(logs / f"{name}.csv")
        tracker.summary({f"best_{key}": value for key, value in metrics.items()})
    if start is not None:
        metrics["seconds"] = time.perf_counter() - begin
    return module.network, metrics


def save_network(path: Path, recipe: Recipe, network: nn.Module, metrics: Mapping[str, float]) -> None:
    """Writes weights as safetensors; the header holds shape spec, recipe, metrics and a hash of the weights."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    header = {
        "pppl": NETWORKS_VERSION,
        "spec": recipe.spec.to_json(),
        "ppp": json.dumps(dataclasses.asdict(recipe.ppp) if recipe.ppp else None),
        "metrics": json.dumps(dict(metrics)),
    }
    header["sha256"] = _sha256(state, header)
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(state, header))  # whose errors are the system's own


def load_network(path: Path) -> tuple[nn.Module, dict[str, float]]:
    """Reads what `save_network` wrote: the network in evaluation mode, and its metrics.

    Raises `UserError` where the file is truncated, altered or of another version.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is truncated or no safetensors file") from error
    if header.get("pppl") != NETWORKS_VERSION:
        raise UserError(f"{path} is of another version ({header.get('pppl')}, not {NETWORKS_VERSION})")
    if header.pop("sha256", None) != _sha256(state, header):
        raise UserError(f"{path} is altered: it does not match its hash")
    network: nn.Module = build(ShapeSpec.from_json(header["spec"]))
    ppp = json.loads(header["ppp"])
    if ppp is not None:
        network = GatedNetwork(cast(Backbone, network), width=ppp["gate_width"], temperature=ppp["temperature"])
    network.load_state_dict(state)
    return network.eval(), json.loads(header["metrics"])


def _sha256(state: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
