"""Backbones by structure, for property tests: one of all those that differ only in depth and width is enough."""

import inspect
from collections.abc import Collection
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from small_backbones import small
from torch import nn

from pppl.backbones import BACKBONES, Backbone, build, spec_for

Case = tuple[str, dict[str, Any], tuple[int, ...]]
Structure = tuple[Any, ...]


def structure_of(network: Backbone) -> Structure:
    """Return the structure of a network: its class, its number of dimensions and the kinds of its channel groups.

    The kind of a group is the types of the layers that produce, mask, follow and consume its channels. Networks with
    the same structure are gated, sliced and counted by the same lines of code.
    """
    kinds = set()
    for group in network.groups:
        ends = [_kind(network.get_submodule(path)) for path in (group.producer, group.output)]
        others = [
            tuple(sorted({_kind(network.get_submodule(path)) for path in paths}))
            for paths in (group.followers, group.consumers)
        ]
        kinds.add((*ends, *others))
    return type(network).__name__, network.spec.options.get("dims"), tuple(sorted(kinds))


def _kind(module: nn.Module) -> str:
    if not isinstance(module, (nn.Conv1d, nn.Conv2d)):
        return type(module).__name__
    traits = {"depthwise": module.groups > 1, "dilated": set(module.dilation) != {1}, "biased": module.bias is not None}
    return " ".join([type(module).__name__, str(module.kernel_size), *(name for name, has in traits.items() if has)])


def named_cases() -> list[Case]:
    """Return every registered backbone at a small size, both with and without `ChannelIndex` if that is an option."""
    cases: list[Case] = []
    for name, constructor in BACKBONES.items():
        options, shape = small(name)
        cases.append((name, options, shape))
        parameters = inspect.signature(constructor).parameters
        if "index_add" in parameters:
            cases.append((name, {**options, "index_add": not parameters["index_add"].default}, shape))
    return cases


def structure_of_case(case: Case) -> Structure:
    """Return the structure of a case's network, built on the meta device without memory."""
    with torch.device("meta"):
        return structure_of(build(spec_for(case[0], case[1], case[2], 5)))


def walked(cases: list[Case]) -> list[Case]:
    """Return the first case of each structure, which is the smallest: names are registered from small to large."""
    first: dict[Structure, Case] = {}
    for case in cases:
        first.setdefault(structure_of_case(case), case)
    return [*first.values()]


def names_by_structure(at_length: Collection[str] = ()) -> list[ParameterSet]:
    """Return registered names as test parameters; all but the first name of each structure are marked `slow`.

    **Arguments:**

    - `at_length`: further names to mark `slow`.
    """
    first = {case[0] for case in walked([(name, *small(name)) for name in BACKBONES])} - {*at_length}
    return [pytest.param(name, marks=[] if name in first else pytest.mark.slow) for name in BACKBONES]


def case_id(case: Case) -> str:
    """Return the name and options of a case, as the id of a test."""
    return "-".join([case[0], *(f"{key}={value}" for key, value in case[1].items())])
