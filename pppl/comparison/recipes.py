"""The recipes of global networks: all that determines them."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backbones import ShapeSpec, build, load_weights, source_of_backbone, spec_for
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
    """The recipe of gates that are trained one person at a time.

    - `pruning`: the quantity that budgets limit.
    - `full_key`: the key of the full network, which training starts from and distils.
    - `by_people`, `sizes`, `shots`: the definition of a person, as in `PersonBatches`.
    """

    settings: PersonTraining
    pruning: PruningSettings
    full_key: str
    by_people: bool
    sizes: tuple[int, ...]
    shots: int


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """The teacher that a pruned network is distilled from, by its hash, and the weight of its predictions.

    - `classes`: numbers of classes of the persons for whose classes outputs are corrected; none: they are not.
    """

    teacher_sha256: str
    weight: float
    classes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that determines one global network.

    - `ppp` or `person_training`: how its gates are trained, if it has any.
    - `weights_sha256`: the hash of the weights that training starts from; empty for random ones.
    - `distilled`: the teacher, if the network is retrained with one after pruning.
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
        """The hash of the recipe, its code, and this machine's kind of device and precision of training."""
        tree = dataclasses.asdict(self)
        if self.ppp is not None:
            for name in ("prototypes", "training"):  # neither changes how these gates are trained
                tree["ppp"].pop(name)
            tree["ppp"].pop("epochs")  # `training` has them
        if self.distilled is None:
            del tree["distilled"]
        precision = "auto"
        if self.person_training is None:
            del tree["person_training"]
        else:
            precision = tree["person_training"]["settings"].pop("precision")
            for name in ("code_steps", "code_rate"):  # what is done with trained gates
                tree["person_training"]["settings"].pop(name)
        del tree["kind"]
        tree["trained"] = [device_kind(), precision_here(precision)]
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
    return code_hash(fit, module, source_of_backbone(backbone), TASKS.get(task))


def recipes(experiment: Experiment, dataset: IdentityDataset, seed: int) -> list[Recipe]:
    """Return the recipes of the networks that methods need: `full` first, then one for each kind of gates."""
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
    return [full, *(_gated_recipe(full, kind, each, experiment, dataset) for kind, each in sorted(settings.items()))]


def _gated_recipe(
    full: Recipe, kind: str, settings: GateSettings, experiment: Experiment, dataset: IdentityDataset
) -> Recipe:
    """Return the recipe of a gated network."""
    if isinstance(settings, PPPSettings):
        training = full.training | ({"epochs": settings.epochs} if settings.epochs else {})
        return dataclasses.replace(full, kind=kind, ppp=settings, training=training)
    persons = resolve_protocol(experiment.persons, dataset)
    default_sizes = (0,) if persons.protocol == "person" else persons.classes
    person_training = PersonRecipe(
        settings=settings,
        pruning=experiment.pruning,
        full_key=full.key,
        by_people=persons.protocol != "classes",
        sizes=settings.classes or default_sizes,
        shots=persons.shots,
    )
    training = full.training | {"epochs": settings.epochs, "learning_rate": settings.learning_rate}
    return dataclasses.replace(full, kind=kind, training=training, person_training=person_training)


def weights_sha256(experiment: Experiment) -> str:
    """Return the hash of the file of `backbone.weights`; empty without one."""
    return hashlib.sha256(weights_file(experiment).read_bytes()).hexdigest() if experiment.backbone.weights else ""


def weights_file(experiment: Experiment) -> Path:
    """Return the file of `backbone.weights`, relative to the working directory or to the data folder.

    Raise `UserError` if there is none.
    """
    name = experiment.backbone.weights
    for path in (Path(name), data_folder() / name):
        if path.is_file():
            return path
    raise UserError(
        f"backbone.weights is {name!r}: no such file here or in {data_folder()}; name another or leave it out"
    )
