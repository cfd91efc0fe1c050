"""`ppp`: Prototype-based Personalized Pruning (Kim, Chang, Yun, Kwak; ICASSP 2021; arXiv 2103.15564).

The prototype of a few unlabelled samples prunes the gated network; nothing is trained after that. `gated` is the
ablation whose gates are trained without the prototype loss. Both methods have controls, which take the prototype of
everybody (`population`), of another person (`other`), of another person with the same classes (`twin`) or of the same
person with other classes (`swap`), or draw a `random` mask of the same cost.

`ppp.training: persons` goes beyond the paper: gates are trained for one person at a time (see `PersonTraining`).
"""

from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import Tensor

from ..backbones import NEVER, Backbone, slice_network
from ..config import Experiment
from ..data import Support
from ..data.datamodule import batches_in_a_pass, seen_in_a_pass
from ..gating import GatedNetwork, PersonGatedNetwork, Rule, prototype
from ..gating.person_code import find_code
from ..pruning import CostModel, masks_within, threshold_masks
from ..training.gate_settings import PersonTraining, PPPSettings
from .class_prior import votes
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, SupportFrom, register_method
from .scores import ScorePruner

_CONTROLS: tuple[SupportFrom, ...] = ("own", "population", "other", "twin", "swap")
GateSettings = PPPSettings | PersonTraining


def gate_settings(gates: str, experiment: Experiment) -> GateSettings:
    """Return the settings that the gates named `gates` are trained with.

    The weight of the prototype loss is 0 for `gated`, and its scale, which has no effect then, is the default.
    """
    settings = experiment[PersonTraining] if experiment[PPPSettings].training == "persons" else experiment[PPPSettings]
    if _with_prototype_loss(gates):
        return settings
    return replace(settings, prototype_weight=0.0, prototype_scale=type(settings)().prototype_scale)


def gates_read(gates: str, experiment: Experiment) -> dict[str, Any]:
    """Return the settings that the training of gates reads, by section of the experiment."""
    settings = asdict(gate_settings(gates, experiment))
    if experiment[PPPSettings].training == "persons":
        by_classes = experiment.persons.protocol != "person"
        return {
            "person_training": settings,
            "sizes": experiment[PersonTraining].classes or experiment.persons.classes * by_classes,
        }
    del settings["training"]
    with_loss = _with_prototype_loss(gates)
    return {"ppp": {k: v for k, v in settings.items() if with_loss or not k.startswith("prototype_")}}


def gate_samples(gates: str, experiment: Experiment, rows: int) -> int:
    """Return how many samples the training of gates goes through if there are `rows` training samples."""
    settings = gate_settings(gates, experiment)
    if isinstance(settings, PPPSettings):
        epochs = settings.epochs or experiment.training.epochs
        return epochs * seen_in_a_pass(rows, experiment.training.batch_size)
    batch = settings.persons_of(experiment.training.batch_size) * settings.queries
    return settings.epochs * batches_in_a_pass(rows, batch) * batch


def _with_prototype_loss(gates: str) -> bool:
    return gates.partition("@")[0] == "ppp"  # without the name of a variant


class _Gated(Personalizer):
    """A method that prunes the gated network of the same name."""

    def __init__(self, method: str, experiment: Experiment, support_from: SupportFrom):
        super().__init__(method, experiment)
        self.gates, self.control, self.support_from = method, str(support_from), support_from

    def called(self, method: str) -> Personalizer:
        """Return this personalizer under another name, which is that of its gates, too."""
        self.gates = method
        return super().called(method)

    def depends_on(self) -> dict[str, Any]:
        """Return the settings of pruning and of the gates' training, by section."""
        return {"pruning": asdict(self.experiment.pruning)} | gates_read(self.method, self.experiment)

    def train_samples(self, rows: int) -> int:
        """Return how many samples the training of its gates goes through, of `rows` in a pass."""
        return gate_samples(self.method, self.experiment, rows)

    def network(self, model: GlobalModel) -> Backbone:
        """Return the backbone of the gated network."""
        return model.gated[self.method].backbone


class SamplePPP(_Gated, ScorePruner):
    """A method that prunes a gated network, trained by samples, by a prototype of the support set."""

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        """Return the masks within the budget; without one, those of the channels that are open on average."""
        return threshold_masks(scores) if budget is None else super().masks(model, scores, budget)

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the prototype, per group `(C_l,)`; `rule` prunes each layer before the next if it is sequential."""
        network = cast(GatedNetwork, model.gated[self.method])
        if self.experiment[PPPSettings].prototypes == "sequential":
            return prototype(network, support.x, sequential=rule)
        return support.once(("prototype", network), lambda: prototype(network, support.x))


class PersonPPP(_Gated):
    """A method that prunes a gated network, trained by persons, by the mean view of the support set."""

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if the least budget, capped as in training, is too small for the network."""
        least = self.experiment[PersonTraining].capped(min(self.experiment.budgets))
        self.masks_within(least, [torch.zeros(width) for width in backbone.widths], cost)

    @property
    def steps(self) -> int:
        """Number of steps in which a person's code moves."""
        return self.experiment[PersonTraining].code_steps

    @torch.inference_mode()
    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network with the mask that its gates choose for the support set and the budget."""
        network, person_training = cast(PersonGatedNetwork, model.gated[self.method]), self.experiment[PersonTraining]
        view = support.once(("view", network), lambda: network.view(support.x, model.full).mean(0, keepdim=True))
        gate_budget = self._gate_budget(view, budget)
        moved = self._code(network, model, support, view, gate_budget) if person_training.code_steps else None
        masks = self.masks_of(model, view, budget, moved)
        with torch.inference_mode(False):
            module = slice_network(network.backbone, masks)
        return MethodOutput(module=module, masks=masks, retrain_samples=self.steps * len(support.x))

    def masks_of(
        self, model: GlobalModel, view: Tensor, budget: float | None, moved: Tensor | None = None
    ) -> list[Tensor]:
        """Return the masks, per group `(C_l,)`, that gates choose for a mean view, `(1, K)`, and a budget."""
        network = cast(PersonGatedNetwork, model.gated[self.method])
        scores = network.scores(view, self._gate_budget(view, budget), moved)[0]
        return self.masks_within(self._capped(budget), list(scores.split(model.full.widths)), model.cost)

    def _capped(self, budget: float | None) -> float | None:
        return None if budget is None else self.experiment[PersonTraining].capped(budget)

    def _gate_budget(self, view: Tensor, budget: float | None) -> Tensor:
        """Return the budget that gates read, `(1,)`: within those of their training."""
        person_training = self.experiment[PersonTraining]
        return view.new_tensor([max(self._capped(budget) or person_training.most, person_training.least)])

    def _code(
        self, network: PersonGatedNetwork, model: GlobalModel, support: Support, view: Tensor, budget: Tensor
    ) -> Tensor:
        """Return how a person's code moves, `(1, size)`; outputs are corrected as those of `+classes` are."""
        settings, pruning = self.experiment[PersonTraining], self.experiment.pruning
        with torch.inference_mode(False):
            x, added = support.x.clone(), self._added(model, support)
            return find_code(
                network,
                x,
                view.clone(),
                budget.clone(),
                lambda scores: masks_within(
                    scores,
                    model.full.widths,
                    model.cost,
                    budget.double().cpu().numpy(),
                    unit=pruning.unit,
                    round_to=pruning.round_to,
                ),
                added,
                temperature=settings.temperature,
                steps=settings.code_steps,
                learning_rate=settings.code_rate,
            )

    def _added(self, model: GlobalModel, support: Support) -> Tensor:
        """Return what makes outputs, `(K,)`, those for the classes that the full network votes for.

        The votes are the person's own if somebody else's samples move the code, as those of `+classes` are. Where
        persons have all classes there is nothing to add.
        """
        probabilities = model.full((support.own or support).x.clone()).softmax(1)
        some = self.experiment.persons.protocol != "person"
        prior = votes(probabilities, probabilities) if some else torch.ones_like(probabilities[0])
        return torch.where(prior > 0, 0.0, NEVER)


class RandomMask(_Gated, ScorePruner):
    """The control of PPP that draws the channels of a mask at random, at the same budget."""

    def __init__(self, method: str, experiment: Experiment):
        super().__init__(method, experiment, "own")
        self.control = "random"

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        """Return the masks within the budget, capped as that of `PersonPPP` if gates are trained by persons."""
        if budget is not None and self.experiment[PPPSettings].training == "persons":
            budget = self.experiment[PersonTraining].capped(budget)
        return super().masks(model, scores, budget)

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return random scores, per group `(C_l,)`, that follow from the support set's seed."""
        generator = torch.Generator().manual_seed(support.seed)
        return [torch.rand(width, generator=generator).to(support.x.device) for width in model.full.widths]


def _with_controls(method: str, experiment: Experiment) -> list[Personalizer]:
    by_persons = experiment[PPPSettings].training == "persons"
    kind = PersonPPP if by_persons else SamplePPP
    if by_persons and experiment[PersonTraining].gate_input == "nothing":
        (alone := kind(method, experiment, "own")).support_from = "none"  # the mask does not depend on samples
        return [alone]
    return [*(kind(method, experiment, whose) for whose in _CONTROLS), RandomMask(method, experiment)]


@register_method("ppp")
def _ppp(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("ppp", experiment)


@register_method("gated")
def _gated(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("gated", experiment)
