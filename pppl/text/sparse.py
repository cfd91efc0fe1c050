"""Methods that train a sparse difference: diff pruning, and masks that gradients or fine-tuning choose."""

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
from .setting import AdaptedEncoder, Setting, head_of
from .text_methods import register_text_method

_DIFF = tuple(field.name for field in fields(TextDiffSettings))


@register_text_method("gradient_mask", learning_rate=5e-4)
def gradient_mask(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train the positions of the largest mean gradient before training (SPEFT, 2024)."""
    flat, sha256 = _flat(network)
    scores = _sum_gradients(network, setting, flat, lambda gradient: gradient).abs()
    positions = top_positions(scores, flat, setting.rate)
    return _train_positions(network, setting, flat, sha256, positions)


@register_text_method("fisher_mask", learning_rate=5e-4)
def fisher_mask(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train the positions of the largest mean squared gradient before training (FISH mask, Sung et al. 2021)."""
    flat, sha256 = _flat(network)
    positions = top_positions(_sum_gradients(network, setting, flat, torch.square), flat, setting.rate)
    return _train_positions(network, setting, flat, sha256, positions)


@register_text_method("magnitude_mask", learning_rate=5e-4, reads=("first_share", "first_rate"))
def magnitude_mask(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train, from the base, the positions that full fine-tuning moves most (LT-SFT, Ansell et al. 2022)."""
    flat, sha256 = _flat(network)
    base = [part.clone() for part in flat.parts]
    encoder = Dense([*flat.parameters.values()], learning_rate=setting.diff.first_rate * setting.learning_rate)
    setting.train(Together(encoder, head_of(network, setting)), setting.first_steps)
    positions = top_positions(_restore_base(flat, base), flat, setting.rate)
    del encoder, base  # three copies of the parameters
    return _train_positions(network, setting, flat, sha256, positions, steps=setting.steps - setting.first_steps)


@register_text_method("diff", learning_rate=5e-4, reads=_DIFF)
def diff(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Prune a difference (Guo et al. 2021): train it with gates, keep the best positions, and train these further."""
    return _diff(network, setting, structured=True)


def _diff(network: TextClassifier, setting: Setting, *, structured: bool) -> AdaptedEncoder:
    (flat, sha256), settings = _flat(network), setting.diff
    options: dict[str, Any] = {"structured": structured, "groups": settings.groups, "penalty": settings.penalty}
    relaxed = RelaxedDiff(flat, seed=setting.seed, compiled=setting.compiled, **options)
    gate_rate = settings.gates_way / setting.first_steps
    first = Relaxed(relaxed, learning_rate=settings.first_rate * setting.learning_rate, gate_rate=gate_rate)
    setting.train(Together(first, head_of(network, setting)), setting.first_steps)
    scores = relaxed.importance() if settings.ranking == "open" else relaxed.difference().abs_()
    positions = top_positions(scores, flat, setting.rate)
    start = relaxed.difference().view(-1)[positions]
    del relaxed, first, scores  # seven copies of the parameters
    return _train_positions(network, setting, flat, sha256, positions, start, steps=setting.steps - setting.first_steps)


@register_text_method("diff_elementwise", learning_rate=5e-4, reads=_DIFF)
def diff_elementwise(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Prune a difference as `diff` does, but without gates of whole tensors."""
    return _diff(network, setting, structured=False)


def _restore_base(flat: Flat, base: list[Tensor]) -> Tensor:
    """Restore the base, and return how far each value was from it, `(blocks, BLOCK)`."""
    distances = torch.cat([(part - start).abs().float() for part, start in zip(flat.parts, base, strict=True)])
    for part, start in zip(flat.parts, base, strict=True):
        part.copy_(start)
    return distances


def _flat(network: TextClassifier) -> tuple[Flat, str]:
    names = roles(network, dense=["head.*"])
    return Flat(network, names.diff), base_sha256(network, own=[*names.dense, *batch_statistics(network)])


def _sum_gradients(
    network: TextClassifier, setting: Setting, flat: Flat, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the sum over examples of a function of their gradients, `(blocks, BLOCK)`."""
    totals = [torch.zeros_like(part) for part in flat.parts]
    views = dict(flat.views(totals))

    def add() -> None:
        for name, parameter in flat.parameters.items():
            if parameter.grad is not None:
                views[name].add_(function(parameter.grad))
        network.zero_grad()

    setting.each_gradient(add)
    return torch.cat([total.float() for total in totals])


def _train_positions(
    network: TextClassifier,
    setting: Setting,
    flat: Flat,
    sha256: str,
    positions: Tensor,
    start: Tensor | None = None,
    steps: int | None = None,
) -> AdaptedEncoder:
    """Train the difference at fixed positions, and the head.

    **Arguments:**

    - `start`: the first values of the difference; zeros by default.
    - `steps`: all steps of the setting by default.
    """
    fixed = FixedDiff(flat, positions, start)
    adapter = Together(Fixed(fixed, learning_rate=setting.learning_rate), head_of(network, setting))
    setting.train(adapter, setting.steps if steps is None else steps)
    head = {name: parameter for name, parameter in network.named_parameters() if name.startswith("head.")}
    state = head | {name: network.get_buffer(name) for name in batch_statistics(network)}
    delta = delta_of(flat, positions, fixed.values, state=state, base_sha256=sha256)
    values = len(positions) + sum(parameter.numel() for parameter in head.values())
    size = delta_bytes(delta)  # without metadata: the file of every method needs that
    return AdaptedEncoder(adapter=adapter, values=values, bytes=size, delta=replace(delta, metadata=setting.metadata))
