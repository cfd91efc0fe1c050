"""The step `+classes`: the person's class prior in place of the training data's; no label is read, nothing is trained.

The predictions on the support set show which of the classes a person uses. Logits become
`logit_c + log q_c - log pi_c`, with the training data's prior pi and the person's prior q (Saerens, Latinne,
Decaestecker, Neural Computation 2002). This gain costs nothing, so the gain of any personal network is compared with
it. The correction is a bias of the classifier: a personal network stays a plain network in every form.

The step does harm if predictions on the support set are wrong; `ClassPrior.confidence` is their mean probability. The
rule `votes` also harms persons who have most of the classes: it can only leave out a class that they have.
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

    - `rule`: how the prior is estimated on the support set. Without labels: `votes` is uniform over the classes that
      are predicted for not much fewer samples than predicted classes are on average, which suits persons with few
      classes; `mean` is the mean prediction; `em` maximizes the likelihood (Saerens, Latinne, Decaestecker 2002). With
      labels: `told` is uniform over the classes of the support set, as if the person had ticked them in a list.
    - `by`: the network that predicts: `full`, which is there where a person's network is made, or `deployed`.
    - `cut`: whether classes with prior 0 lose their row of the classifier. No step that reads labels can follow.
    - `training_prior`: the prior of the training data, a number for each class; empty: uniform.
    """

    rule: Literal["votes", "mean", "em", "told"] = "votes"
    by: Literal["full", "deployed"] = "full"
    cut: bool = False
    training_prior: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for value in self.training_prior:
            require(value > 0, f"classes.training_prior holds {value}: more than 0 for each class")


# A class that is predicted for a smaller part of the samples that predicted classes have on average has prior 0. Of
# 0.3, 0.4 and 0.5 it had the highest accuracy on validation persons with 3 and 10 of 40 keywords; a fixed share of the
# samples, a tenth, left out classes of persons who have ten [choice].
LEAST_PART = 0.4
_SMALLEST = 1e-6  # a smaller prior counts as 0
_CONVERGED, _MOST_STEPS = 1e-7, 10_000


def votes(probabilities: Tensor, _: Tensor) -> Tensor:
    """Return the prior, `(K,)`, that is uniform over classes with enough samples predicted for them.

    Enough is `LEAST_PART` of the samples of a class that is predicted at all, on average.

    ```python
    votes(torch.eye(3)[[0, 0, 2]], torch.ones(3) / 3)  # 0.5, 0.0, 0.5
    ```

    **Arguments:**

    - `probabilities`: `(N, K)`, predictions on the support set.
    """
    count = torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    present = count * (count > 0).sum() >= LEAST_PART * len(probabilities)
    return present / present.sum()


def mean(probabilities: Tensor, _: Tensor) -> Tensor:
    """Return the mean prediction as the prior, `(K,)`.

    **Arguments:**

    - `probabilities`: `(N, K)`, predictions on the support set.
    """
    return probabilities.mean(0)


def em(probabilities: Tensor, training: Tensor) -> Tensor:
    """Return the prior, `(K,)`, under which the support set is most likely (Saerens et al. 2002, equation 2.9).

    **Arguments:**

    - `probabilities`: `(N, K)`, predictions on the support set.
    - `training`: `(K,)`, the prior of the training data, which the predictions assume.
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
    """Return the prior, `(K,)`, that is uniform over the classes that occur in `labels`, `(N,)`.

    It is exact, not an estimate: the knowledge of a person who ticks their classes in a list. A method that gains more
    from labels learns more from them than which classes a person has.
    """
    present = torch.bincount(labels, minlength=classes) > 0
    return present / present.sum()


RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"votes": votes, "mean": mean, "em": em}


@register_step("classes")
class ClassPriorStep(Step):
    """The network of `first` with its classifier corrected for the classes of the person."""

    needs = frozenset({"classes"})
    keeps_controls = True
    reads = (ClassSettings,)
    settings: ClassSettings

    def __init__(self, method: str, first: Personalizer):
        super().__init__(method, first)
        self.reads_labels = first.reads_labels or self.settings.rule == "told"
        self.answers_all = first.answers_all and not self.settings.cut

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if the network ends in no classifier, or if `training_prior` has another number of classes.

        Also raise it if `first` cannot work on such a network.
        """
        super().check(backbone, cost)
        try:
            classifier_of(backbone)
        except UserError as error:
            raise UserError(f"method {self.method} cannot be used: {error}") from error
        self._training_prior(len(outputs_of(backbone)))

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network of `first` with the log ratio of the priors added to its logits.

        Raise `UserError` if a step before has cut classes.
        """
        first, own = self.output_of_first(model, support, budget), support.own or support
        if not self.first.answers_all:
            raise UserError(f"method {self.method} follows a step +classes that cut the classifier: use +classes once")
        estimate = self._estimate(first.module if self.settings.by == "deployed" else model.full, own)
        module = correct_logits(first.module, estimate.added, cut=estimate.cut)
        if not estimate.cut:
            return first.with_module(module, delta=first.delta, size=_size(first, model, estimate), classes=estimate)
        cost = _cut_cost(first, model.cost, len(outputs_of(module)))
        size = None if first.size is None else first.size + estimate.size
        return first.with_module(module, delta=first.delta, size=size, classes=estimate, stated_cost=cost)

    def _training_prior(self, classes: int) -> Tensor:
        given = self.settings.training_prior
        if given and len(given) != classes:
            raise UserError(
                f"classes.training_prior holds {len(given)} numbers for {classes} classes: give one number per class"
            )
        prior = torch.tensor(given) if given else torch.ones(classes)
        return prior / prior.sum()

    @torch.no_grad()
    def _estimate(self, network: Backbone, own: Support) -> ClassPrior:
        settings = self.settings
        with evaluating(network):
            probabilities = network(own.x).float().softmax(1)  # (N, K)
        training = self._training_prior(probabilities.shape[1]).to(probabilities)
        from_labels = settings.rule == "told"
        prior = told(own.y, len(training)) if from_labels else RULES[settings.rule](probabilities, training)
        prior = torch.where(prior < _SMALLEST, 0, prior)
        prior = prior / prior.sum()
        added = torch.where(prior > 0, (prior / training).log(), NEVER)
        is_uniform = settings.rule in ("votes", "told")  # a bit per class is enough; other priors need a number
        return ClassPrior(
            prior=prior,
            added=added,
            confidence=1.0 if from_labels else float(probabilities.max(1).values.mean()),
            cut=settings.cut and bool((prior > 0).sum() > 1),
            size=-(-len(prior) // 8) if is_uniform else 4 * len(prior),
        )


def _size(first: MethodOutput, model: GlobalModel, estimate: ClassPrior) -> int | None:
    """Return the bytes of the person's own file, or None if its size follows from the weights.

    On the shared network that is the prior alone.
    """
    if first.module is model.full:
        return estimate.size
    return None if first.size is None else first.size + estimate.size


def _cut_cost(first: MethodOutput, cost: CostModel, outputs: int) -> Cost:
    """Return the cost of the network of `first` with a classifier of `outputs` outputs, each with a bias."""
    path, layer = classifier_of(first.module)
    whole, features = first.stated_cost or cost(first.module.widths), layer.in_features
    removed = layer.out_features - outputs
    biases = outputs - (0 if layer.bias is None else layer.out_features)
    macs = whole.macs - cost.positions[path] * removed * features
    return Cost(macs=macs, params=whole.params - removed * features + biases)
