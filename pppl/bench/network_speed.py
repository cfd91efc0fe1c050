"""Benchmarks of training steps with gates, of data loading, of surgery and of personalization."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch

from ..backbones import build, slice_network, spec_for
from ..config import Experiment
from ..data import IdentityDataset, Support, draw_persons, load_dataset
from ..data.datamodule import Batches
from ..gating import GatedNetwork
from ..personalizers import GlobalModel, Personalizer, make_personalizers
from ..pruning import CostModel
from ..tasks import TASKS
from ..training import GlobalModule, PPPModule
from ..training.gate_settings import PPPSettings
from .ratio import Measured, paired_ratio, seconds

_BUDGET = 0.1


def _setting() -> tuple[Experiment, IdentityDataset, GlobalModel]:
    """Return the demo's experiment and data, and networks with random weights, since speed does not depend on these."""
    experiment = Experiment()
    dataset = load_dataset(experiment.data.name)
    return experiment, dataset, _model(experiment, experiment.backbone.name, dataset.input_shape)


def _model(experiment: Experiment, backbone: str, shape: tuple[int, ...]) -> GlobalModel:
    spec = spec_for(backbone, {}, shape, 10)
    torch.manual_seed(0)
    full, gated = build(spec).eval(), GatedNetwork(build(spec), width=experiment[PPPSettings].gate_width).eval()
    train = Support(x=torch.zeros(1, *shape), y=torch.zeros(1, dtype=torch.int64))
    return GlobalModel(
        task=TASKS["classification"], full=full, gated={"ppp": gated}, cost=CostModel(full, shape), train=train
    )


# Backbone, input shape, batch size, number of measured steps, and goal. Gates cost some fifty small operations a step,
# whatever the network. For one of 0.9 MMACs, that is a quarter more, and over a third on a slow or busy processor.
_STEPS = (
    ("convnet", (1, 8, 8), 256, 60, "<= 1.5"),
    ("resnet20", (3, 32, 32), 128, 10, "<= 1.25"),
    ("res15", (1, 49, 40), 16, 9, "<= 1.25"),
)


def gating() -> Iterator[Measured]:
    """Yield the time of a gated training step, relative to a plain one."""
    for name, shape, batch, runs, goal in _STEPS:
        spec = spec_for(name, {}, shape, 10)
        experiment = Experiment()
        gated = PPPModule(build(spec), experiment.training, TASKS["classification"], experiment[PPPSettings])
        plain = GlobalModule(build(spec), experiment.training, TASKS["classification"])
        x, y = torch.randn(batch, *shape), torch.arange(batch) % 10
        gated_step, plain_step = partial(stepper(gated), x, y), partial(stepper(plain), x, y)
        ratio = paired_ratio(gated_step, plain_step, runs=runs, warm_up=3)
        yield Measured(f"gating: {name}", ratio, "the same backbone's plain training step", goal)


def loader() -> Iterator[Measured]:
    """Yield the time of an epoch over augmented images, relative to as many steps on one prepared batch."""
    count = 1280
    images = IdentityDataset(
        name="random images",
        x=torch.randint(256, (count, 3, 32, 32)).to(torch.uint8),
        y=torch.arange(count) % 10,
        classes=tuple("0123456789"),
    )
    batches = Batches(images, torch.arange(count), 128, seed=0, augment=("crop", "flip"))
    module = GlobalModule(
        build(spec_for("resnet20", {}, images.input_shape, 10)), Experiment().training, TASKS["classification"]
    )
    step, ready = stepper(module), next(iter(batches))

    def epoch() -> None:
        for batch in batches:
            step(*batch)

    def steps() -> None:
        for _ in range(len(batches)):
            step(*ready)

    ratio = paired_ratio(epoch, steps, runs=5, warm_up=1)
    yield Measured("loader: an epoch", ratio, "its training steps on a batch that is ready", "<= 1.1")


def stepper(module: GlobalModule) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Return a function that makes a training step on a batch."""
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), module.training_config.learning_rate, fused=True)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.stack([*module.losses(x, y)[1].values()]).sum().backward()
        optimizer.step()

    return step


def surgery() -> Iterator[Measured]:
    """Yield the time to slice a network by masks, relative to building the sliced network and loading its weights."""
    _, _, model = _setting()
    generator = torch.Generator().manual_seed(0)
    masks = [torch.rand(width, generator=generator) < 0.3 for width in model.full.widths]
    state = slice_network(model.full, masks).state_dict()
    spec = model.full.spec.with_widths([int(mask.sum()) for mask in masks])
    ratio = paired_ratio(lambda: slice_network(model.full, masks), lambda: build(spec).load_state_dict(state), runs=200)
    yield Measured("surgery: masks to network", ratio, "building that network and loading its weights", "<= 1")


def personalize() -> Iterator[Measured]:
    """Yield the time to personalize a network, relative to a forward pass and to fine-tuning."""
    experiment, dataset, model = _setting()
    own = make_personalizers(experiment.replace(methods=["ppp"]))[0]
    tuned = make_personalizers(experiment.replace(methods=["l1_local+finetune"]))[0]
    supports = [
        person.support_of(dataset)
        for size in experiment.persons.classes
        for person in draw_persons(dataset, experiment.persons, size=size, seed=0)
    ]

    def spent(personalizer: Personalizer, model: GlobalModel, support: Support) -> float:
        fresh = Support(x=support.x, y=support.y, seed=support.seed)  # without cached results
        return personalizer.personalize(model, fresh, _BUDGET).seconds

    @torch.no_grad()
    def forward(model: GlobalModel, support: Support) -> float:
        return seconds(lambda: model.full(support.x))

    resnet = _model(experiment, "resnet20", (3, 32, 32))
    images = Support(x=torch.randn(10, 3, 32, 32), y=torch.zeros(10, dtype=torch.int64))
    for support in supports[:10]:
        forward(resnet, images)
        spent(own, resnet, images)
        spent(own, model, support)
    to_forward = [spent(own, resnet, images) / forward(resnet, images) for _ in range(100)]
    to_tuning = [spent(tuned, model, support) / spent(own, model, support) for support in supports]
    name, peer = "personalize: to a forward pass", "one forward pass of 10 samples through the full resnet20"
    yield Measured(name, statistics.median(to_forward), peer, "<= 2")
    # Eighty steps of a small network, each mostly overhead, against one pass of a large one: processors differ.
    yield Measured("personalize: to fine-tuning", statistics.median(to_tuning), "l1 + fine-tuning / ppp", ">= 30")
