"""PPP trained on synthetic persons, each with one mask in the whole forward pass, which goes beyond the paper."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_pruning.pruner.importance import MagnitudeImportance

from ..backbones import NEVER, Backbone, build
from ..config import PruningSettings, TrainingSettings
from ..data import IdentityDataset
from ..data.datamodule import InMemoryData, batches_in_a_pass
from ..data.identities import TRAIN, VALIDATION
from ..data.person_changes import PERSON_CHANGES
from ..gating import PersonGatedNetwork, prototype_loss, relaxed_masks, with_gradient_of
from ..gating.gate import logistic_noise
from ..pruning import CostModel, importance_scores, masks_within
from ..system.errors import UserError
from ..tasks import Task
from .gate_settings import PersonTraining
from .lightning import Precision, precision_here
from .modules import GlobalModule, gates_apart, use_channels_last
from .person_batches import PersonBatches

# Number of views of the training samples that support sets are drawn from: one plain, the others augmented.
_VIEWS = 4
# Validation has the same number of persons for all settings of training.
_VALIDATION = {"count": 4, "persons": 32}
_LONGEST_GRADIENT = 5.0


class PersonData(InMemoryData):
    """Training and validation rows as batches of persons.

    **Arguments:**

    - `settings`: arguments of `PersonBatches`.
    - `cost`: cost model of the network that budgets refer to.
    """

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

    def _persons(self, split: int, **changes: Any) -> PersonBatches:
        rows = self.dataset.rows(split)
        return PersonBatches(self.on_device, rows, seed=self.seed, **(self.settings | changes))

    def views(self, see: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Return views of the samples, `(N, K)` each: one of plain samples, the others of augmented training samples.

        If persons keep random changes, only the first is made, since their samples are seen as they are changed.

        The first view covers training and validation samples. All other rows are 0.

        **Arguments:**

        - `see`: a function from samples, `(B, C, ...)`, to their view, `(B, K)`.
        """
        train, validation = (torch.from_numpy(self.dataset.rows(split)) for split in (TRAIN, VALIDATION))
        augmented = self._batches(train, None, self.augment)
        plain = self._view(torch.cat([train, validation]), lambda rows: see(self.on_device.inputs(rows)))
        more = 0 if any(name in PERSON_CHANGES for name in self.augment) else _VIEWS - 1
        return [plain, *(self._view(train, lambda rows: see(augmented.of(rows)[0])) for _ in range(more))]

    def _view(self, rows: Tensor, see: Callable[[Tensor], Tensor]) -> Tensor:
        chunks = rows.to(self.on_device.x.device).split(1024)
        views = [see(chunk) for chunk in chunks]
        view = views[0].new_zeros(len(self.dataset.y), views[0].shape[1])
        return view.index_copy_(0, torch.cat(chunks), torch.cat(views))

    def train_dataloader(self) -> PersonBatches:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return batches of persons of the training split, as many as a pass over its samples has."""
        steps = batches_in_a_pass(len(self.dataset.rows(TRAIN)), self.batch_size)
        return self._persons(TRAIN, count=steps, augment=self.augment)

    def val_dataloader(self) -> PersonBatches:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return batches of persons of the validation split, the same in every epoch."""
        return self._persons(VALIDATION, again=True, **_VALIDATION)


class PersonModule(GlobalModule):
    """A module that trains a gated network on batches of persons.

    The loss is task + distillation from the full network + prototype loss between persons. Each person has a budget,
    and one mask, which is made as `budget_masks` makes it.

    If training starts with random masks, logistic noise is added to the scores, and its scale falls to 0: channels
    compete as binary concrete gates would. The gradient passes the mask by a straight-through estimator,
    `sigmoid((score - cut) / temperature)`.

    **Arguments:**

    - `full`: the network whose predictions gates see and the module distils; it is copied, not changed.
    - `pruning`: settings that say what budgets count.
    - `by_people`, `sizes`, `shots`: the definition of a person, see `PersonBatches`.
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
        if person_training.corrected and "classes" not in task.offers:
            raise UserError("person_training.corrected is for outputs that are classes: set it to false")
        super().__init__(
            PersonGatedNetwork(start, task, gate_input=person_training.gate_input, width=person_training.gate_width),
            training,
            task,
        )
        if person_training.start == "l1":
            criterion = MagnitudeImportance(p=1, group_reduction="first")
            self.person_network.begin_with(importance_scores(full, criterion))
        self.person_training, self.pruning, self.widths = person_training, pruning, full.widths
        self.draws = {"by_people": by_people, "sizes": sizes, "shots": shots}
        teacher = copy.deepcopy(full).eval().requires_grad_(False)
        use_channels_last(teacher, torch.channels_last)
        self._full = (teacher,)  # in a tuple, or it would be a submodule, trained and stored

    @property
    def training_precision(self) -> Precision:
        """Precision that the settings choose; channels are always ranked in 32 bits."""
        return precision_here(self.person_training.precision)

    def data(self, dataset: IdentityDataset, seed: int) -> pl.LightningDataModule:
        """Return batches of persons, whose budgets are large enough for the smallest network that pruning allows."""
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
        """Compute the views of all samples. Raise `UserError` if several processes train."""
        if self.trainer.world_size > 1:
            raise UserError("ppp.training is persons, which trains in one process: set training.devices to 1")
        data = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning's stubs lack it)
        self.dataset: IdentityDataset = data.on_device
        self.cost: CostModel = data.cost
        full = self._full[0].to(self.device)
        see = partial(self.person_network.view, full=full)
        self.views: list[Tensor] = []
        if self.person_training.gate_input != "layers":
            self.views = data.views(see)
            self.person_network.sight.fit(self.views[0][torch.from_numpy(data.dataset.rows(TRAIN))])

    @property
    def person_network(self) -> PersonGatedNetwork:
        """The gated network that is trained."""
        assert isinstance(self.network, PersonGatedNetwork)
        return self.network

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the backbone and of the gates, with their largest learning rates."""
        return gates_apart(self.network, self.training_config.learning_rate, self.person_training.gate_speed)

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """Clip the gradients: a person with few channels could make a step that undoes those of other persons."""
        nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)

    def losses(self, x: Tensor, y: Tensor, *person: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the outputs, `(B, K)`, and the terms of the loss; their sum is minimized.

        **Arguments:**

        - `person`: the other fields of a `PersonBatch`.

        The loss of the task, and that of distillation, are on corrected outputs if the settings say so.
        """
        support, owner, half, budgets, labels, changed = person
        network, person_training, persons = self.person_network, self.person_training, len(budgets)
        view = self._view(support, changed)  # (n, K)
        scores = network.scores(_means(view, owner, persons), budgets)  # (P, D)
        if self.training:
            scores = scores + self._noise_scale() * logistic_noise(*scores.shape, device=scores.device)
        masks, cut = self._masks(scores, budgets)
        gates = with_gradient_of(masks, relaxed_masks(scores, cut, person_training.temperature))
        outputs = network(x, gates.repeat_interleave(len(x) // persons, 0))
        added = self._added(support, owner, persons).repeat_interleave(len(x) // persons, 0)  # (B, K)
        terms = {"task": self.task.loss(outputs + added, y)}
        if person_training.distillation > 0:
            terms["distillation"] = person_training.distillation * self._divergence(x, outputs, added)
        if person_training.prototype_weight > 0:
            group = owner + persons * half
            has_halves = torch.bincount(group, minlength=2 * persons).view(2, persons).bool().all(0)  # (P,)
            halves = _means(view, group, 2 * persons).view(2, persons, -1)[:, has_halves].flatten(0, 1)
            loss = self._between_persons(halves, labels[has_halves], budgets[:1])
            terms["prototype"] = person_training.prototype_weight * loss
        return outputs, terms

    def _added(self, support: Tensor, owner: Tensor, persons: int) -> Tensor:
        """Return what is added to the outputs for each person, `(P, K)`."""
        if not self.person_training.corrected:
            return torch.zeros(persons, 1, device=owner.device)
        outputs = int(self._full[0].spec.options["num_outputs"])
        added = torch.full((persons, outputs), NEVER, device=owner.device)
        return added.index_put_((owner, self.dataset.targets(support)), added.new_zeros(()))

    def _view(self, support: Tensor, changed: Tensor | None) -> Tensor:
        if changed is not None:
            with torch.no_grad():
                return self.person_network.view(changed, self._full[0])
        if not self.views:
            return self.person_network.view(self.dataset.inputs(support), self._full[0])
        return self.views[int(torch.randint(len(self.views), ())) if self.training else 0][support]

    def _noise_scale(self) -> float:
        if self.person_training.start == "l1":
            return 0.0
        return 1 - self.trainer.global_step / int(self.trainer.estimated_stepping_batches)

    def _masks(self, scores: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor]:
        rule = {"unit": self.pruning.unit, "round_to": self.pruning.round_to}
        return masks_within(scores, self.widths, self.cost, budgets.double().cpu().numpy(), **rule)

    def _divergence(self, x: Tensor, outputs: Tensor, added: Tensor) -> Tensor:
        with torch.no_grad():
            teacher = self._full[0](x)
        return self.task.divergence(outputs + added, teacher + added)

    def _between_persons(self, halves: Tensor, labels: Tensor, budget: Tensor) -> Tensor:
        """Return the prototype loss between the masks of halves of support sets, `(2 P, K)`, all at one budget.

        It compares the two halves of the same person with halves of other persons.
        """
        budgets = budget.expand(len(halves))
        scores = self.person_network.scores(halves, budgets)
        relaxed = relaxed_masks(scores, self._masks(scores, budgets)[1], self.person_training.temperature)
        return prototype_loss(relaxed, labels.repeat(2), scale=self.person_training.prototype_scale)


def _means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return the means of rows by group, `(G, K)`; 0 for a group without rows.

    They are computed in 32 bits, because channels with near scores would tie in bf16.
    """
    with torch.autocast(values.device.type, enabled=False):
        one_hot = F.one_hot(group, groups).float()  # (n, G)
        return (one_hot / one_hot.sum(0).clamp(min=1)).T @ values.float()
