"""`onda_*`: pruning and fine-tuning on the device, with pseudo-labels of the person's samples.

OnDA (Risso, Burrello, Jahier Pagliari, 2026; arXiv 2603.02247) prunes a keyword spotter by one of two criteria: global
L1, which reads weights only, or HAP (Yu et al., WACV 2022), which reads pseudo-labelled user data. It fine-tunes the
network on that data after pruning, or before pruning as well (`_tpt`: tune, prune, tune). Its 300 random probes of the
Hessian are an exact trace here, see `pppl.pruning.hessian`.

Only the paper's abstract and introduction were available. Our choices: pseudo-labels are the full network's predictions
or the nearest class prototype (as in SHOT: Liang, Hu, Feng, ICML 2020, equations 4 and 5). Training is that of
`finetune`. Channels are kept by their scores up to a budget, over the whole network as in the paper, or the same
fraction of every layer (`onda.scope`).
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backbones import Backbone, filters, slice_network, split_classifier
from ..config import Experiment, register_settings
from ..data import Support
from ..pruning import filter_traces
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

    - `labels`: `model`, the full network's predictions; `prototypes`, the class with the nearest prototype.
    - `scope`: `global` compares scores of channels of all layers; `local` keeps the same fraction of every layer.
    """

    labels: Literal["model", "prototypes"] = "model"
    scope: Literal["global", "local"] = "global"


class OnDAPruner(Personalizer):
    """A method that prunes and fine-tunes on pseudo-labels; the person's labels are never read.

    **Arguments:**

    - `criterion`: the score of channels.
    - `tune_first`: whether the full network is fine-tuned before pruning, too.
    """

    needs = frozenset({"classes"})
    reads = (OnDASettings, FinetuneSettings)
    settings: OnDASettings

    def __init__(self, method: str, experiment: Experiment, criterion: Literal["hap", "l1"], *, tune_first: bool):
        super().__init__(method, experiment)
        self.criterion, self.tune_first = criterion, tune_first

    @property
    def steps(self) -> int:
        """Number of training steps, on full batches of the support set, before pruning (`_tpt`) and after."""
        config = self.experiment[FinetuneSettings]
        return config.pruned_steps + config.steps * self.tune_first

    def depends_on(self) -> dict[str, Any]:
        """Return the settings of pruning, labelling, scoring and fine-tuning, by section."""
        return {"pruning": asdict(self.experiment.pruning)} | super().depends_on()

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return the network that is pruned by pseudo-labels and then fine-tuned on them."""
        config, samples_before = self.experiment[FinetuneSettings], 0
        support, network = self._label(model, support), model.full
        if self.tune_first:
            key = ("tuned", self.settings.labels, config.steps, config.learning_rate, model.full)
            network, samples_before = support.once(key, lambda: self._tune(model, support))
        scores = support.once(("scores", self.criterion, network), lambda: self._score(model, network, support))
        if self.settings.scope == "local":
            scores = uniform(scores)
        masks = self.masks_within(budget, scores, model.cost)
        pruned = slice_network(network, masks)
        tuned, samples = finetune(
            pruned, support, model.task, steps=config.pruned_steps, learning_rate=config.pruned_learning_rate
        )
        return MethodOutput(module=pruned, masks=masks).with_module(tuned, samples=samples_before + samples)

    def _label(self, model: GlobalModel, support: Support) -> Support:
        label = {"model": _predicted, "prototypes": _of_nearest_prototype}[self.settings.labels]
        return replace(support, y=support.once((label, model.full), lambda: label(model.full, support.x)))

    def _tune(self, model: GlobalModel, support: Support) -> tuple[Backbone, int]:
        config = self.experiment[FinetuneSettings]
        tuned, samples = finetune(
            model.full, support, model.task, steps=config.steps, learning_rate=config.learning_rate
        )
        return cast(Backbone, tuned), samples

    def _score(self, model: GlobalModel, network: Backbone, support: Support) -> list[Tensor]:
        return (
            CRITERIA["l1"].score(network, support, model.task)
            if self.criterion == "l1"
            else hap_scores(network, support.x)
        )


def hap_scores(network: Backbone, x: Tensor) -> list[Tensor]:
    """Return HAP scores per group, `(C_l,)`, from samples `(N, C, ...)` (HAP, section 3.2).

    The score is half the trace of the filter's Hessian block times its mean squared weight. If the block is a multiple
    of the identity, this is the increase of the loss when the filter is set to zero.
    """
    traces = filter_traces(network, x)
    weights = filters(network)
    return [trace / 2 * weight.square().mean(1) for trace, weight in zip(traces, weights, strict=True)]


@torch.no_grad()
def _predicted(network: Backbone, x: Tensor) -> Tensor:
    return network(x).argmax(1)


@torch.no_grad()
def _of_nearest_prototype(network: Backbone, x: Tensor) -> Tensor:
    """Return the class, `(N,)`, whose prototype has the largest cosine to each sample's features.

    Prototypes are means of features weighted by the network's probabilities.
    """
    features, logits = split_classifier(network, x)
    probabilities = logits.softmax(1)  # (N, K)
    prototypes = F.normalize(probabilities.T @ F.normalize(features))  # (K, D)
    present = probabilities.argmax(1).unique()  # other classes have no sample to make a prototype of
    return present[(F.normalize(features) @ prototypes[present].T).argmax(1)]


def _factory(method: str, criterion: Literal["hap", "l1"], tune_first: bool) -> Factory:
    return lambda experiment: [OnDAPruner(method, experiment, criterion, tune_first=tune_first)]


_HAP: Literal["hap"] = "hap"
_L1: Literal["l1"] = "l1"
for _criterion in (_HAP, _L1):
    for _suffix, _first in (("", False), ("_tpt", True)):
        _name = f"onda_{_criterion}{_suffix}"
        register_method(_name)(_factory(_name, _criterion, _first))
