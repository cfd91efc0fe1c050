"""A LightningModule that trains a network on a task through an adapter."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor, nn

from ..backbones import evaluating
from .adapters import Adapter
from .lightning import Precision, trainer, usual_precision

Loss = Callable[[Tensor, Tensor], Tensor]


class TaskModule(pl.LightningModule):
    """A module that trains a network through an adapter, with linear warm-up and decay of the learning rate.

    It logs `train_loss`.

    **Arguments:**

    - `network`: a network from a batch's inputs to outputs. It stays on its device and is no submodule, because
      Lightning would move it, and adapters hold views of its parameters.
    - `loss`: the mean loss of a batch, from outputs and targets.
    - `accumulate`: batches per training step; the last step of an epoch takes those that are left.
    - `warm_up`: fraction of all steps in which the learning rate rises.
    """

    def __init__(self, network: nn.Module, loss: Loss, adapter: Adapter, *, accumulate: int = 1, warm_up: float = 0.06):
        super().__init__()
        self.automatic_optimization = False
        self._network, self.loss, self.adapter = (network,), loss, adapter
        self.accumulate, self.warm_up = accumulate, warm_up
        self.steps, self.waiting = 0, 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return no optimizer, because the adapter has its own."""
        return []

    def training_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> None:
        """Run the backward pass of a batch, and a step of the adapter after the last batch of the step."""
        inputs, targets = batch
        self.adapter.sample()
        loss = self.loss(self._network[0](inputs), targets)
        batches = int(self.trainer.num_training_batches)
        step_batches = min(self.accumulate, batches - batch_idx // self.accumulate * self.accumulate)
        self.manual_backward(loss / step_batches)
        self.waiting += 1
        if self.waiting == step_batches:
            self.adapter.step(self._scale(-(-batches // self.accumulate) * int(self.trainer.max_epochs or 1)))
            self.steps, self.waiting = self.steps + 1, 0
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(targets))

    def _scale(self, total: int) -> float:
        warm_up_steps = max(1, round(self.warm_up * total))
        return min((self.steps + 1) / warm_up_steps, (total - self.steps) / max(1, total - warm_up_steps))


class TokenBatches(Protocol):
    """An iterable over an epoch's batches of inputs and targets; not a list, which Lightning would take apart."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]: ...


def train_task(
    network: nn.Module,
    loss: Loss,
    adapter: Adapter,
    batches: TokenBatches,
    *,
    epochs: int,
    accumulate: int = 1,
    precision: Precision | None = None,
) -> None:
    """Train `network` in place, on its device.

    **Arguments:**

    - `loss`, `accumulate`: see `TaskModule`.
    - `precision`: precision as Lightning names it; None: bf16 if there is a GPU.
    """
    precision = precision or usual_precision()
    options = {"max_epochs": epochs, "accelerator": next(network.parameters()).device.type, "precision": precision}
    options |= {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with trainer(**options) as training:
        training.fit(TaskModule(network.train(), loss, adapter, accumulate=accumulate), batches)


@torch.no_grad()
def outputs(
    network: nn.Module, batches: Iterable[tuple[Any, Tensor]], adapter: Adapter | None = None
) -> tuple[Tensor, Tensor]:
    """Return the outputs, `(N, outputs)`, and targets of all batches, on the CPU.

    The network is in evaluation mode, in the state in which `adapter` evaluates it.
    """
    device = next(network.parameters()).device
    with evaluating(network), nullcontext() if adapter is None else adapter.evaluating():
        pairs = [(network(move_data_to_device(inputs, device)).float().cpu(), targets) for inputs, targets in batches]
    return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
