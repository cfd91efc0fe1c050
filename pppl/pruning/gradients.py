"""Gradients of the loss at a network's weights, stored where Torch-Pruning's criteria read them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..tasks import Task

_BATCH = 64
_MOST_VALUES = 2**24  # limit on the values of per-sample gradients held at a time: 64 MiB


@contextmanager
def mean_gradients(network: nn.Module, task: Task, x: Tensor, y: Tensor, *, squared: bool = False) -> Iterator[None]:
    """Keep the gradient of the samples' mean loss in each parameter's `grad` while the context is open.

    **Arguments:**

    - `x`, `y`: samples `(N, C, ...)` and targets `(N, ...)`.
    - `squared`: whether to keep the mean of the squared per-sample gradients instead. This is the diagonal of the
      empirical Fisher matrix, an approximation of that of the Hessian.

    ```python
    with mean_gradients(network, task, x, y):
        scores = importance_scores(network, torch_pruning.importance.TaylorImportance())
    ```
    """
    fill = _mean_squared if squared else _mean
    network.zero_grad(set_to_none=True)
    try:
        # Fused attention has no rule for several samples at once.
        with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            fill(network, task, x, y)
        yield
    finally:
        network.zero_grad(set_to_none=True)


def _mean(network: nn.Module, task: Task, x: Tensor, y: Tensor) -> None:
    for inputs, targets in zip(x.split(_BATCH), y.split(_BATCH), strict=True):
        (task.total_loss(network(inputs), targets) / len(x)).backward()


def _mean_squared(network: nn.Module, task: Task, x: Tensor, y: Tensor) -> None:
    parameters = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}

    def loss(values: dict[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        return task.loss(functional_call(network, values, inputs[None]), target[None])

    one = grad(loss)
    each = vmap(one, in_dims=(None, 0, 0))
    try:
        each(parameters, x[:2], y[:2])
    except RuntimeError:  # recurrent layers, for one, take no further dimension
        each = _in_turn(one)
    size = max(1, min(_BATCH, _MOST_VALUES // sum(value.numel() for value in parameters.values())))
    for inputs, targets in zip(x.split(size), y.split(size), strict=True):
        for name, gradients in each(parameters, inputs, targets).items():
            parameter, share = network.get_parameter(name), gradients.square().sum(0) / len(x)
            parameter.grad = share if parameter.grad is None else parameter.grad + share


def _in_turn(one: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Return a function of samples that calls `one` for each, as `vmap` does at once."""

    def each(parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found = [one(parameters, *sample) for sample in zip(inputs, targets, strict=True)]
        return {name: torch.stack([gradients[name] for gradients in found]) for name in parameters}

    return each
