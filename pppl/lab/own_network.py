"""Prototype-based Personalized Pruning of a user's own network, with their own batches: no YAML, no files."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..backbones import Adapted, Backbone, adapt_foreign, build, is_foreign, slice_network, spec_for
from ..config import TrainingSettings
from ..gating import GatedNetwork, prototype
from ..pruning import CostModel, budget_masks
from ..report.groups_table import GroupsTable
from ..system.errors import UserError, first_line
from ..tasks import TASKS, Task
from ..training.gate_settings import PPPSettings
from ..training.lightning import device_kind, seed_inside, trainer, usual_precision
from ..training.own_batches import CALL_ERRORS, OwnBatches, first_batch, like, refuse_gates, refuse_targets
from .small_network import Personalized

# Gates are new, while the network is already trained: they learn this many times as fast.
_GATE_SPEED = 10.0


class TrainedGates:
    """A network with trained gates, which makes it smaller for a person by some unlabelled samples.

    `train_gates` makes it.
    """

    def __init__(self, network: GatedNetwork, example: Any, cost: CostModel):
        self.network, self._example, self._cost = network, example, cost
        self._backbone = network.backbone

    @property
    def groups(self) -> GroupsTable:
        """The groups of channels that can be removed, and those that stay, with the reason."""
        return groups_table(self._backbone, self._cost)

    def __repr__(self) -> str:
        """Return what can be removed in all."""
        return f"gates of {self.groups.title}"

    def personalize(self, samples: Any, budget: float) -> Personalized:
        """Return the network that keeps the channels whose gates are open for a person's samples.

        **Arguments:**

        - `samples`: what the network is called with, for some samples of the person; labels are not needed.
        - `budget`: fraction of the MACs, in (0, 1].

        Raise `UserError` if samples are unlike those that gates were trained with, or if even the smallest network
        exceeds the budget.
        """
        if not isinstance(budget, (int, float)) or not 0 < budget <= 1:
            raise UserError(f"budget is {budget!r}: a fraction of the MACs, in (0, 1]")
        samples = like(samples, self._example)
        try:
            scores = prototype(self.network, samples)
        except CALL_ERRORS as error:
            raise UserError(f"the network cannot be called with these samples: {first_line(error)}") from error
        masks = budget_masks(scores, self._cost, budget)
        smaller = slice_network(self._backbone, masks)
        return Personalized(
            module=smaller.net.eval(),  # type: ignore[union-attr]
            cost=self._cost([int(mask.sum()) for mask in masks]),
            full_cost=self._cost.full,
            masks=masks,
            groups=self._backbone.groups,
        )


def train_gates(
    module: nn.Module,
    batches: DataLoader[Any] | pl.LightningDataModule,
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    target_rate: float = 0.3,
    prototype_weight: float = 0.1,
    task: str | Task = "classification",
    seed: int = 0,
    progress: bool = True,
) -> TrainedGates:
    """Train gates on the channels of any network, together with a copy of the network.

    **Arguments:**

    - `module`: a network, best one that is trained. It is copied and stays as it is. If it is in training mode, layers
      in evaluation mode stay in it, such as frozen batch normalization.
    - `batches`: a `DataLoader` or Lightning's data module. A batch is a pair of inputs and targets, or a dictionary
      with `labels`; the inputs are a tensor, or a tuple or dictionary of arguments.
    - `target_rate`: the fraction of channels that gates leave open; about that which the budget leaves.
    - `prototype_weight`: weight of the loss that draws the gates of one class together.
    - `task`: a registered task, `classification` or `regression`, or your own.

    ```python
    gates = pppl.train_gates(net, loader, epochs=5)
    small = gates.personalize(samples, budget=0.3)  # small.module, small.cost
    ```

    Raise `UserError` if the network has no channels that can be removed, or if its costs cannot be counted; if a batch
    has no targets that the task can read, or one sample; if the batches have no length; if the network is in half
    precision; or if some gate gets no gradient, as with gradient checkpointing.
    """
    known = TASKS.find(task) if isinstance(task, str) else task
    ppp = PPPSettings(gate_speed=_GATE_SPEED, target_rate=target_rate, prototype_weight=prototype_weight)
    training = TrainingSettings(epochs=epochs, learning_rate=learning_rate, weight_decay=0.0)
    with seed_inside(seed):
        example, targets = first_batch(_loader_of(batches))
        backbone = Adapted(_copy_of(module), example)
        refuse_targets(backbone, known, example, targets)
        cost = CostModel(backbone, example)  # before training, since it may refuse the network
        gated = OwnBatches(backbone, training, known, ppp)
        refuse_gates(gated, example, targets)
        options = {"accelerator": device_kind(), "precision": usual_precision(), "logger": False}
        options |= {"enable_checkpointing": False, "num_sanity_val_steps": 0, "enable_progress_bar": progress}
        with trainer(max_epochs=epochs, **options) as training_loop:
            warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # `_copy_of` keeps these
            training_loop.fit(gated, batches)
    return TrainedGates(cast(GatedNetwork, gated.network).cpu().eval(), example, cost)


def groups(
    network: str | nn.Module, sample: Any, *, num_outputs: int = 10, options: Mapping[str, Any] | None = None
) -> GroupsTable:
    """Return the table of the channels that a network can lose, and of those that stay, with the reason.

    **Arguments:**

    - `network`: a network, or the name of a backbone as in an experiment.
    - `sample`: an example of what the network is called with, or for a name the shape of one sample, `(C, H, W)`.
    - `num_outputs`, `options`: for a name, the number of outputs and the arguments of its constructor.

    >>> import torch
    >>> groups(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 4))
    Sequential: 1 group with 8 channels can lose some; the least possible budget is 0.125 of the MACs
    <BLANKLINE>
    channels of  how many  also in  read by  stay because
    0            8                  2
    2            2                           they are outputs of the network
    """
    if isinstance(network, nn.Module):
        backbone: Backbone = Adapted(network, sample)
        return groups_table(backbone, CostModel(backbone, sample))
    if not isinstance(sample, (tuple, list)) or not all(isinstance(size, int) for size in sample):
        raise UserError(f"sample is a {type(sample).__name__}: for {network!r}, give the shape of one, as (C, H, W)")
    shape = tuple(sample)
    with seed_inside(0):
        if is_foreign(network):
            backbone = adapt_foreign(network, options or {}, shape, num_outputs)
        else:
            backbone = build(spec_for(network, options or {}, shape, num_outputs))
        return groups_table(backbone, CostModel(backbone, shape))


def groups_table(backbone: Backbone, cost: CostModel) -> GroupsTable:
    """Return the table of a backbone's channels."""
    return GroupsTable.of(backbone, float(cost.fraction([1] * len(backbone.widths))))


def _copy_of(module: nn.Module) -> nn.Module:
    """Return a copy of a network to train, on the CPU, where its groups are found.

    Layers in evaluation mode stay in it if the network is in training mode.
    """
    name = type(module).__qualname__
    if not isinstance(module, nn.Module):
        raise UserError(f"module is {name}: give a network (nn.Module)")
    for each in module.parameters():
        if each.is_floating_point() and each.dtype not in (torch.float32, torch.float64):
            kind = str(each.dtype).removeprefix("torch.")
            raise UserError(f"{name} is in {kind}, which is too coarse for training: call .float() before")
    for path, each in module.named_modules():
        for key, value in vars(each).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                raise UserError(
                    f"{name} cannot be copied: {key} of {path or name!r} is computed in each pass, as by weight_norm: "
                    "delete it, or call torch.nn.utils.remove_weight_norm before"
                )
    try:
        copied = copy.deepcopy(module).cpu()
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{name} cannot be copied: {first_line(error)}") from error
    return copied if copied.training else copied.train()


def _loader_of(batches: DataLoader[Any] | pl.LightningDataModule) -> DataLoader[Any]:
    if isinstance(batches, DataLoader):
        return batches
    if not isinstance(batches, pl.LightningDataModule):
        raise UserError(f"batches are {type(batches).__name__}: give a DataLoader or a LightningDataModule")
    batches.prepare_data()
    batches.setup("fit")
    return batches.train_dataloader()
