"""Ways to adapt by a sparse difference: diff pruning, and masks that are chosen otherwise."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from ..config import TextDiffSettings
from ..diff import (
    FixedDiff,
    Flat,
    RelaxedDiff,
    base_sha256,
    batch_statistics,
    delta_bytes,
    delta_of,
    roles,
    top_positions,
)
from ..training.adapters import Dense, Fixed, Relaxed, Together
from .encoder import TextClassifier
from .setting import Adapted, Setting, head_of
from .text_methods import register_text_method

_DIFF = tuple(field.name for field in fields(TextDiffSettings))


@register_text_method("gradient_mask", learning_rate=5e-4)
def gradient_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions of the largest mean gradient before training (SPEFT, 2024)."""
    flat, sha256 = _flat(network)
    positions = top_positions(_gathered(network, setting, flat, lambda g: g).abs(), flat, setting.rate)
    return _fixed(network, setting, flat, sha256, positions)


@register_text_method("fisher_mask", learning_rate=5e-4)
def fisher_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions of the largest mean squared gradient before training (FISH mask, Sung et al. 2021)."""
    flat, sha256 = _flat(network)
    positions = top_positions(_gathered(network, setting, flat, torch.square), flat, setting.rate)
    return _fixed(network, setting, flat, sha256, positions)


@register_text_method("magnitude_mask", learning_rate=5e-4, reads=("first_share", "first_rate"))
def magnitude_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions that full fine-tuning moves most, then trained from the base (LT-SFT, Ansell et al. 2022)."""
    flat, sha256 = _flat(network)
    base = [part.clone() for part in flat.parts]
    encoder = Dense([*flat.parameters.values()], learning_rate=setting.diff.first_rate * setting.learning_rate)
    setting.train(Together(encoder, head_of(network, setting)), setting.first_steps)
    positions = top_positions(_taken_back(flat, base), flat, setting.rate)
    del encoder, base  # three copies of the parameters
    return _fixed(network, setting, flat, sha256, positions, steps=setting.steps - setting.first_steps)


@register_text_method("diff", learning_rate=5e-4, reads=_DIFF)
def diff(network: TextClassifier, setting: Setting) -> Adapted:
    """Diff pruning (Guo et al. 2021): gates choose, the best are projected to the rate and trained on."""
    return _diff(network, setting, structured=True)


def _diff(network: TextClassifier, setting: Setting, *, structured: bool) -> Adapted:
    (flat, sha256), own = _flat(network), setting.diff
    options: dict[str, Any] = {"structured": structured, "groups": own.groups, "penalty": own.penalty}
    relaxed = RelaxedDiff(flat, seed=setting.seed, compiled=setting.compiled, **options)
    gate_rate = own.gates_way / setting.first_steps
    first = Relaxed(relaxed, learning_rate=own.first_rate * setting.learning_rate, gate_rate=gate_rate)
    setting.train(Together(first, head_of(network, setting)), setting.first_steps)
    scores = relaxed.importance() if own.ranking == "open" else relaxed.difference().abs_()
    positions = top_positions(scores, flat, setting.rate)
    start = relaxed.difference().view(-1)[positions]
    del relaxed, first, scores  # seven copies of the parameters
    return _fixed(network, setting, flat, sha256, positions, start, steps=setting.steps - setting.first_steps)


@register_text_method("diff_elementwise", learning_rate=5e-4, reads=_DIFF)
def diff_elementwise(network: TextClassifier, setting: Setting) -> Adapted:
    """Diff pruning without gates of whole tensors."""
    return _diff(network, setting, structured=False)


def _taken_back(flat: Flat, base: list[Tensor]) -> Tensor:
    """Puts the base back, and returns how far each value was from it, `(blocks, BLOCK)`."""
    moved = torch.cat([(part - start).abs().float() for part, start in zip(flat.parts, base, strict=True)])
    for part, start in zip(flat.parts, base, strict=True):
        part.copy_(start)
    return moved


def _flat(network: TextClassifier) -> tuple[Flat, str]:
    of = roles(network, dense=["head.*"])
    return Flat(network, of.diff), base_sha256(network, own=[*of.dense, *batch_statistics(network)])


def _gathered(network: TextClassifier, setting: Setting, flat: Flat, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum of a function of the gradients over examples, `(blocks, BLOCK)`."""
    totals = [torch.zeros_like(part) for part in flat.parts]
    views = dict(flat.views(totals))

    def add() -> None:
        for name, parameter in flat.parameters.items():
            if parameter.grad is not None:
                views[name].add_(function(parameter.grad))
        network.zero_grad()

    setting.each_gradient(add)
    return torch.cat([total.float() for total in totals])


def _fixed(
    network: TextClassifier,
    setting: Setting,
    flat: Flat,
    sha256: str,
    positions: Tensor,
    start: Tensor | None = None,
    steps: int | None = None,
) -> Adapted:
    """Trains the values at some positions, from `start` (zeros by default), for `steps` (all)."""
    fixed = FixedDiff(flat, positions, start)
    adapter = Together(Fixed(fixed, learning_rate=setting.learning_rate), head_of(network, setting))
    setting.train(adapter, setting.steps if steps is None else steps)
    head = {name: parameter for name, parameter in network.named_parameters() if name.startswith("head.")}
    state = head | {name: network.get_buffer(name) for name in batch_statistics(network)}
    delta = delta_of(flat, positions, fixed.values, state=state, base_sha256=sha256)
    values = len(positions) + sum(parameter.numel() for parameter in head.values())
    size = delta_bytes(delta)  # without the names of classes, which every method's file needs
    return Adapted(adapter=adapter, values=values, bytes=size, delta=replace(delta, metadata=setting.metadata))
