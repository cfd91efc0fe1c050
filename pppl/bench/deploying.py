"""Benchmarks of deployment: latency against MACs, limits in milliseconds, thin forms, many people at once."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ..backbones import Backbone, build, spec_for
from ..comparison.network_files import save_network
from ..comparison.recipes import recipes
from ..config import Experiment
from ..data import IdentityDataset, split_for
from ..data.preprocessing import Preprocessing
from ..data.samples import Samples
from ..deploy import People, Thin
from ..deploy.deployed_person import DeployedPerson
from ..deploy.limit import Limit
from ..deploy.trained_run import TrainedRun
from ..gating import Gate, GatedNetwork
from ..training.gate_settings import PPPSettings
from .ratio import Measured, paired_ratio

_BUDGET, _SHARE = 0.25, 0.25
_ROUNDS = 9  # both are timed in turns, since other programs slow a small network and a large one unequally
# The number of persons whose limit in milliseconds is measured, and of samples of each.
_PERSONS, _SHOTS = 6, 10
_MANY, _BATCH = 10_000, 64


def latency() -> Iterator[Measured]:
    """Yield the speed-up of ResNet-20 of width 64, pruned by PPP to a quarter of the MACs, in ONNX Runtime.

    Also yield how many of several limits in milliseconds are met.
    """
    with TemporaryDirectory() as name:
        run = _run(Path(name), "resnet20", {"width": 64})
        person = _person(run, Limit(value=_BUDGET, unit="macs"), seed=0)
        rounding = person.rounding()
        model = person.model(rounding.round_to)
        sessions = {"full": person.full_session, "own": person.session(model.module)}
        took = [person.milliseconds(sessions) for _ in range(_ROUNDS)]
        speed_up = statistics.median(each["full"] / each["own"] for each in took)
        promised = person.global_model.cost.full.macs / model.cost.macs
        peer = f"the MACs' ratio, {promised:.2f}; speed-up {speed_up:.2f}, round_to {rounding.round_to}"
        yield Measured("latency: resnet20, width 64", speed_up / promised, peer, ">= 0.85")
        met = 0
        for seed in range(_PERSONS):
            person = _person(run, Limit(value=1, unit="macs"), seed=seed)
            person.limit = Limit(value=_SHARE * person.full_ms, unit="ms")
            model = person.model(rounding.round_to)
            took = person.milliseconds({"full": person.full_session, "own": person.session(model.module)})
            met += abs(took["own"] / took["full"] / _SHARE - 1) <= 0.1
        peer = f"a limit of {_SHARE:g} of the full network's milliseconds, both exported and timed anew; within 10 %"
        yield Measured(f"latency: limits met of {_PERSONS}", met, peer, f">= {_PERSONS - 1}", "persons")


def people() -> Iterator[Measured]:
    """Yield the size and speed of the thin personal models of many people on one ResNet-20."""
    torch.manual_seed(0)
    network = build(spec_for("resnet20", {}, (3, 32, 32), 10)).eval()
    channels, rng = sum(network.widths), np.random.default_rng(0)
    masks = _masks(network, rng, _BATCH)
    thin = Thin.of(network, list(torch.from_numpy(masks[0]).split(network.widths)))
    peer = f"1 bit for each of {channels} gated channels and 256 bytes"
    yield Measured("people: thin form", len(thin.to_bytes()) / (channels / 8 + 256), peer, "<= 1")
    served = People(network)
    for index in range(_MANY):
        served.add(masks[index % _BATCH])
    x = torch.randn(_BATCH, 3, 32, 32)
    who = [rng.integers(_MANY, size=_BATCH).tolist() for _ in range(40)]
    turns = iter(who * 10)
    with torch.inference_mode():
        ratio = paired_ratio(lambda: served(x, next(turns)), lambda: network(x), runs=30)
        yield Measured(f"people: a batch of {_BATCH}", ratio, "the plain forward pass of that batch", "<= 1.3")
        apart = paired_ratio(
            lambda: [served.network(person)(x[:1]) for person in who[0]], lambda: served(x, who[0]), runs=5, warm_up=1
        )
        yield Measured("people: one by one", apart, "the same people in one batch", ">= 1")
    size = served.bytes / len(served)
    yield Measured(f"people: bytes of {_MANY:,}", size / (channels / 8), "1 bit per gated channel", "<= 1.1")


def _masks(network: Backbone, rng: np.random.Generator, count: int) -> np.ndarray:
    """Return random masks, `(count, D)` boolean, that keep at least one channel of each group."""
    masks = rng.random((count, sum(network.widths))) < 0.4
    masks[:, np.cumsum([0, *network.widths[:-1]])] = True
    return masks


def _run(folder: Path, backbone: str, options: dict[str, int]) -> TrainedRun:
    """Return a run like those of `pppl train`, with random weights, since speed does not depend on their values."""
    experiment = Experiment().replace(**{"backbone.name": backbone, "backbone.options": options, "methods": ["ppp"]})
    generator = torch.Generator().manual_seed(0)
    images = IdentityDataset(
        name="random images",
        x=torch.randint(256, (400, 3, 32, 32), generator=generator).to(torch.uint8),
        y=torch.arange(400) % 10,
        classes=tuple("0123456789"),
    )
    torch.manual_seed(0)
    full, gated = recipes(experiment, images, 0)
    (folder / "models").mkdir()
    save_network(folder / "models" / "full-seed0.safetensors", full, build(full.spec).eval(), {})
    network = GatedNetwork(build(gated.spec), width=experiment[PPPSettings].gate_width).eval()
    for gate in network.gates:
        assert isinstance(gate, Gate)
        torch.nn.init.normal_(gate.logits.bias)  # some channels of every layer are wanted, others are not,
        torch.nn.init.normal_(gate.logits.weight, std=0.3)  # and people differ
    save_network(folder / "models" / "ppp-seed0.safetensors", gated, network, {})
    return TrainedRun(
        folder=folder,
        experiment=experiment,
        seed=0,
        preprocessing=Preprocessing.of(images, split_for(images, experiment.persons, 0)),
        unseen=(),
        dataset_sha256=images.sha256,
    )


def _person(run: TrainedRun, limit: Limit, *, seed: int) -> DeployedPerson:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(_SHOTS, *run.preprocessing.shape, generator=generator) * 255
    return DeployedPerson(run, Samples(values=values, names=("",) * _SHOTS), "ppp", limit)
