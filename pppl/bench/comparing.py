"""The speed of a comparison: two workers against one, and surgery against Torch-Pruning; and equal tables from both."""

import copy
import os
import statistics
import time
from collections.abc import Iterator
from functools import partial

import torch
import torch_pruning as tp
from torch import Tensor

from ..backbones import Backbone, build, slice_network, spec_for
from ..comparison.person_plan import PersonPlan
from ..config import Experiment
from ..system.processes import Workers
from ..system.tracking import notice
from ..tables.journal import TIMED, table_text
from .ratio import Measured, own_folder, paired_ratio

# The number of pairs of runs, and of persons of each size in a run.
_PAIRS, _PERSONS = 2, 6
_SHAPE = (3, 32, 32)


def measure() -> list[Measured]:
    """Return the measurements of this module."""
    return [*_workers(), *_surgery()]


def _experiment(count: int) -> Experiment:
    methods = ["full", "ppp", "ocap", "taylor_support", "l1_local+finetune", "onda_hap"]
    changes = {"methods": methods, "seeds": [0], "persons.classes": [3, 5], "persons.count": count}
    return Experiment().replace(**changes, **{"training.epochs": 3})


def _workers() -> Iterator[Measured]:
    """Yield the time from trained networks to a table, with one worker and two. Starting processes is part of it."""
    if (os.cpu_count() or 1) < 2:
        notice("two workers cannot be measured on one core")
        return
    experiment, texts = _experiment(_PERSONS), []
    with own_folder() as folder:

        def seconds(name: str, workers: int) -> float:
            plan = PersonPlan(experiment, folder / name)
            start = time.perf_counter()
            with Workers(workers) as pool:
                plan.compute(plan.due(), pool)
            spent = time.perf_counter() - start
            plan.journal.read()
            texts.append(table_text(plan.table().drop(columns=TIMED)))
            return spent

        seconds("networks", 2)
        ratios = [seconds(f"one-{pair}", 1) / seconds(f"two-{pair}", 2) for pair in range(_PAIRS)]
    yield Measured("compare: two workers", statistics.median(ratios), "one worker, time for time", ">= 1.7")
    same = float(len(set(texts)) == 1)
    yield Measured("compare: equal tables", same, f"{len(texts)} tables of one experiment, 1 for equal bytes", ">= 1")


def _surgery() -> Iterator[Measured]:
    for name in ("convnet", "resnet20"):
        network = build(spec_for(name, {}, _SHAPE, 10)).eval()
        generator = torch.Generator().manual_seed(0)
        masks = [torch.rand(width, generator=generator) < 0.3 for width in network.widths]
        x, peer = torch.randn(4, *_SHAPE, generator=generator), torch_pruning(network, masks)
        with torch.no_grad():
            torch.testing.assert_close(slice_network(network, masks)(x), peer(x), atol=1e-5, rtol=1e-5)
        ours, theirs = partial(slice_network, network, masks), partial(torch_pruning, network, masks)
        ratio = 1 / paired_ratio(ours, theirs, runs=20, warm_up=2)
        yield Measured(f"surgery: {name}", ratio, "Torch-Pruning on a copy, the same channels, time for time", ">= 5")


def torch_pruning(network: Backbone, masks: list[Tensor]) -> Backbone:
    """Return the network that Torch-Pruning makes of a copy, which it traces and prunes in place.

    **Arguments:**

    - `masks`: the channels to keep, one mask per group, `(C_l,)` boolean.
    """
    pruned = copy.deepcopy(network)
    graph = tp.DependencyGraph().build_dependency(pruned, example_inputs=torch.randn(1, *_SHAPE))
    for group, mask in zip(network.groups, masks, strict=True):
        removed = (~mask).nonzero().flatten().tolist()
        graph.get_pruning_group(pruned.get_submodule(group.producer), tp.prune_conv_out_channels, removed).prune()
    return pruned
