"""Static pruning: one smaller network for everybody, chosen by its weights or by some training samples.

| criterion | score of a channel | source |
|---|---|---|
| `l1`, `l2` | sum of its filter's absolute or squared values | Li et al., ICLR 2017; He et al., IJCAI 2018 |
| `bn_scale` | scale of its batch normalization | network slimming: Liu et al., ICCV 2017 |
| `fpgm` | distance of its filter to the others of the layer | He et al., CVPR 2019, equation 6 |
| `lamp` | its squared norm over the sum of those of its layer that are not less | Lee et al., ICLR 2021, equation 2 |
| `taylor` | sum of abs(weight * gradient), Torch-Pruning's form | after Molchanov et al., CVPR 2019 |
| `hessian` | sum of weight^2 * diagonal of the Hessian | LeCun et al., NeurIPS 1989, equation 5 |
| `random` | random number | |

`taylor_support` and `hessian_support` take the person's labelled support set in place of training samples. Each person
gets another network then, so these two are not static.

Scores of different layers are compared relative to the layer's mean (`lamp` is comparable as it is). With the suffix
`_local` layers are not compared: each loses the same fraction of its channels. With `_isomorphic` channels are compared
by their rank among all layers of the same structure (Fang et al., ECCV 2024).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor
from torch_pruning import importance

from ..backbones import Backbone, filters
from ..config import Experiment, register_settings, require
from ..data import Support
from ..gating import Rule
from ..pruning import CostModel, importance_scores, mean_gradients
from ..system.errors import UserError
from ..tasks import TASKS, Task
from .global_model import GlobalModel
from .personalizer import Factory, register_method
from .scores import ScorePruner, relative, uniform


@register_settings("static")
@dataclass(frozen=True, kw_only=True)
class StaticSettings:
    """Static pruning, one smaller network for everybody.

    - `samples`: number of training samples whose gradients `taylor` and `hessian` use.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        require(self.samples >= 1, f"static.samples is {self.samples}: at least 1")


Score = Callable[[Backbone, Support, Task], list[Tensor]]
Scope = Callable[[Backbone, list[Tensor]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A score of channels.

    - `score`: a function of a network, samples and a task; it returns scores per group, `(C_l,)`, comparable between
      groups.
    - `by`: whose samples it reads.
    """

    score: Score
    by: Literal["nobody", "training", "support"] = "nobody"


class StaticPruner(ScorePruner):
    """A method that scores channels by a criterion.

    **Arguments:**

    - `scope`: a function of a network and its scores that makes scores of different layers comparable.
    """

    def __init__(self, method: str, experiment: Experiment, criterion: Criterion, scope: Scope):
        super().__init__(method, experiment)
        self.criterion, self.scope = criterion, scope
        self.reads_labels = criterion.by == "support"
        self.support_from = "own" if self.reads_labels else "none"

    def depends_on(self) -> dict[str, Any]:
        """Return the settings of pruning, and those of static pruning if training samples are read."""
        static = {"static": asdict(self.experiment[StaticSettings])} if self.criterion.by == "training" else {}
        return super().depends_on() | static

    @property
    def training_samples(self) -> int:
        """Number of training samples that the criterion reads."""
        return self.experiment[StaticSettings].samples if self.criterion.by == "training" else 0

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if a group of channels has nothing that a criterion of weights reads.

        Also raise it if the network is too large for the least budget.
        """
        super().check(backbone, cost)
        if self.criterion.by != "nobody":
            return
        try:
            self.criterion.score(backbone, _NOTHING, TASKS["classification"])
        except UserError as error:
            raise UserError(f"method {self.method} cannot be used: {error}") from error

    def scores(self, model: GlobalModel, support: Support, rule: Rule) -> list[Tensor]:
        """Return the criterion's scores per group, `(C_l,)`; they are computed once for all budgets."""
        by, score = self.criterion.by, self.criterion.score
        owner = support if by == "support" else model.train
        samples = {"nobody": _NOTHING, "support": support}[by] if by != "training" else model.samples
        count = self.training_samples if by == "training" else len(samples.x)
        scored_by = Support(x=samples.x[:count], y=samples.y[:count])
        return self.scope(
            model.full, owner.once((score, model.full, count), lambda: score(model.full, scored_by, model.task))
        )


_NOTHING = Support(x=torch.zeros(1), y=torch.zeros(1))


def _by_weights(name: str, **options: object) -> Criterion:
    """Return a criterion of Torch-Pruning that reads weights alone."""

    def score(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
        return importance_scores(backbone, getattr(importance, name)(**options))

    return Criterion(score=score)


def _taylor(backbone: Backbone, samples: Support, task: Task) -> list[Tensor]:
    with mean_gradients(backbone, task, samples.x, samples.y):
        return importance_scores(backbone, importance.GroupTaylorImportance())


def _hessian(backbone: Backbone, samples: Support, task: Task) -> list[Tensor]:
    # Torch-Pruning 1.6 sums the gradients of samples under keys that it does not read, and uses the last sample's only.
    with mean_gradients(backbone, task, samples.x, samples.y, squared=True):
        return importance_scores(backbone, importance.GroupHessianImportance())


def _fpgm(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
    # Torch-Pruning 1.6 takes distances between squared weights instead.
    weights = filters(backbone)
    return relative([torch.cdist(weight, weight).sum(1) for weight in weights])


def _random(backbone: Backbone, _: Support, __: Task) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)  # random initialization makes channels exchangeable
    device = next(backbone.parameters()).device
    return [torch.rand(width, generator=generator).to(device) for width in backbone.widths]


def _local(_: Backbone, scores: list[Tensor]) -> list[Tensor]:
    return uniform(scores)


def _isomorphic(backbone: Backbone, scores: list[Tensor]) -> list[Tensor]:
    same_structure: dict[tuple[type, ...], list[int]] = defaultdict(list)
    for index, group in enumerate(backbone.groups):
        paths = (group.producer, *group.followers, *group.consumers)
        same_structure[tuple(type(backbone.get_submodule(path)) for path in paths)].append(index)
    ranks: dict[int, Tensor] = {}
    for indices in same_structure.values():
        (joint_ranks,) = uniform([torch.cat([scores[i] for i in indices])])
        ranks |= zip(indices, joint_ranks.split([len(scores[i]) for i in indices]), strict=True)
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


def _factory(method: str, criterion: Criterion, scope: Scope) -> Factory:
    return lambda experiment: [StaticPruner(method, experiment, criterion, scope)]


for (_name, _criterion), (_suffix, _scope) in product(CRITERIA.items(), _SCOPES.items()):
    register_method(_name + _suffix)(_factory(_name + _suffix, _criterion, _scope))
