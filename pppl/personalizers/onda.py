"""`onda_*`: channels pruned and weights tuned on the device, by pseudo-labels of the person's samples.

OnDA (Risso, Burrello, Jahier Pagliari, 2026; arXiv 2603.02247) prunes a keyword spotter by a criterion that looks at
weights only, global L1, or at pseudo-labelled user data, HAP (Yu et al., WACV 2022), and fine-tunes it on that data,
after pruning or before it as well (`_tpt`: tune, prune, tune). Its 300 random probes of the Hessian are an exact trace
here, see `pppl.pruning.hessian`.

Of the paper only abstract and introduction were at hand. Our choices: pseudo-labels are the full network's own, or
those of the nearest class prototype (as in SHOT: Liang, Hu, Feng, ICML 2020, equations 4 and 5); training is that of
`finetune`; channels are kept by their scores up to a budget, over the whole network as in the paper or in every layer
alike (`onda.scope`).
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backbones import Backbone, split_classifier
from ..config import Experiment, register_settings
from ..data import Support
from ..pruning import filter_traces, filters, slice_network
from ..training import finetune
from .finetune import FinetuneSettings
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Factory, Personalizer, register_method
from .scores import uniform
from .static import CRITERIA


@register_settings("onda")
@dataclass(frozen=True, kw_only=True)
class OnDASettings:
    """`onda_*`, pruning and fine-tuning by pseudo-labels.

    - `labels`: `model`, what the full network takes a sample for; `prototypes`, the class whose prototype is nearest.
    - `scope`: `global` compares channels of all layers by their scores; `local` takes the same fraction of every layer.
    """

    labels: Literal["model", "prototypes"] = "model"
    scope: Literal["global", "local"] = "global"


class OnDAPruner(Personalizer):
    """Prunes and fine-tunes on pseudo-labels; the person's labels are never read."""

    needs = frozenset({"classes"})
    reads = (OnDASettings, FinetuneSettings)
    settings: OnDASettings

    def __init__(self, method: str, experiment: Experiment, criterion: Literal["hap", "l1"], *, tune_first: bool):
        super().__init__(method, experiment)
        self.criterion, self.tune_first = criterion, tune_first

    @property
    def steps(self) -> int:
        """Full batches of the support set, before pruning (`_tpt`) and after."""
        config = self.experiment[FinetuneSettings]
        return config.pruned_steps + config.steps * self.tune_first

    def depends_on(self) -> dict[str, Any]:
        """What a budget counts, and how it labels, scores and tunes."""
        return {"pruning": asdict(self.experiment.pruning)} | super().depends_on()

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        config, seen = self.experiment[FinetuneSettings], 0
        support, network = self._labelled(model, support), model.full
        if self.tune_first:
            key = ("tuned", self.settings.labels, config.steps, config.learning_rate, model.full)
            network, seen = support.once(key, lambda: self._tuned(model, support))
        scores = support.once(("scores", self.criterion, network), lambda: self._score(model, network, support))
        if self.settings.scope == "local":
            scores = uniform(scores)
        masks = self.masks_within(budget, scores, model.cost)
        pruned = slice_network(network, masks)
        tuned, samples = finetune(
            pruned, support, model.task, steps=config.pruned_steps, learning_rate=config.pruned_learning_rate
        )
        return MethodOutput(module=pruned, masks=masks).with_module(tuned, samples=seen + samples)

    def _labelled(self, model: GlobalModel, support: Support) -> Support:
        label = {"model": _predicted, "prototypes": _of_nearest_prototype}[self.settings.labels]
        return replace(support, y=support.once((label, model.full), lambda: label(model.full, support.x)))

    def _tuned(self, model: GlobalModel, support: Support) -> tuple[Backbone, int]:
        config = self.experiment[FinetuneSettings]
        tuned, seen = finetune(model.full, support, model.task, steps=config.steps, learning_rate=config.learning_rate)
        return cast(Backbone, tuned), seen

    def _score(self, model: GlobalModel, network: Backbone, support: Support) -> list[Tensor]:
        return (
            CRITERIA["l1"].score(network, support, model.task)
            if self.criterion == "l1"
            else hap_scores(network, support.x)
        )


def hap_scores(network: Backbone, x: Tensor) -> list[Tensor]:
    """Trace of a filter's Hessian block times its mean squared weight, over 2: what setting it to zero costs if the
    block were a multiple of the identity (HAP, section 3.2). Per group `(C_l,)`.
    """
    traces = filter_traces(network, x)
    weights = filters(network)
    return [trace / 2 * weight.square().mean(1) for trace, weight in zip(traces, weights, strict=True)]


@torch.no_grad()
def _predicted(network: Backbone, x: Tensor) -> Tensor:
    return network(x).argmax(1)


@torch.no_grad()
def _of_nearest_prototype(network: Backbone, x: Tensor) -> Tensor:
    """Labels `(N,)` by the cosine to class prototypes: features' means weighted by the network's probabilities."""
    features, logits = split_classifier(network, x)
    probabilities = logits.softmax(1)  # (N, K)
    prototypes = F.normalize(probabilities.T @ F.normalize(features))  # (K, D)
    present = probabilities.argmax(1).unique()  # a class that no sample is taken for has no prototype worth the name
    return present[(F.normalize(features) @ prototypes[present].T).argmax(1)]


def _factory(method: str, criterion: Literal["hap", "l1"], tune_first: bool) -> Factory:
    return lambda experiment: [OnDAPruner(method, experiment, criterion, tune_first=tune_first)]


_HAP: Literal["hap"] = "hap"
_L1: Literal["l1"] = "l1"
for _criterion in (_HAP, _L1):
    for _suffix, _first in (("", False), ("_tpt", True)):
        _name = f"onda_{_criterion}{_suffix}"
        register_method(_name)(_factory(_name, _criterion, _first))
