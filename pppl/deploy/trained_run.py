"""The output folder of `pppl train`: the networks of one seed, with their preprocessing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..backbones import Backbone
from ..comparison.network_files import load_network
from ..comparison.train import inputs_name
from ..config import Experiment
from ..config.salvage import explaining, salvage
from ..data import NoSamples
from ..data.preprocessing import Preprocessing
from ..gating import GatedNetwork, PersonGatedNetwork
from ..personalizers import GlobalModel, Personalizer, make_own_personalizer
from ..pruning import CostModel
from ..system.errors import UserError, unknown
from ..system.files import expand
from ..tables.provenance import read_run
from ..tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """An open output folder of `pppl train`.

    - `experiment`: the run's experiment with `seed` as its only seed.
    - `unseen`: names of the people who were not in the training data.
    - `dataset_sha256`: hash of the run's data set; empty if the run has none.
    - `lost`: why plugins of the run cannot be loaded; empty if all can. Errors about what they add say why.
    """

    folder: Path
    experiment: Experiment
    seed: int
    preprocessing: Preprocessing
    unseen: tuple[str, ...]
    dataset_sha256: str
    lost: str = ""

    @staticmethod
    def open(folder: str | Path, seed: int | None = None) -> "TrainedRun":
        """Open a folder with the networks of `seed`, by default the run's first.

        ```python
        run = TrainedRun.open("results/base")
        ```

        Raise `UserError` if `pppl train` did not write the folder, or if it has no such seed.
        """
        folder = expand(folder)
        run = read_run(folder)
        if "config" not in run or not (folder / "models").is_dir():
            raise UserError(
                f"{folder} holds no trained networks: `pppl train EXPERIMENT.yaml --out {folder}` trains some"
            )
        experiment, lost = salvage(Experiment, run["config"], folder)
        seed = experiment.seeds[0] if seed is None else seed
        if seed not in experiment.seeds:
            raise UserError(f"{folder} has no seed {seed}: choose from {', '.join(map(str, experiment.seeds))}")
        path = folder / "models" / inputs_name(seed)
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            preprocessing = Preprocessing.from_json(json.dumps(tree["preprocessing"]))
        except (OSError, ValueError, KeyError) as error:
            remedy = "run `pppl train` with the same settings and --out, which writes it without training again"
            raise UserError(f"{path} cannot be read ({error}): {remedy}") from error
        return TrainedRun(
            folder=folder,
            experiment=experiment.replace(seeds=[seed]),
            seed=seed,
            preprocessing=preprocessing,
            unseen=tuple(tree["unseen"]),
            dataset_sha256=str(run.get("dataset_sha256", "")),
            lost=lost,
        )

    def personalizer(self, method: str, **settings: Any) -> Personalizer:
        """Return a method by name, with some settings of the experiment replaced.

        If the method has controls, this is the variant with the person's own samples.

        Raise `UserError` if the run has no network for it.
        """
        with explaining(self.lost):
            own = make_own_personalizer(self.experiment.replace(**settings), method)
        if own.gates is not None and not self._path(own.gates).exists():
            present = [
                path.name.rpartition("-seed")[0] for path in (self.folder / "models").glob("[!.]*-seed*.safetensors")
            ]
            raise unknown(f"network of {self.folder} for method {method}", own.gates, {*present} - {"full"})
        return own

    def model(self, personalizer: Personalizer) -> GlobalModel:
        """Load the networks of the global model that a personalizer needs."""
        gates = personalizer.gates
        with explaining(self.lost):
            full = cast(Backbone, load_network(self._path("full"))[0])
            gated = {} if gates is None else {gates: load_network(self._path(gates))[0]}
        return GlobalModel(
            task=TASKS.find(self.preprocessing.task),
            full=full,
            gated=cast(dict[str, GatedNetwork | PersonGatedNetwork], gated),
            cost=CostModel(full, self.preprocessing.shape),
            train=NoSamples.of_shape(self.preprocessing.shape),
        )

    def _path(self, kind: str) -> Path:
        return self.folder / "models" / f"{kind}-seed{self.seed}.safetensors"
