"""What determines the global networks of an experiment."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backbones import BACKBONES, ShapeSpec, build, load_weights, spec_for
from ..config import Experiment, PruningSettings
from ..data import IdentityDataset, data_folder, resolve_protocol
from ..personalizers import GateSettings, gate_settings, make_personalizers
from ..system.errors import UserError
from ..tables.provenance import fingerprint
from ..tasks import TASKS, task_of
from ..training import DistilledModule, GlobalModule, PersonModule, PPPModule, fit
from ..training.gate_settings import PersonTraining, PPPSettings
from ..training.lightning import device_kind, precision_here
from .origins import code_hash


@dataclass(frozen=True, kw_only=True)
class PersonRecipe:
    """How gates are trained for a person at a time.

    - `pruning`: what budgets count.
    - `full_key`: of the full network, which is looked at, distilled, and begun with.
    - `by_people`, `sizes`, `shots`: who is a person, as `PersonBatches` takes them.
    """

    settings: PersonTraining
    pruning: PruningSettings
    full_key: str
    by_people: bool
    sizes: tuple[int, ...]
    shots: int


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """From which network's predictions, by its hash, a pruned one is taught, and how much that weighs."""

    teacher_sha256: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that determines one global network.

    - `ppp` or `person_training`: how its gates are trained, if it has any.
    - `weights_sha256`: of the weights that training starts from; empty for random ones.
    - `distilled`: the teacher, if the network is trained on after pruning with one.
    """

    kind: str
    task: str
    dataset_sha256: str
    spec: ShapeSpec
    weights_sha256: str
    training: dict[str, Any]
    ppp: PPPSettings | None = None
    person_training: PersonRecipe | None = None
    distilled: Distillation | None = None
    seed: int

    @property
    def key(self) -> str:
        """Hash of the recipe, of the code that follows it, and of the kind of device and the precision of training
        here.
        """
        tree = dataclasses.asdict(self)
        if self.ppp is not None:
            for name in ("prototypes", "training"):  # how a prototype is taken, and that gates are trained by samples
                tree["ppp"].pop(name)
            tree["ppp"].pop("epochs")  # which `training` has
        if self.distilled is None:
            del tree["distilled"]
        asked = "auto"
        if self.person_training is None:
            del tree["person_training"]
        else:
            asked = tree["person_training"]["settings"].pop("precision")
        del tree["kind"]
        tree["trained"] = [device_kind(), precision_here(asked)]
        gates = (self.person_training and self.person_training.settings) or self.ppp
        tree["code"] = training_code(gates, self.spec.backbone, self.task)
        if self.distilled is not None:
            tree["code"] += code_hash(DistilledModule)
        if self.weights_sha256:
            tree["code"] += code_hash(load_weights)
        return fingerprint(tree)


def training_code(gates: GateSettings | None, backbone: str, task: str) -> str:
    """Return the hash of the code that trains a network, by the settings of its gates."""
    module = GlobalModule if gates is None else PPPModule if isinstance(gates, PPPSettings) else PersonModule
    return code_hash(fit, module, BACKBONES.get(backbone), TASKS.get(task))


def recipes(experiment: Experiment, dataset: IdentityDataset, seed: int) -> list[Recipe]:
    """The networks that the experiment's methods need: `full` first, then one for each kind of gates."""
    backbone = experiment.backbone
    spec = build(spec_for(backbone.name, backbone.options, dataset.input_shape, task_of(dataset).outputs(dataset))).spec
    full = Recipe(
        kind="full",
        task=dataset.task,
        dataset_sha256=dataset.sha256,
        spec=spec,
        weights_sha256=weights_sha256(experiment),
        training=experiment.training.to_hash(),
        seed=seed,
    )
    settings = {p.gates: gate_settings(p.gates, p.experiment) for p in make_personalizers(experiment) if p.gates}
    return [full, *(_gated(full, kind, each, experiment, dataset) for kind, each in sorted(settings.items()))]


def _gated(full: Recipe, kind: str, settings: GateSettings, experiment: Experiment, dataset: IdentityDataset) -> Recipe:
    if isinstance(settings, PPPSettings):
        training = full.training | ({"epochs": settings.epochs} if settings.epochs else {})
        return dataclasses.replace(full, kind=kind, ppp=settings, training=training)
    persons = resolve_protocol(experiment.persons, dataset)
    usual = (0,) if persons.protocol == "person" else persons.classes
    person_training = PersonRecipe(
        settings=settings,
        pruning=experiment.pruning,
        full_key=full.key,
        by_people=persons.protocol != "classes",
        sizes=settings.classes or usual,
        shots=persons.shots,
    )
    training = full.training | {"epochs": settings.epochs, "learning_rate": settings.learning_rate}
    return dataclasses.replace(full, kind=kind, training=training, person_training=person_training)


def weights_sha256(experiment: Experiment) -> str:
    """Hash of the file of `backbone.weights`; empty without one."""
    return hashlib.sha256(weights_file(experiment).read_bytes()).hexdigest() if experiment.backbone.weights else ""


def weights_file(experiment: Experiment) -> Path:
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
