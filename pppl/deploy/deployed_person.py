"""A person's samples with a global model, and the personal networks and files made from them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np
import torch

from ..backbones import Backbone
from ..data import Support
from ..data.samples import Samples
from ..diff import base_sha256
from ..personalizers import GlobalModel, Personalizer, PersonalModel
from ..system.errors import UserError
from ..training.gate_settings import PersonTraining, PPPSettings
from .fitting import ROUNDINGS, Rounding, choose_rounding, fit_bytes, fit_latency
from .formats import to_onnx
from .graph import Deployed, LogMelOnly
from .limit import Limit
from .narrowed import narrow
from .onnx_file import Session, open_onnx_bytes
from .personal_file import PersonalFile
from .thin import Thin
from .timing import speed_ups, time_in_turns
from .trained_run import TrainedRun

_TIMINGS = 5


class DeployedPerson:
    """A person's samples, a method and a limit, on a run's global model.

    ```python
    run = TrainedRun.open("results/base")
    samples = read_samples("person.npz", run.preprocessing)
    person = DeployedPerson(run, samples, "ppp", Limit.parse("40kB"))
    person.file(person.model(round_to=1).module).write(Path("personal.safetensors"))
    ```

    **Arguments:**

    - `settings`: settings of the experiment to replace, by dotted key.
    - `raw_audio`: whether exports take waveforms.

    Raise `UserError` if the method reads labels and there are none, or if the run lacks a network that it needs.
    """

    def __init__(
        self,
        run: TrainedRun,
        samples: Samples,
        method: str,
        limit: Limit,
        *,
        settings: Mapping[str, Any] | None = None,
        raw_audio: bool = False,
    ):
        self.run, self.method, self.limit, self.raw_audio = run, method, limit, raw_audio
        self.settings = dict(settings or {})
        self.global_model: GlobalModel = run.model(run.personalizer(method))
        self.has_labels = samples.labels is not None
        unknown_labels = torch.zeros(len(samples.values), dtype=torch.int64)
        labels = unknown_labels if samples.labels is None else run.preprocessing.to_targets(samples.labels)
        if samples.labels is None and run.personalizer(method).reads_labels:
            raise UserError(
                f"method {method} reads labels: put samples into sub-folders that are named after their classes"
            )
        self.support = Support(x=run.preprocessing(samples.values), y=labels, seed=run.seed)

    def base(self) -> Backbone:
        """Return the network that masks apply to: the full one, or the gated one that the method uses."""
        gates = self._make_personalizer(1).gates
        return self.global_model.full if gates is None else self.global_model.gated[gates].backbone

    def _make_personalizer(self, round_to: int) -> Personalizer:
        unit = "params" if self.limit.unit in ("params", "bytes") else "macs"
        how = {"pruning.unit": unit, "pruning.round_to": round_to, **self.settings}
        return self.run.personalizer(self.method, **how)

    def with_classes(self) -> Backbone:
        """Return the full network, corrected for the person's class prior.

        It costs nothing extra, so personal networks are compared with it.
        """
        own = self.run.personalizer("full+classes", **self.settings)
        return own.personalize(self.global_model, self.support, 1.0).module

    def model(self, round_to: int) -> PersonalModel:
        """Return the personal model within the limit. Its layers keep multiples of `round_to` channels.

        Raise `UserError` if the limit cannot be met, or if the method does not prune or chooses channels per sample.
        """
        own, limit = self._make_personalizer(round_to), self.limit

        def make(budget: float) -> PersonalModel:
            model = own.personalize(self.global_model, self.support, budget)
            if model.cost_of is not None:
                raise UserError(
                    f"method {self.method} chooses channels for each sample: it gives no smaller network to deploy"
                )
            return model

        if not own.prunes and limit != Limit(value=1.0, unit="macs"):
            raise UserError(f"method {self.method} does not prune: give it a budget of 1")
        if limit.unit in ("macs", "params"):
            return make(limit.value)
        if limit.unit == "bytes":
            return fit_bytes(make, lambda model: len(self.file(model.module).to_bytes()), limit.value)
        return fit_latency(make, self._milliseconds_of, limit.value, self.full_ms, explain=self._explain_latency)

    @property
    def most_budget(self) -> float:
        """The largest budget that the method uses; 1 unless its gates were trained for persons with at most less."""
        own = self._make_personalizer(1)
        by_persons = own.gates is not None and own.experiment[PPPSettings].training == "persons"
        return own.experiment[PersonTraining].capped(1.0) if by_persons else 1.0

    def took(self, model: PersonalModel) -> dict[str, float]:
        """Return the milliseconds of one sample through the exports of a model and of the full network."""
        return {"personal": self._milliseconds_of(model), "full": self.full_ms}

    def _milliseconds_of(self, model: PersonalModel) -> float:
        return self.share(model) * self.full_ms

    def _explain_latency(self) -> str:
        """Return how much of the latency log-mel takes, and what to do about it; empty if there is none."""
        if not self.raw_audio:
            return ""
        hears = LogMelOnly(self.global_model.full, self.run.preprocessing, raw_audio=True)
        took = self.milliseconds({"log-mel": open_onnx_bytes(to_onnx(hears, {}))})["log-mel"]
        return f", log-mel alone {took:.3g} ms, which no budget makes less: give more, or leave --raw-audio out"

    def share(self, model: PersonalModel) -> float:
        """Measure a model's latency as a fraction of the full network's.

        Both are timed in turns, since a machine's speed drifts.
        """
        took = self.milliseconds({"full": self.full_session, "own": self.timed(model.module)})
        return took["own"] / took["full"]

    def rounding(self) -> Rounding:
        """Choose the smallest multiple of channels that has nearly the best speed per MAC on this machine."""
        if not self._make_personalizer(1).prunes:
            return Rounding(round_to=1, reason="nothing is pruned")
        limit = self.limit
        sessions, macs = {0: self.full_session}, {0: self.global_model.cost.full.macs}
        budget = limit.value if limit.unit in ("macs", "params") else self._estimate_budget()
        for multiple in ROUNDINGS:
            try:
                model = self._make_personalizer(multiple).personalize(self.global_model, self.support, budget)
            except UserError:  # this many channels in every layer exceed the budget
                break
            sessions[multiple], macs[multiple] = self.timed(model.module), model.cost.macs
        if len(sessions) == 1:
            return Rounding(round_to=1, reason="no multiple is within the budget")
        faster = speed_ups(self._calls(sessions), 0)
        return choose_rounding([(multiple, faster[multiple] * macs[multiple] / macs[0]) for multiple in faster])

    def _estimate_budget(self) -> float:
        """Estimate which fraction of the MACs a limit in bytes or ms allows."""
        if self.limit.unit == "bytes":
            return min(1.0, self.limit.value / len(self.file(self.global_model.full).to_bytes()))
        return min(1.0, self.limit.value / self.full_ms)

    def deployed(self, network: Backbone) -> Deployed:
        """Return the module to export for a network: its preprocessing and the network."""
        return Deployed(network, self.run.preprocessing, raw_audio=self.raw_audio)

    def session(self, network: Backbone) -> Session:
        """Export a network and open it in ONNX Runtime."""
        return open_onnx_bytes(to_onnx(self.deployed(network), {}))

    def timed(self, network: Backbone) -> Session:
        """Return a session that is as fast as `session(network)`, for timing only.

        It is cut out of the full network's export if possible, which saves an export. Its outputs are then meaningless.
        """
        full = self.global_model.full
        same = network.spec == full.spec.with_widths(network.widths)
        content = narrow(self._full_onnx, self.deployed(network)) if same else None
        return self.session(network) if content is None else open_onnx_bytes(content)

    def milliseconds(self, sessions: dict[Any, Session]) -> dict[Any, float]:
        """Time one sample through each session, in turns, and return the median milliseconds by name."""
        return {name: latency.median for name, latency in time_in_turns(self._calls(sessions)).items()}

    def _calls(self, sessions: dict[Any, Session]) -> dict[Any, Callable[[], object]]:
        return {name: lambda session=session: session(self._example) for name, session in sessions.items()}

    @cached_property
    def _full_onnx(self) -> bytes:
        return to_onnx(self.deployed(self.global_model.full), {})

    @cached_property
    def full_session(self) -> Session:
        """The full network in ONNX Runtime."""
        return open_onnx_bytes(self._full_onnx)

    @cached_property
    def full_ms(self) -> float:
        """Milliseconds of one sample through the exported full network: the median of several timings."""
        return median(self.milliseconds({"full": self.full_session})["full"] for _ in range(_TIMINGS))

    @cached_property
    def _example(self) -> np.ndarray:
        """A batch of one sample for timing, `(1, ...)`."""
        return torch.zeros(1, *self.deployed(self.global_model.full).input_shape).numpy()

    def file(self, network: Backbone) -> PersonalFile:
        """Return the personal model file of a network."""
        return PersonalFile(
            network=network,
            full=self.global_model.full.spec,
            preprocessing=self.run.preprocessing,
            base_sha256=self.base_sha256,
            provenance={
                "pppl": version("pppl"),
                "method": self.method,
                "limit": asdict(self.limit),
                "seed": self.run.seed,
                "support": len(self.support.x),
                "dataset_sha256": self.run.dataset_sha256,
            },
        )

    def meta(self, model: PersonalModel) -> dict[str, Any]:
        """Return the metadata of a model's exports."""
        file = self.file(model.module)
        return {
            "preprocessing": json.loads(file.preprocessing.to_json()),
            "classes": list(file.classes),
            "raw_audio": self.raw_audio,
            "spec": json.loads(model.module.spec.to_json()),
            "full": json.loads(file.full.to_json()),
            "base_sha256": file.base_sha256,
            "provenance": dict(file.provenance),
        }

    def thin(self, model: PersonalModel) -> Thin | None:
        """Return the thin form of a model.

        Return None if masks, a class prior and a delta do not describe the whole personal network.
        """
        if model.masks is None and model.classes is None:
            return None
        base, classes = self.base(), model.classes
        masks = model.masks or [torch.ones(width, dtype=torch.bool) for width in base.widths]
        prior = {} if classes is None else {"added": classes.added, "cut": classes.cut}
        thin = Thin.of(base, masks, model.delta, **prior)
        try:
            made = thin.network(self.base()).state_dict()
        except UserError:  # the delta belongs to another network
            return None
        own = model.module.state_dict()
        same = own.keys() == made.keys() and all(torch.equal(value, made[key]) for key, value in own.items())
        return thin if same else None

    @cached_property
    def base_sha256(self) -> str:
        """Hash of the global network's weights."""
        return base_sha256(self.base())
