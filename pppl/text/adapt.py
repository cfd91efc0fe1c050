"""Adaptation of one encoder to one task by one method, and the score of the result."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from ..backbones import evaluating
from ..config import TextColumns, TextExperiment
from ..system.errors import UserError
from ..training.adapters import Adapter
from ..training.task_module import outputs, train_task
from .encoder import TextClassifier, Tokens
from .setting import AdaptedEncoder, Setting
from .text_methods import TEXT_METHODS
from .text_table import USUAL_COLUMNS
from .text_tasks import Examples, TextTask, load_task

# A mask is chosen by the gradients of this many training examples. Sung et al. (2021) find that about 100 suffice.
_GRADIENT_EXAMPLES = 256
_EVALUATION_BATCH = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A task and its splits as tokens of one encoder.

    - `name`: the name that experiments call the task by.
    - `sha256`: the hash of its texts and targets.
    - `tokens_sha256`: the hash of the tokens that the encoder's tokenizer makes of the texts.
    """

    name: str
    task: TextTask
    train: Tokens
    validation: Tokens
    test: Tokens
    sha256: str
    tokens_sha256: str


def prepare(encoder: str, name: str, examples: int = 0, columns: TextColumns = USUAL_COLUMNS) -> Prepared:
    """Return the tokens of a task, for at most `examples` examples of each split. 0: all.

    **Arguments:**

    - `columns`: what the columns are called if the task is a table.
    """
    task = load_task(name, columns)
    splits = {split: _limit(getattr(task, split), examples) for split in ("train", "validation", "test")}
    tokens = {split: Tokens(encoder, limited) for split, limited in splits.items()}
    content_sha256 = _sha256([[split.texts, split.targets.tolist()] for split in splits.values()])
    tokens_sha256 = _sha256([split.rows for split in tokens.values()])
    return Prepared(name=name, task=task, sha256=content_sha256, tokens_sha256=tokens_sha256, **tokens)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _limit(examples: Examples, count: int) -> Examples:
    if not 0 < count < len(examples):
        return examples
    return examples.rows(sorted(np.random.default_rng(0).permutation(len(examples))[:count].tolist()))


def adapt(
    experiment: TextExperiment,
    prepared: Prepared,
    method: str,
    *,
    learning_rate: float,
    seed: int,
) -> tuple[TextClassifier, AdaptedEncoder]:
    """Load the experiment's encoder, adapt it to a task by a method, and return the network and the result.

    **Arguments:**

    - `learning_rate`: the learning rate of what the method changes in the encoder.

    Raise `UserError` if the encoder cannot be loaded, if the method cannot keep to the experiment's rate, or if the
    epochs have one step only.
    """
    epochs, batches = experiment.epochs_on(prepared.name), math.ceil(len(prepared.train.rows) / experiment.batch_size)
    if epochs * batches < 2:
        raise UserError(f"{prepared.name}: one step is all, but some methods have two stages: give more epochs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with isolate_rng():  # the caller's random numbers go on as if nothing had been drawn
        torch.manual_seed(seed)
        return _adapt(experiment, prepared, method, learning_rate, seed, device)


def _adapt(
    experiment: TextExperiment, prepared: Prepared, method: str, learning_rate: float, seed: int, device: torch.device
) -> tuple[TextClassifier, AdaptedEncoder]:
    epochs, batches = experiment.epochs_on(prepared.name), math.ceil(len(prepared.train.rows) / experiment.batch_size)
    network = TextClassifier(experiment.encoder, prepared.task.outputs).to(device)
    trainer = _Trainer(experiment, prepared, network, seed)
    setting = Setting(
        learning_rate=learning_rate,
        head_rate=experiment.head_rate,
        rate=experiment.rate,
        seed=seed,
        diff=experiment.diff,
        compiled=experiment.compiled,
        steps=epochs * batches,
        metadata=_metadata(experiment, prepared),
        train=trainer.train,
        each_gradient=trainer.each_gradient,
    )
    return network, TEXT_METHODS[method].adapt(network, setting)


def _metadata(experiment: TextExperiment, prepared: Prepared) -> dict[str, str]:
    """Return what the file of a task says besides weights: what the outputs of the network mean."""
    task = prepared.task
    metadata = {"task": prepared.name, "encoder": experiment.encoder, "metric": task.metric}
    return metadata | {"labels": json.dumps(task.labels)}


def evaluate(
    network: nn.Module, task: TextTask, tokens: Tokens, adapter: Adapter | None = None
) -> tuple[float, Tensor]:
    """Return the score of a network on tokens of a task, and its outputs, `(N, outputs)`, in the order of the texts."""
    sorted_outputs, _ = outputs(network, tokens.batches(_EVALUATION_BATCH), adapter)
    in_order = torch.empty_like(sorted_outputs)
    in_order[tokens.by_length] = sorted_outputs
    return task.score(in_order, tokens.targets), in_order


class _Trainer:
    """The functions `train` and `each_gradient` of a `Setting`, for one task and one network."""

    def __init__(self, experiment: TextExperiment, prepared: Prepared, network: TextClassifier, seed: int):
        self.experiment, self.network = experiment, network
        self.tokens, self.seed = prepared.train, seed
        self._batches = _shuffle(prepared.train, experiment.batch_size, seed)
        self.loss = prepared.task.loss

    def train(self, adapter: Adapter, steps: int) -> None:
        batches = _NextBatches(self._batches, steps)
        train_task(self.network, self.loss, adapter, batches, epochs=1, precision=self.experiment.precision)

    def each_gradient(self, after: Callable[[], None]) -> None:
        device = next(self.network.parameters()).device
        with evaluating(self.network):
            for batch in islice(self.tokens.batches(1, seed=self.seed), _GRADIENT_EXAMPLES):
                inputs, targets = move_data_to_device(batch, device)
                self.loss(self.network(inputs), targets).backward()
                after()


_Batch = tuple[dict[str, Tensor], Tensor]


def _shuffle(tokens: Tokens, size: int, seed: int) -> Iterator[_Batch]:
    """Yield batches without end. Every epoch has an order of its own."""
    random = np.random.default_rng(seed)
    while True:
        yield from tokens.batches(size, seed=int(random.integers(2**31)))


class _NextBatches:
    """The next `count` batches of an iterator, with a length."""

    def __init__(self, batches: Iterator[_Batch], count: int):
        self.batches, self.count = batches, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[_Batch]:
        return islice(self.batches, self.count)
