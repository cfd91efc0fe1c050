"""Gates trained on a user's own batches: pairs of inputs and targets, or dictionaries as `transformers` has them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones import evaluating
from ..system.errors import UserError
from ..tasks import Task
from .modules import PPPModule

_TARGETS = ("labels", "label", "targets", "target")


class OwnBatches(PPPModule):
    """A module that trains a gated network on batches from any `DataLoader`."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log it with its terms."""
        inputs, targets = split_batch(batch)
        if len(targets) < 2:  # the last one, perhaps
            raise UserError("a batch has one sample, which batch normalization cannot take: set drop_last=True")
        return super().training_step((inputs, targets), batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss of a batch, its terms, and the task's metrics of progress."""
        super().validation_step(split_batch(batch), batch_idx)


def split_batch(batch: Any) -> tuple[Any, Tensor]:
    """Return the inputs of a network and the targets in a batch.

    A pair is both. A tuple with more entries has the targets last, a dictionary has them under `labels`, `label`,
    `targets` or `target`; all the rest are the inputs.

    >>> import torch
    >>> inputs, targets = split_batch({"input_ids": torch.ones(2, 3), "labels": torch.zeros(2)})
    >>> list(inputs), targets.shape
    (['input_ids'], torch.Size([2]))

    Raise `UserError` if a batch has no targets.
    """
    if isinstance(batch, Mapping):
        name = next((name for name in _TARGETS if name in batch), None)
        if name is None:
            raise UserError(
                f"a batch has {', '.join(map(str, batch))}, but no targets: name them {' or '.join(_TARGETS)}"
            )
        return {key: value for key, value in batch.items() if key != name}, batch[name]
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise UserError("a batch has no targets: give pairs of inputs and targets, or dictionaries with labels")
    *inputs, targets = batch
    return inputs[0] if len(inputs) == 1 else tuple(inputs), targets


def refuse_targets(network: nn.Module, task: Task, inputs: Any, targets: Tensor) -> None:
    """Raise `UserError` if the loss of a task cannot be computed from a network's outputs and a batch's targets."""
    try:
        with evaluating(network), torch.no_grad():
            task.loss(network(inputs), targets)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        what = f"targets of shape {tuple(targets.shape)} and {targets.dtype}"
        raise UserError(f"{type(task).__name__} cannot be trained on {what}: {first_line(error)}") from error


def like(samples: Any, example: Any) -> Any:
    """Return a person's samples in the form of an example: as tensors of its kind, with its dimensions.

    >>> like([[1.0, 2.0]], torch.zeros(4, 2)).shape
    torch.Size([1, 2])

    Raise `UserError` if they have other dimensions, or if there are none or some are not finite.
    """
    if isinstance(example, Mapping):
        if not isinstance(samples, Mapping):
            raise UserError(f"samples are {type(samples).__name__}: give a dictionary with {', '.join(example)}")
        return {key: like(value, example.get(key, value)) for key, value in samples.items()}
    if isinstance(example, tuple):
        if not isinstance(samples, (tuple, list)) or len(samples) != len(example):
            raise UserError(f"samples are {type(samples).__name__}: give a tuple of {len(example)} inputs")
        return tuple(like(*pair) for pair in zip(samples, example, strict=True))
    if not isinstance(example, Tensor):
        return samples
    values = torch.as_tensor(samples)
    values = values.to(example.dtype) if values.is_floating_point() == example.is_floating_point() else values
    if values.ndim != example.ndim or not len(values):
        form = "(N, " + ", ".join(map(str, example.shape[1:])) + ")"
        raise UserError(f"samples have shape {tuple(values.shape)}: give one sample or more, as {form}")
    if not values.isfinite().all():
        raise UserError("samples have values that are not finite")
    return values


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
