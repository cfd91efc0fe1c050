"""Speed as ratios against named peers, measured in turns in the same process."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from ..backbones import build, spec_for
from ..config import Experiment
from ..data import IdentityDataset, Support, draw_persons, load_dataset
from ..data.datamodule import Batches
from ..errors import unknown
from ..files import output_folder, replacing
from ..gating import GatedNetwork
from ..personalizers import GlobalModel, Personalizer, personalizers_for
from ..pruning import CostModel, slice_network
from ..training import GlobalModule, PPPModule
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
    cost, train = CostModel(full, dataset.input_shape), Support(x=dataset.x[:1], y=dataset.y[:1])
    return experiment, dataset, GlobalModel(full=full, gated={"ppp": gated}, cost=cost, train=train)


# Backbone, input shape, batch size and how many steps are measured.
_STEPS = (("convnet", (1, 8, 8), 256, 120), ("resnet20", (3, 32, 32), 128, 20), ("res15", (1, 49, 40), 16, 15))


def _bench_gating() -> list[Result]:
    results = []
    for name, shape, batch, runs in _STEPS:
        spec = spec_for(name, {}, shape, 10)
        experiment = Experiment()
        gated = PPPModule(build(spec), experiment.training, experiment.ppp)
        plain = GlobalModule(build(spec), experiment.training)
        x, y = torch.randn(batch, *shape), torch.arange(batch) % 10
        gated_step, plain_step = partial(_stepper(gated), x, y), partial(_stepper(plain), x, y)
        ratio = paired_ratio(gated_step, plain_step, runs=runs, warm_up=3)
        results.append(_result(f"gating: {name}", ratio, "the same backbone's plain training step", "<= 1.25"))
    return results


def _bench_loader() -> list[Result]:
    """An epoch over images in memory, augmented, beside the same number of steps on one prepared batch."""
    count = 2560
    images = IdentityDataset(
        name="random images",
        x=torch.randint(256, (count, 3, 32, 32)).to(torch.uint8),
        y=torch.arange(count) % 10,
        classes=tuple("0123456789"),
    )
    batches = Batches(images, torch.arange(count), 128, seed=0, augment=("crop", "flip"))
    module = GlobalModule(build(spec_for("resnet20", {}, images.input_shape, 10)), Experiment().training)
    step, ready = _stepper(module), next(iter(batches))

    def epoch() -> None:
        for batch in batches:
            step(*batch)

    def steps() -> None:
        for _ in range(len(batches)):
            step(*ready)

    ratio = paired_ratio(epoch, steps, runs=5, warm_up=1)
    return [_result("loader: an epoch", ratio, "its training steps on a batch that is ready", "<= 1.1")]


def _stepper(module: GlobalModule) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """A function that makes a training step on a batch."""
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), module.training_config.learning_rate, fused=True)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.stack([*module.losses(x, y)[1].values()]).sum().backward()
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
    tuned = personalizers_for(experiment.replace(methods=["l1_local+finetune"]))[0]
    supports = [
        person.support_of(dataset)
        for size in experiment.persons.classes
        for person in draw_persons(dataset, experiment.persons, size=size, seed=0)
    ]

    def seconds(personalizer: Personalizer, support: Support) -> float:
        fresh = Support(x=support.x, y=support.y, seed=support.seed)  # of which nothing is kept
        return personalizer.personalize(model, fresh, _BUDGET).seconds

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


def _bench_diff() -> list[Result]:
    from . import bench_diff

    return [_result(*measured) for measured in bench_diff.measure(paired_ratio)]


def _bench_compare() -> list[Result]:
    from . import bench_compare

    return [_result(*measured) for measured in bench_compare.measure(paired_ratio)]


_BENCHES: dict[str, Callable[[], list[Result]]] = {
    "gating": _bench_gating,
    "loader": _bench_loader,
    "surgery": _bench_surgery,
    "personalize": _bench_personalize,
    "diff": _bench_diff,
    "compare": _bench_compare,
}
