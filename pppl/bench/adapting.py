"""The speed of networks from elsewhere: finding their groups, slicing them, and training with gates."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from ..backbones import Adapted, channel_axis, slice_network, tensors_of
from ..config import Experiment
from ..system.extras import missing
from ..system.tracking import notice
from ..tasks import TASKS
from ..training import GlobalModule, PPPModule
from ..training.gate_settings import PPPSettings
from .network_speed import stepper
from .ratio import Measured, paired_ratio

_SHAPE, _BATCH = (3, 96, 96), 8


def measure() -> Iterator[Measured]:
    """Yield the measurements of this module, on networks of `transformers` with random weights."""
    try:
        import transformers
    except ImportError:
        notice(missing("measuring networks from elsewhere", "transformers", "text"))
        return
    torch.manual_seed(0)
    labels: dict[str, Any] = {"num_labels": 10}
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(**labels))
    scales: dict[str, Any] = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}
    efficient = transformers.EfficientNetForImageClassification(
        transformers.EfficientNetConfig(image_size=224, **labels, **scales)
    )
    mobile = transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config(**labels))
    for name, network in (("ViT-B", vit), ("EfficientNet-B0", efficient)):
        yield from _finding(name, network)
    for name, network in (("MobileNetV2", mobile), ("ViT-B", vit)):
        yield from _slicing(name, network)
    yield from _training("MobileNetV2", mobile)


def _finding(name: str, network: nn.Module) -> Iterator[Measured]:
    """Yield the time to find and check all groups, relative to Torch-Pruning's, which checks nothing."""
    x = torch.rand(1, 3, 224, 224)

    def peer() -> None:
        graph = _graph(network.eval(), x)
        list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))

    ratio = paired_ratio(partial(Adapted, network, x), peer, runs=3, warm_up=1)
    yield Measured(f"adapt: groups of {name}", ratio, "Torch-Pruning's graph and groups, unchecked", "<= 8")


def _slicing(name: str, network: nn.Module) -> Iterator[Measured]:
    x = torch.rand(1, 3, 224, 224)
    adapted = Adapted(network, x).eval()
    generator = torch.Generator().manual_seed(0)
    masks = [torch.rand(width, generator=generator) < 0.5 for width in adapted.widths]
    for mask in masks:
        mask[0] = True
    ours, theirs = partial(slice_network, adapted, masks), partial(_torch_pruning, adapted, masks, x)
    ratio = 1 / paired_ratio(ours, theirs, runs=5, warm_up=1)
    yield Measured(f"adapt: slice {name}", ratio, "Torch-Pruning on a copy, the same channels, time for time", ">= 3")


def _torch_pruning(network: Adapted, masks: list[Tensor], x: Tensor) -> nn.Module:
    """Return the network that Torch-Pruning makes of a copy, which it traces and prunes in place."""
    pruned = copy.deepcopy(network)
    graph = _graph(pruned, x)
    for group, mask in zip(network.groups, masks, strict=True):
        layer, span = pruned.get_submodule(group.producer), group.span(group.producer)
        removed = [entry for channel in (~mask).nonzero().flatten().tolist() for entry in span.entries(channel)]
        prune = tp.prune_linear_out_channels if channel_axis(layer) == -1 else tp.prune_conv_out_channels
        graph.get_pruning_group(layer, prune, removed).prune()
    return pruned


def _graph(network: nn.Module, x: Tensor) -> Any:
    return tp.DependencyGraph().build_dependency(network, [x], output_transform=tensors_of, verbose=False)


def _training(name: str, network: nn.Module) -> Iterator[Measured]:
    experiment, task = Experiment(), TASKS["classification"]
    x, y = torch.randn(_BATCH, *_SHAPE), torch.arange(_BATCH) % 10
    plain, gated = (Adapted(copy.deepcopy(network), x) for _ in range(2))
    steps = (
        stepper(PPPModule(gated, experiment.training, task, experiment[PPPSettings])),
        stepper(GlobalModule(plain, experiment.training, task)),
    )
    ratio = paired_ratio(*(partial(step, x, y) for step in steps), runs=9, warm_up=2)
    yield Measured(f"adapt: gated step of {name}", ratio, "the same network's plain training step", "<= 1.3")
