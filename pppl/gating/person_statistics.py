"""Batch normalization by person: each person's samples have statistics of their own, those under the person's mask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def normalized_by_person(network: nn.Module, persons: int) -> Iterator[None]:
    """Let batch normalization take the statistics of each person's samples apart, in training and in evaluation.

    In training mode the running statistics move to the mean of the persons'.

    **Arguments:**

    - `persons`: number of persons, P, in batches `(P * Q, ...)`, person by person.

    >>> norm, x = nn.BatchNorm1d(1), torch.tensor([[0.0], [2.0], [10.0], [30.0]])
    >>> with normalized_by_person(norm, 2):
    ...     norm(x).flatten().round()
    tensor([-1.,  1., -1.,  1.], grad_fn=<RoundBackward0>)
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before: list[Callable[[Tensor], Tensor] | None] = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.forward = partial(_by_person, layer, persons)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _by_person(layer: _BatchNorm, persons: int, x: Tensor) -> Tensor:
    """Return normalized activations `(P * Q, C, ...)`."""
    apart = x.unflatten(0, (persons, -1)).transpose(0, 1).flatten(1, 2)  # (Q, P * C, ...)
    weight, bias = (None if each is None else each.repeat(persons) for each in (layer.weight, layer.bias))
    means, variances = x.new_zeros(2, apart.shape[1], dtype=torch.float32)
    normalized = F.batch_norm(apart, means, variances, weight, bias, training=True, momentum=1.0, eps=layer.eps)
    if layer.training and layer.running_mean is not None and layer.running_var is not None:
        _move(layer, means.view(persons, -1), variances.view(persons, -1))
    return normalized.unflatten(1, (persons, -1)).transpose(0, 1).flatten(0, 1)


@torch.no_grad()
def _move(layer: _BatchNorm, means: Tensor, variances: Tensor) -> None:
    """Move the running statistics towards those of all persons together, from those of each, `(P, C)`."""
    assert layer.running_mean is not None and layer.running_var is not None
    momentum = 0.1 if layer.momentum is None else layer.momentum
    mean = means.mean(0)
    layer.running_mean.lerp_(mean, momentum)
    layer.running_var.lerp_(variances.mean(0) + (means - mean).square().mean(0), momentum)
