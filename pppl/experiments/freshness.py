"""What a row of a comparison depends on besides its keys; a row for which that has changed is computed again."""

import dataclasses

from ..config import Experiment
from ..data import IdentityDataset
from ..personalizers import personalizers_for
from .provenance import fingerprint
from .recipes import NETWORKS_VERSION, weights_sha256

# Raised when a change makes rows of all methods differ from what would be computed now; for one method its
# personalizer's `version` is raised instead.
_VERSION = "5"


def fingerprints(experiment: Experiment, dataset: IdentityDataset) -> dict[str, str]:
    """A hash for each method: of its code's version, its settings, the persons, the networks and the data.

    Methods, budgets, seeds and sizes of persons are named by the row, so that adding one leaves rows as they are.
    """
    persons = dataclasses.asdict(experiment.persons)
    del persons["classes"]
    shared = [
        _VERSION,
        NETWORKS_VERSION,
        dataset.sha256,
        weights_sha256(experiment),
        persons,
        *(dataclasses.asdict(section) for section in (experiment.data, experiment.backbone, experiment.training)),
    ]
    return {  # one for all controls of a method
        each.method: fingerprint([*shared, each.version, each.depends_on()]) for each in personalizers_for(experiment)
    }
