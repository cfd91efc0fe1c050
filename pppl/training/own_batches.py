"""Gates trained on a user's own batches: pairs of inputs and targets, or dictionaries as `transformers` has them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..system.errors import UserError
from .modules import PPPModule

_TARGETS = ("labels", "label", "targets", "target")


class OwnBatches(PPPModule):
    """A module that trains a gated network on batches from any `DataLoader`."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log it with its terms."""
        return super().training_step(split_batch(batch), batch_idx)

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
        raise UserError(f"a batch is {type(batch).__name__}: give pairs of inputs and targets, or dictionaries")
    *inputs, targets = batch
    return inputs[0] if len(inputs) == 1 else tuple(inputs), targets
