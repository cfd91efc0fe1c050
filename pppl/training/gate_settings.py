"""How gates are trained: for each sample, or for a person at a time."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from ..config import register_settings, require


@register_settings("ppp", trains_gates=True)
@dataclass(frozen=True, kw_only=True)
class PPPSettings:
    """Gates and losses of Prototype-based Personalized Pruning (Kim et al., ICASSP 2021).

    Of the paper's text only the abstract and the introduction were at hand, so each of these is our choice.

    - `gate_width`: hidden units of a gate.
    - `temperature`: of the binary concrete relaxation.
    - `gate_speed`: the gates' learning rate, as a multiple of the backbone's; more than 1 where that starts from
      weights that it should keep.
    - `target_rate`, `target_weight`: tau and alpha of the target-rate loss.
    - `prototype_weight`, `prototype_scale`: beta and scale of the prototype loss; `gated` trains with beta 0.
    - `prototypes`: `parallel` takes all gates from one pass; `sequential` prunes layer by layer.
    - `epochs`: of training, in place of those of the full network; 0: the same.
    - `training`: `samples`: every sample of a batch has gates of its own, and what is above holds. `persons` goes
      beyond the paper: gates are trained for a person at a time, as section `person_training` says.
    """

    gate_width: int = 16
    temperature: float = 2 / 3
    gate_speed: float = 1.0
    target_rate: float = 0.3
    target_weight: float = 1.0
    prototype_weight: float = 0.1
    prototype_scale: float = 30.0
    prototypes: Literal["parallel", "sequential"] = "parallel"
    epochs: int = 0
    training: Literal["samples", "persons"] = "samples"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"ppp.epochs is {self.epochs}: 0 (as many as the full network) or more")
        require(self.gate_width >= 1, f"ppp.gate_width is {self.gate_width}: at least 1")
        require(self.temperature > 0, f"ppp.temperature is {self.temperature}: more than 0")
        require(self.gate_speed > 0, f"ppp.gate_speed is {self.gate_speed}: more than 0")
        require(0 < self.target_rate <= 1, f"ppp.target_rate is {self.target_rate}: in (0, 1]")
        require(0 < self.prototype_scale < inf, f"ppp.prototype_scale is {self.prototype_scale}: more than 0")
        require(self.target_weight >= 0, f"ppp.target_weight is {self.target_weight}: 0 or more")
        require(self.prototype_weight >= 0, f"ppp.prototype_weight is {self.prototype_weight}: 0 or more")


@register_settings("person_training", trains_gates=True)
@dataclass(frozen=True, kw_only=True)
class PersonTraining:
    """`ppp.training: persons`, training as in deployment: batches are made of synthetic persons, each of
    whom has a support set, a budget and, in the whole forward pass, the one mask that personalizing makes of these.

    This goes beyond the paper. The defaults come of 49 trials on validation persons, most of them of Arabic keywords.

    - `gate_input`: what gates see: `predictions`, what the full network takes the support samples for, on average;
      `layers`, each layer's own input, as of gates for each sample; `nothing`, so that everybody gets the same mask.
    - `warm_start`: whether training begins with the full network's weights, not with random ones.
    - `epochs`, `learning_rate`: in place of those in `training`.
    - `persons`, `queries`: of a batch, and samples of each person besides their support set. 0 persons: as many as make
      a batch of `training.batch_size`, so that gates take as many steps as the full network in as many epochs.
    - `classes`: how many a person has, one of these numbers; without any, as `persons` says. 0: all.
    - `least`, `most`: between these a person's budget is drawn, uniformly on a logarithmic scale. A larger one that is
      asked for later is filled up to `most` only, since more channels than in training do harm; to a smaller one those
      channels are kept that would be the best of `least`.
    - `gate_width`, `temperature`: hidden units of the gates, and how steep their relaxation is.
    - `distillation`: weight of the divergence from the full network's predictions (Hinton et al. 2015).
    - `prototype_weight`, `prototype_scale`: of the prototype loss between persons; with `gated` its weight is 0.
    - `precision`: of training, as Lightning names it; `auto`: bf16 where there is a GPU. `bf16-mixed` pays on
      processors that multiply it (Intel's AMX), too, for networks that are not tiny.
    """

    gate_input: Literal["predictions", "layers", "nothing"] = "predictions"
    warm_start: bool = True
    epochs: int = 60
    learning_rate: float = 1e-2
    persons: int = 0
    queries: int = 8
    classes: tuple[int, ...] = ()
    least: float = 0.045
    most: float = 0.6
    gate_width: int = 64
    temperature: float = 2.0
    distillation: float = 1.0
    prototype_weight: float = 2.0
    prototype_scale: float = 30.0
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "queries", "gate_width"):
            require(getattr(self, name) >= 1, f"person_training.{name} is {getattr(self, name)}: at least 1")
        wanted = "at least 2, which the prototype loss compares, or 0 (as many as fit)"
        require(self.persons == 0 or self.persons >= 2, f"person_training.persons is {self.persons}: {wanted}")
        require(
            len(set(self.classes)) == len(self.classes),
            f"person_training.classes is {list(self.classes)}: name each once",
        )
        require(min(self.classes, default=0) >= 0, f"person_training.classes is {list(self.classes)}: 0 (all) or more")
        require(
            0 < self.least < self.most, f"person_training.least is {self.least}: above 0, below person_training.most"
        )
        require(self.most <= 1, f"person_training.most is {self.most}: at most 1")
        for name in ("learning_rate", "temperature", "prototype_scale"):
            require(getattr(self, name) > 0, f"person_training.{name} is {getattr(self, name)}: more than 0")
        for name in ("distillation", "prototype_weight"):
            require(getattr(self, name) >= 0, f"person_training.{name} is {getattr(self, name)}: 0 or more")

    def persons_of(self, batch_size: int) -> int:
        """Return how many persons a batch has, where the full network's has `batch_size` samples."""
        return self.persons or max(2, batch_size // self.queries)

    def capped(self, budget: float) -> float:
        """What is used of a budget: more channels than in training do harm."""
        return min(budget, self.most)
