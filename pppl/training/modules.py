"""LightningModules: a plain global network, and a gated one with the losses of PPP."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ..backbones import Adapted, Backbone
from ..config import TrainingSettings
from ..data import IdentityDataset
from ..data.datamodule import InMemoryData
from ..gating import GatedNetwork, prototype_loss, target_rate_loss
from ..system.errors import UserError
from ..tasks import Task
from .gate_settings import PPPSettings
from .known_classes import corrections
from .lightning import Precision, usual_precision
from .whole_batch import WholeBatch


class GlobalModule(pl.LightningModule):
    """A module that trains a network on the loss of a task, with AdamW and a one-cycle learning rate.

    It logs `train_loss`, `val_loss` and the task's metrics of progress, such as `val_accuracy`, in every epoch.
    """

    def __init__(self, network: nn.Module, training: TrainingSettings, task: Task):
        super().__init__()
        self.task = task
        use_channels_last(network, torch.channels_last)  # 10 to 35 % faster for images and spectrograms on a CPU
        self.network, self.training_config = network, training

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, `(B, K)`, of samples `(B, C, ...)`."""
        return self.network(x)

    @property
    def training_precision(self) -> Precision:
        """Precision of training, as Lightning names it."""
        return usual_precision()

    def data(self, dataset: IdentityDataset, seed: int) -> pl.LightningDataModule:
        """Return the batches of a data set that the module is trained on."""
        config = self.training_config
        return InMemoryData(dataset, config.batch_size, seed, config.augment)

    def losses(self, x: Tensor, y: Tensor, *_: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the outputs, `(B, K)`, and the terms of the loss; their sum is minimized."""
        outputs = self(x)
        return outputs, {"task": self.task.loss(_of_all_processes(outputs), _of_all_processes(y))}

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log it with its terms."""
        _, terms = self.losses(*batch)
        loss = torch.stack([*terms.values()]).sum()
        values = {f"train_{name}": value.detach() for name, value in {"loss": loss, **terms}.items()}
        self._log_epoch(values, len(batch[1]))
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Log the loss of a batch, its terms, and the task's metrics of progress."""
        outputs, terms = self.losses(*batch)
        _, y, *_ = batch
        values = {f"val_{name}": value for name, value in {"loss": sum(terms.values()), **terms}.items()}
        values |= {f"val_{name}": value for name, value in self.task.progress(outputs, y).items()}
        self._log_epoch(values, len(y), prog_bar=True)

    def _log_epoch(self, values: Mapping[str, Tensor], samples: int, *, prog_bar: bool = False) -> None:
        count = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        # Lightning divides the number of samples by the number of processes, which would round it.
        weight = samples * count
        self.log_dict(values, batch_size=weight, on_step=False, on_epoch=True, prog_bar=prog_bar, sync_dist=count > 1)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups of parameters for the optimizer, with their largest learning rates."""
        return [{"params": list(self.network.parameters()), "lr": self.training_config.learning_rate}]

    def configure_optimizers(self) -> Any:
        """Return AdamW and its one-cycle schedule."""
        groups = self.parameter_groups()
        optimizer = torch.optim.AdamW(groups, weight_decay=self.training_config.weight_decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        rates = [group["lr"] for group in groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def gates_apart(network: nn.Module, rate: float, speed: float) -> list[dict[str, Any]]:
    """Return the parameters of a gated network's backbone and of its gates, which learn `speed` times as fast."""
    backbone = dict.fromkeys(network.get_submodule("backbone").parameters())
    gates = [each for each in network.parameters() if each not in backbone]
    return [{"params": [*backbone], "lr": rate}, {"params": gates, "lr": rate * speed}]


class DistilledModule(GlobalModule):
    """A module that trains a network on the loss of its task and on the divergence from a teacher's outputs.

    **Arguments:**

    - `teacher`: a network that is copied, not changed; the copy is no part of the module's state.
    - `weight`: weight of the divergence.
    - `sizes`: numbers of classes that persons may have, for whose classes outputs are corrected in training; none:
      outputs are left as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        training: TrainingSettings,
        task: Task,
        teacher: nn.Module,
        weight: float,
        sizes: Sequence[int] = (),
    ):
        if sizes and "classes" not in task.offers:
            raise UserError("retrain.classes is for outputs that are classes: leave it out")
        super().__init__(network, training, task)
        frozen = copy.deepcopy(teacher).eval().requires_grad_(False)
        use_channels_last(frozen, torch.channels_last)
        self._teacher, self.weight, self.sizes = (frozen,), weight, sizes  # in a tuple, or it would be a submodule

    def on_fit_start(self) -> None:
        """Move the teacher to the device."""
        self._teacher[0].to(self.device)

    def losses(self, x: Tensor, y: Tensor, *_: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the outputs, `(B, K)`, and the terms of the loss, with the divergence."""
        plain, targets = self(x), _of_all_processes(y)
        outputs = _of_all_processes(plain)
        added = corrections(targets, outputs.shape[1], self.sizes) if self.sizes else torch.zeros_like(outputs)
        outputs = outputs + added
        terms = {"task": self.task.loss(outputs, targets)}
        if self.weight > 0:
            with torch.no_grad():
                teacher = _of_all_processes(self._teacher[0](x))
            loss = self.task.divergence(outputs, teacher + added)
            terms["distillation"] = self.weight * loss
        return plain, terms


class PPPModule(GlobalModule):
    """A module that trains a gated network on task + alpha * target rate + beta * prototype loss."""

    def __init__(self, backbone: Backbone, training: TrainingSettings, task: Task, ppp: PPPSettings):
        super().__init__(GatedNetwork(backbone, width=ppp.gate_width, temperature=ppp.temperature), training, task)
        self.ppp = ppp

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the backbone and of the gates, with their largest learning rates."""
        return gates_apart(self.network, self.training_config.learning_rate, self.ppp.gate_speed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, `(B, K)`, of samples `(B, C, ...)` through each sample's own gates."""
        return self.network(x).logits

    def losses(self, x: Tensor, y: Tensor, *_: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the outputs, `(B, K)`, and the terms of the loss: task, target rate and prototypes."""
        ppp = self.ppp
        output = self.network(x)
        targets, gates = _of_all_processes(y), [_of_all_processes(gate) for gate in output.gates]
        terms = {
            "task": self.task.loss(_of_all_processes(output.logits), targets),
            "target": ppp.target_weight * target_rate_loss(gates, ppp.target_rate),
        }
        labels = self.task.labels(targets) if ppp.prototype_weight > 0 else None
        if labels is not None:
            loss = prototype_loss(_of_all_processes(output.embedding()), labels, scale=ppp.prototype_scale)
            terms["prototype"] = ppp.prototype_weight * loss
        return output.logits, terms


def _of_all_processes(values: Tensor) -> Tensor:
    """Return the whole batch if several processes share it, because losses are those of whole batches."""
    return values if WholeBatch.current is None else WholeBatch.current.gather(values)


@contextmanager
def channels_last(network: nn.Module) -> Iterator[None]:
    """Use the memory format `channels_last` inside, which is 1.2 to 2 times as fast on a CPU.

    Do not enter it in inference mode, because the converted parameters could not be trained later.
    """
    use_channels_last(network, torch.channels_last)
    try:
        yield
    finally:
        use_channels_last(network, torch.contiguous_format)


def use_channels_last(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Convert the weights of 2D convolutions to a memory format; their results stay the same.

    Networks from elsewhere keep theirs: their `view` of a convolution's output may need it.
    """
    if any(isinstance(module, Adapted) for module in network.modules()):
        return
    network.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue] (missing in torch's stubs)
