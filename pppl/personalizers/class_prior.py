"""The step `+classes`: the person's class prior in place of the training data's; no label is read, nothing is trained.

A person who uses some of the classes tells so by the predictions on the support set. Logits become
`logit_c + log q_c - log pi_c`, with the training data's prior pi and the person's prior q (Saerens, Latinne,
Decaestecker, Neural Computation 2002). What that brings is free: any gain of a personal network is held against it. The
correction is a bias of the classifier, so that a personal network stays a plain one in every form.

Where predictions on the support set are wrong it does harm: `ClassPrior.confidence` tells how sure they are. So it
does, by `votes`, to persons who have most of the classes, since a tenth of the samples is much then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..backbones import NEVER, Backbone, classifier_of, correct_logits, evaluating, outputs_of
from ..config import register_settings, require
from ..data import Support
from ..pruning import Cost, CostModel
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import ClassPrior, MethodOutput
from .personalizer import Personalizer, Step, register_step


@register_settings("classes")
@dataclass(frozen=True, kw_only=True)
class ClassSettings:
    """The step `+classes`, the person's class prior in place of the training data's (label-shift correction).

    - `rule`: how the prior is estimated on the support set, without labels. `votes`: uniform over the classes that a
      tenth of the samples at least are taken for, which suits persons with few classes; `mean`: the mean prediction;
      `em`: the maximum of the likelihood (Saerens, Latinne, Decaestecker 2002). `told`: uniform over the classes of the
      support's labels, as if the person had ticked them in a list.
    - `by`: whose predictions: those of the network that is `deployed`, or of the `full` one.
    - `cut`: whether classes with prior 0 lose their row of the classifier. Nothing that reads labels can follow.
    - `training_prior`: of the training data, a number for each class; empty: uniform.
    """

    rule: Literal["votes", "mean", "em", "told"] = "votes"
    by: Literal["deployed", "full"] = "deployed"
    cut: bool = False
    training_prior: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for value in self.training_prior:
            require(value > 0, f"classes.training_prior holds {value}: more than 0 for each class")


# Classes that are taken for less of the support set get no vote [choice].
LEAST_SHARE = 0.1
_SMALLEST = 1e-6  # a prior that is less is 0
_CONVERGED, _MOST_STEPS = 1e-7, 10_000


def votes(probabilities: Tensor, _: Tensor) -> Tensor:
    """Return the prior, `(K,)`, that is uniform over classes that at least `LEAST_SHARE` of the samples are taken for.

    Where predictions agree on nothing, so that no class has so many, all classes are as likely.

    ```python
    votes(torch.eye(3)[[0, 0, 2]], torch.ones(3) / 3)  # 0.5, 0.0, 0.5
    ```

    **Arguments:**

    - `probabilities`: `(N, K)`, predictions on the support set.
    """
    count = torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    present = count >= LEAST_SHARE * len(probabilities)
    present |= ~present.any()
    return present / present.sum()


def mean(probabilities: Tensor, _: Tensor) -> Tensor:
    """Return the mean of predictions, `(N, K)`, as the prior, `(K,)`."""
    return probabilities.mean(0)


def em(probabilities: Tensor, training: Tensor) -> Tensor:
    """Return the prior, `(K,)`, under which the support set is most likely (Saerens et al. 2002, equation 2.9).

    **Arguments:**

    - `probabilities`: `(N, K)`, predictions on the support set.
    - `training`: `(K,)`, the prior that these assume.
    """
    likelihood = probabilities.double() / training.double()
    prior = training.double()
    for _ in range(_MOST_STEPS):
        posterior = likelihood * prior
        before, prior = prior, (posterior / posterior.sum(1, keepdim=True)).mean(0)
        if (prior - before).abs().max() < _CONVERGED:
            break
    return prior.to(probabilities.dtype)


def told(labels: Tensor, classes: int) -> Tensor:
    """Return the prior, `(K,)`, that is uniform over the classes of some labels, `(N,)`: what a person knows who ticks
    their classes in a list.

    It is no estimate, and what labels bring beyond it is more than which classes a person has.
    """
    present = torch.bincount(labels, minlength=classes) > 0
    return present / present.sum()


RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"votes": votes, "mean": mean, "em": em}


@register_step("classes")
class ClassPriorStep(Step):
    """Whatever `first` gives, its classifier corrected for the classes of the person.

    Raises `UserError` where `training_prior` is not a number for each class.
    """

    needs = frozenset({"classes"})
    keeps_controls = True
    reads = (ClassSettings,)
    settings: ClassSettings

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first)
        self.reads_labels = first.reads_labels or self.settings.rule == "told"
        self.answers_all = first.answers_all and not self.settings.cut

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` also where the network has no classes to correct for."""
        super().check(backbone, cost)
        try:
            classifier_of(backbone)
        except UserError as error:
            raise UserError(f"method {self.method} cannot be used: {error}") from error
        self._training_prior(len(outputs_of(backbone)))

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        first, own = self.output_of_first(model, support, budget), support.own or support
        if not self.first.answers_all:
            raise UserError(f"method {self.method} corrects what classes.cut has cut: name +classes once")
        found = self._estimated(first.module if self.settings.by == "deployed" else model.full, own)
        module = correct_logits(first.module, found.added, cut=found.cut)
        if not found.cut:
            return first.with_module(module, delta=first.delta, size=_size(first, model, found), classes=found)
        cost = _cut_cost(first, model.cost, len(outputs_of(module)))
        size = None if first.size is None else first.size + found.size
        return first.with_module(module, delta=first.delta, size=size, classes=found, stated_cost=cost)

    def _training_prior(self, classes: int) -> Tensor:
        told = self.settings.training_prior
        if told and len(told) != classes:
            raise UserError(f"classes.training_prior holds {len(told)} numbers for {classes} classes: one for each")
        prior = torch.tensor(told) if told else torch.ones(classes)
        return prior / prior.sum()

    @torch.no_grad()
    def _estimated(self, network: Backbone, own: Support) -> ClassPrior:
        settings = self.settings
        with evaluating(network):
            probabilities = network(own.x).float().softmax(1)  # (N, K)
        training = self._training_prior(probabilities.shape[1]).to(probabilities)
        is_told = settings.rule == "told"
        prior = told(own.y, len(training)) if is_told else RULES[settings.rule](probabilities, training)
        prior = torch.where(prior < _SMALLEST, 0, prior)
        prior = prior / prior.sum()
        added = torch.where(prior > 0, (prior / training).log(), NEVER)
        bits = settings.rule in ("votes", "told")  # which classes, or how much of each
        return ClassPrior(
            prior=prior,
            added=added,
            confidence=1.0 if is_told else float(probabilities.max(1).values.mean()),
            cut=settings.cut and bool((prior > 0).sum() > 1),
            size=-(-len(prior) // 8) if bits else 4 * len(prior),
        )


def _size(first: MethodOutput, model: GlobalModel, found: ClassPrior) -> int | None:
    """Bytes of the person's own file: on the shared network the prior alone; None where the weights have it in them."""
    if first.module is model.full:
        return found.size
    return None if first.size is None else first.size + found.size


def _cut_cost(first: MethodOutput, cost: CostModel, outputs: int) -> Cost:
    """The cost of a network whose classifier has so many outputs, each with a bias."""
    path, layer = classifier_of(first.module)
    whole, features = first.stated_cost or cost(first.module.widths), layer.in_features
    gone = layer.out_features - outputs
    biases = outputs - (0 if layer.bias is None else layer.out_features)
    macs = whole.macs - cost.positions[path] * gone * features
    return Cost(macs=macs, params=whole.params - gone * features + biases)
