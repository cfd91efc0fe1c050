"""What a network is called with and what it returns: tensors in dictionaries, lists and tuples."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

# What a forward pass raises if a network cannot be called so.
FAILURES = (RuntimeError, TypeError, ValueError, AssertionError, LookupError, AttributeError, ArithmeticError)


def tensors_of(values: Any) -> list[Tensor]:
    """Return the tensors among what a network outputs or reads: a tensor, or tuples, lists and dictionaries of them.

    >>> [each.shape for each in tensors_of({"a": torch.zeros(2), "b": (torch.zeros(3), None)})]
    [torch.Size([2]), torch.Size([3])]
    """
    if isinstance(values, Tensor):
        return [values]
    parts = [*values.values()] if isinstance(values, Mapping) else values if isinstance(values, (list, tuple)) else []
    return [each for part in parts for each in tensors_of(part)]


def with_tensors(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    """Return values with every tensor changed; lists become tuples, as arguments of a network are."""
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, Mapping):
        return {key: with_tensors(change, value) for key, value in values.items()}
    return tuple(with_tensors(change, each) for each in values) if isinstance(values, (list, tuple)) else values


def on_cpu(example: Any) -> Any:
    """Return an example with its tensors on the CPU."""
    return with_tensors(Tensor.cpu, example)


def samples_in(example: Any) -> int:
    """Return the number of samples in an example: the first dimension of its first tensor, 0 if there is none."""
    return next((len(tensor) for tensor in tensors_of(example) if tensor.ndim), 0)


def twice(example: Any) -> Any:
    """Return an example with each sample twice, in every tensor that has samples.

    >>> twice({"x": torch.zeros(3, 4), "scale": torch.ones(())})["x"].shape
    torch.Size([6, 4])
    """
    return _with_samples(lambda tensor: torch.cat([tensor, tensor]), example)


def first_sample(example: Any) -> Any:
    """Return an example with its first sample alone.

    >>> first_sample((torch.zeros(3, 4), torch.eye(5)))[1].shape
    torch.Size([5, 5])
    """
    return _with_samples(lambda tensor: tensor[:1], example)


def _with_samples(change: Callable[[Tensor], Tensor], example: Any) -> Any:
    """Return an example with every tensor changed that has samples, which are its first dimension."""
    count = samples_in(example)
    return with_tensors(lambda each: change(each) if each.ndim and len(each) == count else each, example)
