"""PPP trained on synthetic persons, each with one mask in the whole forward pass. Beyond the paper."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, build
from ..config import PruningSettings, TrainingSettings
from ..data import IdentityDataset
from ..data.datamodule import InMemoryData, batches_in_a_pass
from ..data.identities import TRAIN, VALIDATION
from ..gating import PersonGatedNetwork, prototype_loss, relaxed_masks, with_gradient_of
from ..gating.gate import logistic_noise
from ..pruning import CostModel, masks_within
from ..system.errors import UserError
from ..tasks import Task
from .gate_settings import PersonTraining
from .lightning import Precision, precision_here
from .modules import GlobalModule, use_channels_last
from .person_batches import PersonBatches

# Passes over the training samples, each augmented in another way, from which support sets are drawn.
_VIEWS = 4
# Validation has as many persons for all, in few batches, whatever those of training.
_VALIDATION = {"count": 4, "persons": 32}
_LONGEST_GRADIENT = 5.0


class PersonData(InMemoryData):
    """Training and validation rows as batches of persons; `cost` is that of the network whose budgets they have."""

    def __init__(
        self,
        dataset: IdentityDataset,
        seed: int,
        augment: tuple[str, ...],
        settings: dict[str, Any],
        cost: CostModel,
    ):
        super().__init__(dataset, settings["persons"] * settings["queries"], seed, augment)
        self.settings, self.cost = settings, cost

    def _persons(self, split: int, **others: Any) -> PersonBatches:
        rows = self.dataset.rows(split)
        return PersonBatches(self.on_device, rows, seed=self.seed, **(self.settings | others))

    def views(self, see: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What `see` makes of training and validation samples as they are, and of training samples augmented a few
        times, `(N, K)` each; other rows are 0.
        """
        train, validation = (torch.from_numpy(self.dataset.rows(split)) for split in (TRAIN, VALIDATION))
        augmented = self._batches(train, None, self.augment)
        plain = self._view(torch.cat([train, validation]), lambda rows: see(self.on_device.inputs(rows)))
        return [plain, *(self._view(train, lambda rows: see(augmented.of(rows)[0])) for _ in range(_VIEWS - 1))]

    def _view(self, rows: Tensor, see: Callable[[Tensor], Tensor]) -> Tensor:
        chunks = rows.to(self.on_device.x.device).split(1024)
        seen = [see(chunk) for chunk in chunks]
        view = seen[0].new_zeros(len(self.dataset.y), seen[0].shape[1])
        return view.index_copy_(0, torch.cat(chunks), torch.cat(seen))

    def train_dataloader(self) -> PersonBatches:  # pyright: ignore[reportIncompatibleMethodOverride]
        steps = batches_in_a_pass(len(self.dataset.rows(TRAIN)), self.batch_size)
        return self._persons(TRAIN, count=steps, augment=self.augment)

    def val_dataloader(self) -> PersonBatches:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._persons(VALIDATION, again=True, **_VALIDATION)


class PersonModule(GlobalModule):
    """Task + distillation from the full network + prototype loss between persons; each person of a batch has a budget,
    and one mask that is made as `budget_masks` makes it.

    While training, logistic noise is added to the scores, less and less of it: channels compete as binary concrete
    gates would. The gradient goes straight through the mask, by `sigmoid((score - cut) / temperature)`.

    **Arguments:**

    - `full`: the network whose predictions are seen and distilled; it stays as it is.
    - `pruning`: what budgets count.
    - `by_people`, `sizes`, `shots`: who is a person, as `PersonBatches` takes them.
    """

    def __init__(
        self,
        full: Backbone,
        training: TrainingSettings,
        task: Task,
        person_training: PersonTraining,
        pruning: PruningSettings,
        *,
        by_people: bool,
        sizes: tuple[int, ...],
        shots: int,
    ):
        start = copy.deepcopy(full).train().requires_grad_(True) if person_training.warm_start else build(full.spec)
        super().__init__(
            PersonGatedNetwork(start, task, gate_input=person_training.gate_input, width=person_training.gate_width),
            training,
            task,
        )
        self.person_training, self.pruning, self.widths = person_training, pruning, full.widths
        self.draws = {"by_people": by_people, "sizes": sizes, "shots": shots}
        teacher = copy.deepcopy(full).eval().requires_grad_(False)
        use_channels_last(teacher, torch.channels_last)
        self._full = (teacher,)  # no module of this one, which would train and keep it

    @property
    def training_precision(self) -> Precision:
        """As the settings say; masks are ranked in 32 bits all the same."""
        return precision_here(self.person_training.precision)

    def data(self, dataset: IdentityDataset, seed: int) -> pl.LightningDataModule:
        """Batches of persons, with budgets that a network of one channel per layer meets."""
        person_training = self.person_training
        cost = CostModel(self._full[0], dataset.input_shape)
        fewest = np.minimum(self.pruning.round_to, self.widths)
        smallest = float(cost.fraction(fewest, self.pruning.unit))
        settings = {
            "budgets": (max(person_training.least, smallest * 1.001), max(person_training.most, smallest * 1.01))
        }
        persons = person_training.persons_of(self.training_config.batch_size)
        settings |= {"persons": persons, "queries": person_training.queries, **self.draws}
        return PersonData(dataset, seed, self.training_config.augment, settings, cost)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, `(B, K)`, of samples `(B, C, ...)` with all channels open."""
        return self.person_network.backbone(x)

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """Looks at all samples with the full network, a few times. Raises `UserError` in one of several processes."""
        if self.trainer.world_size > 1:
            raise UserError("ppp.training is persons, which trains in one process: give it one device")
        data = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning's stubs lack it)
        self.dataset: IdentityDataset = data.on_device
        self.cost: CostModel = data.cost
        full = self._full[0].to(self.device)
        see = partial(self.person_network.view, full=full)
        self.views: list[Tensor] = [] if self.person_training.gate_input == "layers" else data.views(see)

    @property
    def person_network(self) -> PersonGatedNetwork:
        """What is trained."""
        assert isinstance(self.network, PersonGatedNetwork)
        return self.network

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """A person who gets few channels can ask for a step that undoes the others'."""
        nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)

    def losses(self, x: Tensor, y: Tensor, *person: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """As of `GlobalModule`; `person` is the rest of a `PersonBatch`."""
        support, whose, half, budgets, labels = person
        network, person_training, persons = self.person_network, self.person_training, len(budgets)
        seen = self._seen(support)  # (n, K)
        scores = network.scores(_means(seen, whose, persons), budgets)  # (P, D)
        if self.training:
            scores = scores + self._noise_left() * logistic_noise(*scores.shape, device=scores.device)
        masks, cut = self._masks(scores, budgets)
        gates = with_gradient_of(masks, relaxed_masks(scores, cut, person_training.temperature))
        outputs = network(x, gates.repeat_interleave(len(x) // persons, 0))
        terms = {"task": self.task.loss(outputs, y)}
        if person_training.distillation > 0:
            terms["distillation"] = person_training.distillation * self._divergence(x, outputs)
        if person_training.prototype_weight > 0:
            of_half = whose + persons * half
            both = torch.bincount(of_half, minlength=2 * persons).view(2, persons).bool().all(0)  # (P,)
            halves = _means(seen, of_half, 2 * persons).view(2, persons, -1)[:, both].flatten(0, 1)
            loss = self._between_persons(halves, labels[both], budgets[:1])
            terms["prototype"] = person_training.prototype_weight * loss
        return outputs, terms

    def _seen(self, support: Tensor) -> Tensor:
        if not self.views:
            return self.person_network.view(self.dataset.inputs(support), self._full[0])
        return self.views[int(torch.randint(len(self.views), ())) if self.training else 0][support]

    def _noise_left(self) -> float:
        return 1 - self.trainer.global_step / int(self.trainer.estimated_stepping_batches)

    def _masks(self, scores: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor]:
        rule = {"unit": self.pruning.unit, "round_to": self.pruning.round_to}
        return masks_within(scores, self.widths, self.cost, budgets.double().cpu().numpy(), **rule)

    def _divergence(self, x: Tensor, outputs: Tensor) -> Tensor:
        with torch.no_grad():
            teacher = self._full[0](x)
        return self.task.divergence(outputs, teacher)

    def _between_persons(self, halves: Tensor, labels: Tensor, budget: Tensor) -> Tensor:
        """Whose half a mask belongs to, at one budget: one half of each support set is support, the other query."""
        budgets = budget.expand(len(halves))
        scores = self.person_network.scores(halves, budgets)
        relaxed = relaxed_masks(scores, self._masks(scores, budgets)[1], self.person_training.temperature)
        return prototype_loss(relaxed, labels.repeat(2), scale=self.person_training.prototype_scale)


def _means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Means of rows by group, `(G, K)`; 0 for a group without rows. Never bf16, which ranks channels the same."""
    with torch.autocast(values.device.type, enabled=False):
        one_hot = F.one_hot(group, groups).float()  # (n, G)
        return (one_hot / one_hot.sum(0).clamp(min=1)).T @ values.float()
