"""Speed as ratios against named peers, measured in turns in the same process."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..backbones import build, spec_for
from ..config import Experiment
from ..data import IdentityDataset, Support, draw_persons, load_dataset
from ..data.datamodule import Batches
from ..errors import unknown
from ..files import output_folder, replacing
from ..gating import GatedNetwork
from ..personalizers import GlobalModel, Personalizer, personalizers_for
from ..pruning import CostModel, slice_network
from ..training import PPPModule
from .tracking import notice

_BUDGET = 0.1


@dataclass(frozen=True, kw_only=True)
class Result:
    """One ratio of times, the median over paired runs: this to `peer`, or as `peer` says."""

    name: str
    value: float
    unit: str
    peer: str
    goal: str
    holds: bool


def bench(names: Sequence[str] = (), json_file: Path | None = None) -> list[Result]:
    """Runs the named benchmarks (all by default), prints a line each and returns the results.

    Raises `UserError` for an unknown name or a file that cannot be written.
    """
    for name in names:
        if name not in _BENCHES:
            raise unknown("benchmark", name, _BENCHES)
    if json_file is not None:
        output_folder(json_file.parent)
    results: list[Result] = []
    torch.set_num_threads(1)  # ratios of small kernels must not hang on how threads are scheduled
    for name in names or _BENCHES:
        notice(f"measuring {name}, one thread")
        for result in _BENCHES[name]():
            results.append(result)
            verdict = "holds" if result.holds else "DOES NOT HOLD"
            line = f"{result.name:<32} {result.value:8.2f} {result.unit}  goal {result.goal}: {verdict}"
            print(f"{line}  (peer: {result.peer})")
    if json_file is not None:
        with replacing(json_file) as path:
            path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")
    return results


def paired_ratio(this: Callable[[], object], peer: Callable[[], object], *, runs: int, warm_up: int = 5) -> float:
    """Median over runs of (time of `this`) / (time of `peer`), the two measured in turns."""
    for _ in range(warm_up):
        this()
        peer()
    return statistics.median(_seconds(this) / _seconds(peer) for _ in range(runs))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _result(name: str, value: float, peer: str, goal: str) -> Result:
    sign, bound = goal.split()
    holds = value <= float(bound) if sign == "<=" else value >= float(bound)
    return Result(name=name, value=round(value, 3), unit="x", peer=peer, goal=goal, holds=holds)


def _setting() -> tuple[Experiment, IdentityDataset, GlobalModel]:
    """The demo's data and networks with random weights: speed does not depend on what was learnt."""
    experiment = Experiment()
    dataset = load_dataset(experiment.data.name)
    spec = spec_for(experiment.backbone.name, experiment.backbone.options, dataset.input_shape, len(dataset.classes))
    torch.manual_seed(0)
    full, gated = build(spec).eval(), GatedNetwork(build(spec), width=experiment.ppp.gate_width).eval()
    return experiment, dataset, GlobalModel(full=full, gated={"ppp": gated}, cost=CostModel(full, dataset.input_shape))


# Backbone, options, input shape and batch size of a training step.
_STEPS: tuple[tuple[str, dict[str, Any], tuple[int, ...], int], ...] = (
    ("convnet", {}, (1, 8, 8), 256),
    ("resnet20", {}, (3, 32, 32), 128),
    ("res15", {}, (1, 49, 40), 16),
)


def _bench_gating() -> list[Result]:
    results = []
    for name, options, shape, batch in _STEPS:
        spec = spec_for(name, options, shape, 10)
        experiment = Experiment()
        module, plain = PPPModule(build(spec), experiment.training, experiment.ppp), build(spec)
        x, y = torch.randn(batch, *shape), torch.arange(batch) % 10
        gated_step = _step(module.network, lambda m=module, x=x, y=y: torch.stack([*m.losses(x, y)[1].values()]).sum())
        plain_step = _step(plain, lambda p=plain, x=x, y=y: F.cross_entropy(p(x), y))
        runs = 120 if name == "convnet" else 20
        ratio = paired_ratio(gated_step, plain_step, runs=runs, warm_up=3)
        results.append(_result(f"gating: {name}", ratio, "the same backbone's plain training step", "<= 1.25"))
    return results


def _bench_loader() -> list[Result]:
    """An epoch over images in memory, augmented, beside the same number of steps on one prepared batch."""
    count, batch = 2560, 128
    images = IdentityDataset(
        name="random images",
        x=torch.randint(256, (count, 3, 32, 32)).to(torch.uint8),
        y=torch.arange(count) % 10,
        classes=tuple("0123456789"),
    )
    batches = Batches(images, torch.arange(count), batch, seed=0, augment=("crop", "flip"))
    network = build(spec_for("resnet20", {}, images.input_shape, 10))
    x, y = next(iter(batches))
    data = {"x": x, "y": y}
    step = _step(network, lambda: F.cross_entropy(network(data["x"]), data["y"]))

    def epoch() -> None:
        for data["x"], data["y"] in batches:
            step()

    def steps() -> None:
        for _ in range(len(batches)):
            step()

    ratio = paired_ratio(epoch, steps, runs=5, warm_up=1)
    return [_result("loader: an epoch", ratio, "its training steps on a batch that is ready", "<= 1.1")]


def _step(network: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), Experiment().training.learning_rate, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _bench_surgery() -> list[Result]:
    _, _, model = _setting()
    generator = torch.Generator().manual_seed(0)
    masks = [torch.rand(width, generator=generator) < 0.3 for width in model.full.widths]
    state = slice_network(model.full, masks).state_dict()
    spec = model.full.spec.with_widths([int(mask.sum()) for mask in masks])
    ratio = paired_ratio(lambda: slice_network(model.full, masks), lambda: build(spec).load_state_dict(state), runs=200)
    return [_result("surgery: masks to network", ratio, "building that network and loading its weights", "<= 1")]


def _bench_personalize() -> list[Result]:
    experiment, dataset, model = _setting()
    own = personalizers_for(experiment.replace(methods=["ppp"]))[0]
    tuned = personalizers_for(experiment.replace(methods=["l1_finetune"]))[0]
    supports = [
        person.support_of(dataset)
        for size in experiment.persons.classes
        for person in draw_persons(dataset, experiment.persons, size=size, seed=0)
    ]

    def seconds(personalizer: Personalizer, support: Support) -> float:
        return personalizer.personalize(model, support, _BUDGET).seconds

    @torch.no_grad()
    def forward(support: Support) -> float:
        return _seconds(lambda: model.full(support.x))

    for support in supports[:10]:
        forward(support)
        seconds(own, support)
    to_forward = [seconds(own, support) / forward(support) for _ in range(5) for support in supports]
    to_tuning = [seconds(tuned, support) / seconds(own, support) for support in supports]
    return [
        _result(
            "personalize: to a forward pass",
            statistics.median(to_forward),
            "one forward pass of the support set through the full network",
            "<= 3",
        ),
        _result("personalize: to fine-tuning", statistics.median(to_tuning), "l1 + fine-tuning / ppp", ">= 50"),
    ]


_BENCHES: dict[str, Callable[[], list[Result]]] = {
    "gating": _bench_gating,
    "loader": _bench_loader,
    "surgery": _bench_surgery,
    "personalize": _bench_personalize,
}
