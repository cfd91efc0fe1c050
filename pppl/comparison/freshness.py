"""The stamps of rows: hashes of all that a row depends on besides its keys. A row with an old stamp is stale."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..backbones import source_of_backbone
from ..config import Experiment, TextExperiment
from ..data import IdentityDataset, Support, limit, split_for, standardize_targets
from ..personalizers import METHODS, STEPS, Personalizer, gate_settings, make_personalizers
from ..pruning import CostModel
from ..tables.provenance import Stamp, fingerprint
from ..text.adapt import Prepared, adapt, evaluate, prepare
from ..text.encoder import TextClassifier
from ..text.text_methods import TEXT_METHODS
from .global_models import assemble, retrain
from .origins import code_hash
from .recipes import training_code, weights_sha256
from .task_units import diverged_run, measured_run
from .units import PersonGroup, Workbench


def fingerprints(experiment: Experiment, dataset: IdentityDataset) -> dict[str, Stamp]:
    """Return the stamp of each method's rows.

    Methods, budgets, seeds and sizes of persons are keys of the row, not part of its stamp: adding one of them leaves
    the other rows current.
    """
    persons = dataclasses.asdict(experiment.persons)
    del persons["classes"]
    shared = [
        dataset.sha256,
        weights_sha256(experiment),
        persons,
        experiment.data.to_hash(),
        dataclasses.asdict(experiment.backbone),
        experiment.training.to_hash(),
    ]
    by_method: dict[str, list[Personalizer]] = {}  # all controls of a method have one stamp
    for each in make_personalizers(experiment):
        by_method.setdefault(each.method, []).append(each)
    return {
        method: {
            "settings": fingerprint([*shared, controls[-1].depends_on()]),
            "code": fingerprint(sorted({hash_code(each, dataset.task) for each in controls})),
        }
        for method, controls in by_method.items()
    }


def task_stamps(
    experiment: TextExperiment, prepared: Mapping[str, Prepared], encoder_sha256: str
) -> dict[tuple[str, str], Stamp]:
    """Return the stamp of the rows of each task and method in a comparison on text tasks."""
    left_out = {"name", "plugins", "tasks", "columns", "encoder", "methods", "rate", "seeds", "epochs_of"}
    left_out |= {"search", "search_tasks", "beyond", "diff", "tracking"}
    tree = {key: value for key, value in experiment.to_dict().items() if key not in left_out}
    stamps: dict[tuple[str, str], Stamp] = {}
    for method in experiment.methods:
        text_method = TEXT_METHODS[method]
        own = [getattr(experiment.diff, key) for key in text_method.reads]
        code = code_hash(
            text_method.adapt, adapt, evaluate, prepare, TextClassifier, alone=(measured_run, diverged_run)
        )
        for task in experiment.tasks:
            data = [prepared[task].sha256, prepared[task].tokens_sha256]
            settings = [data, encoder_sha256, {**tree, "epochs": experiment.epochs_on(task), "own": own}]
            stamps[task, method] = {"settings": fingerprint(settings), "code": code}
    return stamps


def combine_task_stamps(stamps: Mapping[tuple[str, str], Stamp]) -> dict[str, Stamp]:
    """Return one stamp for each method, over all its tasks, for `run.json`."""
    methods = dict.fromkeys(method for _, method in stamps)
    return {
        method: {
            "settings": fingerprint(
                [[task, each["settings"]] for (task, name), each in stamps.items() if name == method]
            ),
            "code": next(each["code"] for (_, name), each in stamps.items() if name == method),
        }
        for method in methods
    }


def hash_code(personalizer: Personalizer, task: str) -> str:
    """Return the hash of the source that a method's rows depend on.

    It covers personalization, the choice of persons, the training of networks and the measurement of a row.
    """
    backbone = personalizer.experiment.backbone.name
    rows = code_hash(
        *(Workbench, PersonGroup, Support, CostModel, source_of_backbone(backbone)),
        *(limit, split_for, standardize_targets),
        whole=[*_makers(personalizer)],
        alone=(assemble, retrain),
    )
    gates = personalizer.gates and gate_settings(personalizer.gates, personalizer.experiment)
    networks = [training_code(each, backbone, task) for each in (None, gates or None)]
    return fingerprint([rows, *networks])


def _makers(personalizer: Personalizer) -> Iterator[Any]:
    """Yield the classes and functions of a method and of its steps."""
    name, *steps = (part.partition("@")[0] for part in personalizer.method.split("+"))
    yield type(personalizer)
    yield from (maker for maker in (METHODS.get(name), *map(STEPS.get, steps)) if maker is not None)
    for value in vars(personalizer).values():
        if isinstance(value, Personalizer):
            yield from _makers(value)
