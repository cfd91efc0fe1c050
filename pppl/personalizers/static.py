"""Static pruning: one smaller network for everybody, by its weights or by some training samples.

| criterion | score of a channel | source |
|---|---|---|
| `l1`, `l2` | sum of its filter's absolute or squared values | Li et al., ICLR 2017; He et al., IJCAI 2018 |
| `bn_scale` | scale of its batch normalization | network slimming: Liu et al., ICCV 2017 |
| `fpgm` | distance of its filter to the others of the layer | He et al., CVPR 2019, equation 6 |
| `lamp` | share among those of its layer that are not less | Lee et al., ICLR 2021, equation 2 |
| `taylor` | sum of abs(weight * gradient), Torch-Pruning's form | after Molchanov et al., CVPR 2019 |
| `hessian` | sum of weight^2 * diagonal of the Hessian | LeCun et al., NeurIPS 1989, equation 5 |
| `random` | by lot | |

`taylor_support` and `hessian_support` take the person's labelled support set in place of training samples: a network
for each person, which is no static pruning any more.

Layers are compared by score over the layer's mean (`lamp` compares by itself), or, `_local`, not at all: each loses the
same fraction; or, `_isomorphic`, by rank among the layers of the same structure (Fang et al., ECCV 2024).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor
from torch_pruning import importance

from ..backbones import Backbone
from ..config import Experiment, register_settings, require
from ..data import Support
from ..gating import Rule
from ..pruning import CostModel, filters, importance_scores, mean_gradients
from ..system.errors import UserError
from ..tasks import TASKS, Task
from .global_model import GlobalModel
from .personalizer import Factory, ScorePruner, register_method
from .scores import relative, uniform


@register_settings("static")
@dataclass(frozen=True, kw_only=True)
class StaticSettings:
    """Static pruning, one smaller network for everybody.

    - `samples`: training samples by whose gradients `taylor` and `hessian` score channels.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        require(self.samples >= 1, f"static.samples is {self.samples}: at least 1")


Score = Callable[[Backbone, Support, Task], list[Tensor]]
Scope = Callable[[Backbone, list[Tensor]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """How channels are scored.

    - `score`: of a network and samples, per group `(C_l,)`, layers comparable.
    - `by`: whose samples it looks at.
    """

    score: Score
    by: Literal["nobody", "training", "support"] = "nobody"


class StaticPruner(ScorePruner):
    """Scores channels by a criterion and compares layers by `scope`."""

    def __init__(self, method: str, experiment: Experiment, criterion: Criterion, scope: Scope):
        super().__init__(method, experiment)
        self.criterion, self.scope = criterion, scope
        self.reads_labels = criterion.by == "support"
        self.support_from = "own" if self.reads_labels else "none"

    def depends_on(self) -> dict[str, Any]:
        """How many training samples are looked at, too."""
        told = {"static": asdict(self.experiment[StaticSettings])} if self.criterion.by == "training" else {}
        return super().depends_on() | told

    @property
    def training_samples(self) -> int:
        """How many samples score channels, where training samples do."""
        return self.experiment[StaticSettings].samples if self.criterion.by == "training" else 0

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raises `UserError` also where a group of channels has nothing that the criterion looks at."""
        super().check(backbone, cost)
        if self.criterion.by != "nobody":
            return
        try:
            self.criterion.score(backbone, _NOTHING, TASKS["classification"])
        except UserError as error:
            raise UserError(f"method {self.method} cannot be used: {error}") from error

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        by, score = self.criterion.by, self.criterion.score
        kept_by = support if by == "support" else model.train
        samples = {"nobody": _NOTHING, "support": support}[by] if by != "training" else model.samples
        count = self.training_samples if by == "training" else len(samples.x)
        looked_at = Support(x=samples.x[:count], y=samples.y[:count])
        return self.scope(
            model.full, kept_by.once((score, model.full, count), lambda: score(model.full, looked_at, model.task))
        )


_NOTHING = Support(x=torch.zeros(1), y=torch.zeros(1))


def _by_weights(name: str, **options: object) -> Criterion:
    """A criterion of Torch-Pruning that looks at weights alone."""

    def score(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
        return importance_scores(backbone, getattr(importance, name)(**options))

    return Criterion(score=score)


def _taylor(backbone: Backbone, samples: Support, task: Task) -> list[Tensor]:
    with mean_gradients(backbone, task, samples.x, samples.y):
        return importance_scores(backbone, importance.GroupTaylorImportance())


def _hessian(backbone: Backbone, samples: Support, task: Task) -> list[Tensor]:
    # Torch-Pruning 1.6 adds samples' gradients up under keys that it looks for by other ones, so that the last counts.
    with mean_gradients(backbone, task, samples.x, samples.y, squared=True):
        return importance_scores(backbone, importance.GroupHessianImportance())


def _fpgm(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
    # Torch-Pruning 1.6 has distances of squared weights.
    weights = filters(backbone)
    return relative([torch.cdist(weight, weight).sum(1) for weight in weights])


def _random(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)  # the network's own seed makes its channels exchangeable
    device = next(backbone.parameters()).device
    return [torch.rand(width, generator=generator).to(device) for width in backbone.widths]


def _local(_: Backbone, scores: list[Tensor]) -> list[Tensor]:
    return uniform(scores)


def _isomorphic(backbone: Backbone, scores: list[Tensor]) -> list[Tensor]:
    alike: dict[tuple[type, ...], list[int]] = defaultdict(list)
    for index, group in enumerate(backbone.groups):
        paths = (group.producer, *group.followers, *group.consumers)
        alike[tuple(type(backbone.get_submodule(path)) for path in paths)].append(index)
    ranks: dict[int, Tensor] = {}
    for indices in alike.values():
        (together,) = uniform([torch.cat([scores[i] for i in indices])])
        ranks |= zip(indices, together.split([len(scores[i]) for i in indices]), strict=True)
    return [ranks[i] for i in range(len(scores))]


CRITERIA = {
    "l1": _by_weights("MagnitudeImportance", p=1, group_reduction="first"),
    "l2": _by_weights("MagnitudeImportance", p=2, group_reduction="first"),
    "bn_scale": _by_weights("BNScaleImportance"),
    "fpgm": Criterion(score=_fpgm),
    "lamp": _by_weights("LAMPImportance"),
    "taylor": Criterion(score=_taylor, by="training"),
    "hessian": Criterion(score=_hessian, by="training"),
    "taylor_support": Criterion(score=_taylor, by="support"),
    "hessian_support": Criterion(score=_hessian, by="support"),
    "random": Criterion(score=_random),
}
_SCOPES: dict[str, Scope] = {"": lambda _, scores: scores, "_local": _local, "_isomorphic": _isomorphic}


def _alone(method: str, criterion: Criterion, scope: Scope) -> Factory:
    return lambda experiment: [StaticPruner(method, experiment, criterion, scope)]


for (_name, _criterion), (_suffix, _scope) in product(CRITERIA.items(), _SCOPES.items()):
    register_method(_name + _suffix)(_alone(_name + _suffix, _criterion, _scope))
