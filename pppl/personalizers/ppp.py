"""`ppp`: Prototype-based Personalized Pruning (Kim, Chang, Yun, Kwak; ICASSP 2021; arXiv 2103.15564).

The prototype of a few unlabelled samples prunes the gated network; nothing is trained after that. `gated` is the
ablation: the same, but the gates were trained without the prototype loss. Both come with controls beside the person's
own prototype: everybody's (`population`), another person's (`other`), another's of the same classes (`twin`), the same
person's of other classes (`swap`), and a `random` mask of the same cost.

With `ppp.training: persons` gates are trained for a person at a time, beyond the paper (see `PersonTraining`).
"""

from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import Tensor

from ..backbones import Backbone
from ..config import Experiment
from ..data import Support
from ..data.datamodule import batches_in_a_pass, seen_in_a_pass
from ..gating import GatedNetwork, PersonGatedNetwork, Rule, prototype
from ..pruning import CostModel, slice_network, threshold_masks
from ..training.gate_settings import PersonTraining, PPPSettings
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Personalizer, ScorePruner, SupportFrom, register_method

_CONTROLS: tuple[SupportFrom, ...] = ("own", "population", "other", "twin", "swap")
GateSettings = PPPSettings | PersonTraining


def gate_settings(gates: str, experiment: Experiment) -> GateSettings:
    """How the gates are trained that a personalizer of `experiment` calls `gates`; those of `gated` without a prototype
    loss, whose scale then says nothing.
    """
    settings = experiment[PersonTraining] if experiment[PPPSettings].training == "persons" else experiment[PPPSettings]
    if _with_prototype_loss(gates):
        return settings
    return replace(settings, prototype_weight=0.0, prototype_scale=type(settings)().prototype_scale)


def gates_read(gates: str, experiment: Experiment) -> dict[str, Any]:
    """What is read of the experiment's settings to train gates, by section."""
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
    """Return how many samples the training of gates saw, of `rows` training samples."""
    settings = gate_settings(gates, experiment)
    if isinstance(settings, PPPSettings):
        epochs = settings.epochs or experiment.training.epochs
        return epochs * seen_in_a_pass(rows, experiment.training.batch_size)
    batch = settings.persons_of(experiment.training.batch_size) * settings.queries
    return settings.epochs * batches_in_a_pass(rows, batch) * batch


def _with_prototype_loss(gates: str) -> bool:
    return gates.partition("@")[0] == "ppp"  # before the name of a variant


class _Gated(Personalizer):
    """Prunes the network whose gates are called as it is called itself."""

    def __init__(self, method: str, experiment: Experiment, support_from: SupportFrom):
        super().__init__(method, experiment)
        self.gates, self.control, self.support_from = method, str(support_from), support_from

    def called(self, method: str) -> Personalizer:
        """Itself under another name, with gates of its own."""
        self.gates = method
        return super().called(method)

    def depends_on(self) -> dict[str, Any]:
        """How gates are trained and prototypes taken, and what a budget counts."""
        return {"pruning": asdict(self.experiment.pruning)} | gates_read(self.method, self.experiment)

    def train_samples(self, rows: int) -> int:
        """Those of its gates."""
        return gate_samples(self.method, self.experiment, rows)

    def network(self, model: GlobalModel) -> Backbone:
        return model.gated[self.method].backbone


class SamplePPP(_Gated, ScorePruner):
    """Prunes the gated network `method` by a prototype. Without a budget it keeps channels that are open on average."""

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        return threshold_masks(scores) if budget is None else super().masks(model, scores, budget)

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        network = cast(GatedNetwork, model.gated[self.method])
        if self.experiment[PPPSettings].prototypes == "sequential":
            return prototype(network, support.x, sequential=rule)
        return support.once(("prototype", network), lambda: prototype(network, support.x))


class PersonPPP(_Gated):
    """Prunes the network `method`, whose gates were trained for a person at a time, by what they see on average."""

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` where the least budget that is used is too small for the network."""
        least = self.experiment[PersonTraining].capped(min(self.experiment.budgets))
        self.masks_within(least, [torch.zeros(width) for width in backbone.widths], cost)

    @torch.inference_mode()
    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        network, person_training = cast(PersonGatedNetwork, model.gated[self.method]), self.experiment[PersonTraining]
        within = None if budget is None else person_training.capped(budget)
        seen = support.once(("view", network), lambda: network.view(support.x, model.full).mean(0, keepdim=True))
        asked = seen.new_tensor([max(within or person_training.most, person_training.least)])
        scores = network.scores(seen, asked)[0]
        masks = self.masks_within(within, list(scores.split(model.full.widths)), model.cost)
        with torch.inference_mode(False):
            return MethodOutput(module=slice_network(network.backbone, masks), masks=masks)


class RandomMask(_Gated, ScorePruner):
    """The control of PPP that draws channels by lot: a mask of the same cost, whatever the rule."""

    def __init__(self, method: str, experiment: Experiment):
        super().__init__(method, experiment, "own")
        self.control = "random"

    def masks(self, model: GlobalModel, scores: list[Tensor], budget: float | None) -> list[Tensor]:
        if budget is not None and self.experiment[PPPSettings].training == "persons":
            budget = self.experiment[PersonTraining].capped(budget)
        return super().masks(model, scores, budget)

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        generator = torch.Generator().manual_seed(support.seed)
        return [torch.rand(width, generator=generator).to(support.x.device) for width in model.full.widths]


def _with_controls(method: str, experiment: Experiment) -> list[Personalizer]:
    by_persons = experiment[PPPSettings].training == "persons"
    kind = PersonPPP if by_persons else SamplePPP
    if by_persons and experiment[PersonTraining].gate_input == "nothing":
        (alone := kind(method, experiment, "own")).support_from = "none"  # whose samples they are makes no difference
        return [alone]
    return [*(kind(method, experiment, whose) for whose in _CONTROLS), RandomMask(method, experiment)]


@register_method("ppp")
def _ppp(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("ppp", experiment)


@register_method("gated")
def _gated(experiment: Experiment) -> list[Personalizer]:
    return _with_controls("gated", experiment)
