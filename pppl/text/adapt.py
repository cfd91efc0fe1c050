"""One encoder, one task, one method: what it costs and what it scores."""

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
from ..config import TextExperiment
from ..system.errors import UserError
from ..training.adapters import Adapter
from ..training.task_module import outputs, train_task
from .encoder import TextClassifier, Tokens
from .setting import Adapted, Setting
from .text_methods import TEXT_METHODS
from .text_tasks import Examples, TextTask, load_task

# Training examples whose gradients, each its own, choose a mask; Sung et al. (2021) find that a hundred or so suffice.
_GRADIENT_EXAMPLES = 256
_EVALUATION_BATCH = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A task as one encoder reads it.

    - `name`: as experiments name it.
    - `sha256`: of its texts and targets; `tokens_sha256`: of what the encoder's tokenizer makes of the texts.
    """

    name: str
    task: TextTask
    train: Tokens
    validation: Tokens
    test: Tokens
    sha256: str
    tokens_sha256: str


def prepare(encoder: str, name: str, examples: int = 0) -> Prepared:
    """A task's tokens; at most `examples` of each split, 0 for all."""
    task = load_task(name)
    parts = {part: _at_most(getattr(task, part), examples) for part in ("train", "validation", "test")}
    tokens = {key: Tokens(encoder, part) for key, part in parts.items()}
    content = _sha256([[part.texts, part.targets.tolist()] for part in parts.values()])
    of_tokens = _sha256([part.rows for part in tokens.values()])
    return Prepared(name=name, task=task, sha256=content, tokens_sha256=of_tokens, **tokens)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _at_most(examples: Examples, count: int) -> Examples:
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
) -> tuple[TextClassifier, Adapted]:
    """Adapts the experiment's encoder, loaded anew, to a task.

    **Arguments:**

    - `learning_rate`: of what the method changes in the encoder.

    Raises `UserError` where the encoder cannot be loaded, the method cannot keep to the rate, or one step is all.
    """
    epochs, batches = experiment.epochs_on(prepared.name), math.ceil(len(prepared.train.rows) / experiment.batch_size)
    if epochs * batches < 2:
        raise UserError(f"{prepared.name}: one step is all, but some methods have two stages: give more epochs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with isolate_rng():  # random numbers of others go on as if nothing was
        torch.manual_seed(seed)
        return _adapted(experiment, prepared, method, learning_rate, seed, device)


def _adapted(
    experiment: TextExperiment, prepared: Prepared, method: str, learning_rate: float, seed: int, device: torch.device
) -> tuple[TextClassifier, Adapted]:
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
    """What a file of a task needs besides weights: to say what a network's outputs mean."""
    task = prepared.task
    told = {"task": prepared.name, "encoder": experiment.encoder, "metric": task.metric}
    return told | {"labels": json.dumps(task.labels)}


def evaluate(
    network: nn.Module, task: TextTask, tokens: Tokens, adapter: Adapter | None = None
) -> tuple[float, Tensor]:
    """Return a network's score on some texts of a task, and its outputs, `(N, outputs)`."""
    by_length, _ = outputs(network, tokens.batches(_EVALUATION_BATCH), adapter)
    in_order = torch.empty_like(by_length)
    in_order[tokens.by_length] = by_length
    return task.score(in_order, tokens.targets), in_order


class _Trainer:
    """The two functions that a method trains by, for one task and network."""

    def __init__(self, experiment: TextExperiment, prepared: Prepared, network: TextClassifier, seed: int):
        self.experiment, self.network = experiment, network
        self.tokens, self.seed = prepared.train, seed
        self._batches = _shuffled(prepared.train, experiment.batch_size, seed)
        self.loss = prepared.task.loss

    def train(self, adapter: Adapter, steps: int) -> None:
        following = _Following(self._batches, steps)
        train_task(self.network, self.loss, adapter, following, epochs=1, precision=self.experiment.precision)

    def each_gradient(self, after: Callable[[], None]) -> None:
        device = next(self.network.parameters()).device
        with evaluating(self.network):
            for batch in islice(self.tokens.batches(1, seed=self.seed), _GRADIENT_EXAMPLES):
                inputs, targets = move_data_to_device(batch, device)
                self.loss(self.network(inputs), targets).backward()
                after()


_Batch = tuple[dict[str, Tensor], Tensor]


def _shuffled(tokens: Tokens, size: int, seed: int) -> Iterator[_Batch]:
    """Batches without end, in an order of their own for every epoch."""
    random = np.random.default_rng(seed)
    while True:
        yield from tokens.batches(size, seed=int(random.integers(2**31)))


class _Following:
    """So many batches that come next."""

    def __init__(self, batches: Iterator[_Batch], count: int):
        self.batches, self.count = batches, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[_Batch]:
        return islice(self.batches, self.count)
