"""Gates trained on a user's own batches: pairs of inputs and targets, or dictionaries as `transformers` has them."""

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ..backbones.examples import on_cpu, samples_in, with_tensors
from ..gating import GatedNetwork
from ..system.errors import UserError, first_line
from ..tasks import Task
from .modules import PPPModule

_TARGETS = ("labels", "label", "targets", "target")
_ONE_SAMPLE = "a batch has one sample, which batch normalization cannot take: set drop_last=True or another batch_size"
# What a call with batches or samples of the wrong form raises.
CALL_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)


class OwnBatches(PPPModule):
    """A module that trains a gated network on batches from any `DataLoader`."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log it with its terms."""
        inputs, targets = split_batch(batch)
        if len(targets) < 2:  # the last one, where `first_batch` could not know its size
            raise UserError(_ONE_SAMPLE)
        return super().training_step((inputs, targets), batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss of a batch, its terms, and the task's metrics of progress."""
        super().validation_step(split_batch(batch), batch_idx)


def split_batch(batch: Any) -> tuple[Any, Tensor]:
    """Return the inputs of a network and the targets in a batch.

    A pair is both. A tuple with more entries has the targets last, a dictionary has them under `labels`, `label`,
    `targets` or `target`; all the rest are the inputs. Lists of inputs, which a `DataLoader` makes of tuples, are
    tuples again.

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
        return {key: _in_tuples(value) for key, value in batch.items() if key != name}, batch[name]
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise UserError("a batch has no targets: give pairs of inputs and targets, or dictionaries with labels")
    *inputs, targets = batch
    return _in_tuples(inputs[0] if len(inputs) == 1 else inputs), targets


def _in_tuples(inputs: Any) -> Any:
    return with_tensors(lambda tensor: tensor, inputs)


def first_batch(loader: Any) -> tuple[Any, Tensor]:
    """Return the inputs and the targets of a loader's first batch, on the CPU.

    **Arguments:**

    - `loader`: a `DataLoader`, or another iterable of batches that has a length.

    Raise `UserError` if gates cannot be trained on such batches: if nobody knows how many they are, if there are none
    or one of them has one sample, or if their targets are no tensor.
    """
    try:
        count = len(loader)
    except TypeError as error:
        raise UserError(
            "batches have no length, which the learning rate's schedule needs: give their data set a __len__"
        ) from error
    batch = next(iter(loader), None) if count else None
    if batch is None:
        raise UserError("there is no batch: give more samples, a smaller batch_size, or drop_last=False")
    inputs, targets = split_batch(batch)
    if not isinstance(targets, Tensor) or not targets.ndim:
        what = "one number" if isinstance(targets, Tensor) else type(targets).__name__
        raise UserError(f"the targets of a batch are {what}: give one tensor, with an entry for each sample")
    if len(targets) == 1 or _size_of_last(loader) == 1:
        raise UserError(_ONE_SAMPLE)
    return on_cpu(inputs), targets.cpu()


def _size_of_last(loader: Any) -> int:
    """Return how many samples the last batch has if it has fewer than others, as far as is known; else 0."""
    if not isinstance(loader, DataLoader) or loader.batch_size is None or loader.drop_last:
        return 0
    return 0 if isinstance(loader.dataset, IterableDataset) else len(loader.sampler) % loader.batch_size  # type: ignore[arg-type]


def refuse_targets(network: nn.Module, task: Task, inputs: Any, targets: Tensor) -> None:
    """Raise `UserError` if the loss of a task cannot be computed from a network's outputs and a batch's targets.

    **Arguments:**

    - `network`: in training mode; layers may be in evaluation mode, and stay in it.
    """
    for mode in ("evaluation", "training"):
        trial = copy.deepcopy(network)  # a pass changes batch statistics
        outputs: Any = targets
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                outputs = (trial.eval() if mode == "evaluation" else trial)(inputs)
                task.loss(outputs, targets)
        except CALL_ERRORS as error:
            if not isinstance(outputs, Tensor):
                raise UserError(
                    f"the network returns a {type(outputs).__name__} in {mode} mode: return a tensor, or an output "
                    "with .logits"
                ) from error
            what = f"targets of shape {tuple(targets.shape)} and {targets.dtype} in {mode} mode"
            raise UserError(f"{type(task).__name__} cannot be trained on {what}: {first_line(error)}") from error
    labels = task.labels(targets)
    if labels is not None and (labels.ndim != 1 or labels.is_floating_point()):
        raise UserError(
            f"{type(task).__name__} takes one whole number for each sample, the class, but targets have shape "
            f"{tuple(targets.shape)} and {targets.dtype}: give targets.argmax(1) of one-hot ones, or name another task"
        )


def refuse_gates(module: OwnBatches, inputs: Any, targets: Tensor) -> None:
    """Raise `UserError` if a batch gives no gradient to some gate.

    Gradient checkpointing, for example, runs layers again after the forward pass, without their gates.
    """
    trial = copy.deepcopy(module)
    try:
        with isolate_rng(include_cuda=False):
            _, terms = trial.losses(inputs, targets)
            torch.stack([*terms.values()]).sum().backward()
    except UserError:
        raise
    except CALL_ERRORS as error:
        raise UserError(
            f"gates cannot be trained: {first_line(error).rstrip('.:')}; if the network uses gradient checkpointing, "
            "switch gradient checkpointing off"
        ) from error
    network = cast(GatedNetwork, trial.network)
    for group, gate in zip(network.backbone.groups, network.gates, strict=True):
        if any(parameter.grad is None for parameter in gate.parameters()):
            raise UserError(
                f"the gates of {group.producer.removeprefix('net.')!r} get no gradient, as with gradient checkpointing "
                "(or with torch.no_grad or layer drop): switch gradient checkpointing off"
            )


def like(samples: Any, example: Any) -> Any:
    """Return a person's samples in the form of an example: as tensors of its kind and device, with its dimensions.

    >>> like([[1.0, 2.0]], torch.zeros(4, 2)).shape
    torch.Size([1, 2])

    Raise `UserError` if they have other dimensions, or if there are none or some are not finite. Infinite values are
    allowed in tensors without samples, such as one attention mask for all, and in those that have some in the example.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    inputs = _in_form(samples, example, pairs)
    count = samples_in(inputs)
    for values, known in pairs:
        if values.ndim and len(values) == count and known.isfinite().all() and not values.isfinite().all():
            raise UserError("samples have values that are not finite")
    return inputs


def _in_form(samples: Any, example: Any, pairs: list[tuple[Tensor, Tensor]]) -> Any:
    """Return samples in the form of an example, and append each of their tensors to `pairs`, with the example's."""
    if isinstance(example, Mapping):
        if not isinstance(samples, Mapping):
            raise UserError(f"samples are {type(samples).__name__}: give a dictionary with {', '.join(example)}")
        return {key: _in_form(value, example.get(key, value), pairs) for key, value in samples.items()}
    if isinstance(example, tuple):
        if not isinstance(samples, (tuple, list)) or len(samples) != len(example):
            raise UserError(f"samples are {type(samples).__name__}: give a tuple of {len(example)} inputs")
        return tuple(_in_form(*pair, pairs) for pair in zip(samples, example, strict=True))
    if not isinstance(example, Tensor):
        return samples
    values = _tensor_like(samples, example)
    pairs.append((values, example))
    return values


def _tensor_like(samples: Any, example: Tensor) -> Tensor:
    """Return samples as a tensor of the kind, device and dimensions of an example."""
    try:
        if isinstance(samples, (list, tuple)) and samples and all(isinstance(each, Tensor) for each in samples):
            samples = torch.stack([*samples])
        values = torch.as_tensor(samples).to(example.device)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"samples are no tensor and no array of numbers: {first_line(error)}") from error
    values = values.to(example.dtype) if values.is_floating_point() == example.is_floating_point() else values
    if values.ndim != example.ndim or (values.ndim and not len(values)):
        form = "one sample or more, as (N, " + ", ".join(map(str, example.shape[1:])) + ")"
        form = form if example.ndim else "one number"
        raise UserError(f"samples have shape {tuple(values.shape)}: give {form}")
    return values
