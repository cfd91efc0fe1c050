"""The settings of what is done on a person's support set, behind a method or to the full network."""

from dataclasses import dataclass
from typing import Literal

from .tree import require


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """Fine-tuning on a support set with its labels (the baselines that retrain): Adam, full batches.

    The defaults are the best of a grid on validation persons of the digits.

    - `steps`, `learning_rate`: for the full network.
    - `pruned_steps`, `pruned_learning_rate`: for a network that was pruned before.
    - `layers`: `all`, or the `last` one alone, the classifier.
    - `augment`: random changes of the support set in each step, by name, as of `training.augment`; where samples
      are moved or masked, what is empty is filled with the mean of the training data.
    """

    steps: int = 10
    learning_rate: float = 1e-4
    pruned_steps: int = 80
    pruned_learning_rate: float = 1e-3
    layers: Literal["all", "last"] = "all"
    augment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "pruned_steps"):
            require(getattr(self, name) >= 1, f"finetune.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "pruned_learning_rate"):
            require(getattr(self, name) > 0, f"finetune.{name} is {getattr(self, name)}: more than 0")


@dataclass(frozen=True, kw_only=True)
class BNSettings:
    """The step `+bn`, batch statistics of the support set.

    - `share`: of the support set's statistics, the rest being the training data's.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, f"bn.share is {self.share}: in (0, 1]")


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


@dataclass(frozen=True, kw_only=True)
class TentSettings:
    """The step `+tent`, the entropy of predictions on the support set minimized (Wang et al., ICLR 2021).

    - `steps`, `learning_rate`: Adam, full batches, on the scales and shifts of batch normalization alone.
    """

    steps: int = 10
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"tent.steps is {self.steps}: at least 1")
        require(self.learning_rate > 0, f"tent.learning_rate is {self.learning_rate}: more than 0")


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """The step `+quant`, weights shared by centroids.

    - `bits`: of a weight; a tensor has `2**bits` centroids.
    """

    bits: int = 4

    def __post_init__(self) -> None:
        require(1 <= self.bits <= 8, f"quantize.bits is {self.bits}: 1 to 8")


@dataclass(frozen=True, kw_only=True)
class DiffSettings:
    """Diff pruning on a support set with its labels, full batches: a sparse difference for each person.

    The defaults are the best of a grid on validation persons of the digits.

    - `rates`: fractions of the parameters that differ. The first is that of method `diff`, any other makes a method
      `diff@RATE` of its own.
    - `penalty`: lambda, the price of one difference in the first stage.
    - `groups`: what is priced of the gates of tensors: `sum` or `product`, see `pppl.diff.RelaxedDiff`.
    - `steps`, `learning_rate`: of the first stage, in which gates choose. `gates_way`: how far it can move a gate's
      log_alpha, which begins at 5; a gate is no longer whole below 1.6 and closed below 0. Where the way is shorter,
      magnitudes alone choose.
    - `fixed_steps`, `fixed_learning_rate`: of the second, in which the chosen are trained on.
    """

    rates: tuple[float, ...] = (0.005,)
    penalty: float = 1.25e-7
    groups: Literal["product", "sum"] = "sum"
    steps: int = 20
    learning_rate: float = 1e-2
    gates_way: float = 12.0
    fixed_steps: int = 20
    fixed_learning_rate: float = 3e-2

    def __post_init__(self) -> None:
        require(len(self.rates) > 0, "diff.rates is empty: name at least one")
        for rate in self.rates:
            require(0 < rate <= 1, f"diff.rates holds {rate}: a rate is a fraction in (0, 1]")
        require(len(set(self.rates)) == len(self.rates), f"diff.rates is {list(self.rates)}: name each once")
        require(self.penalty >= 0, f"diff.penalty is {self.penalty}: 0 or more")
        for name in ("steps", "fixed_steps"):
            require(getattr(self, name) >= 1, f"diff.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "gates_way", "fixed_learning_rate"):
            require(getattr(self, name) > 0, f"diff.{name} is {getattr(self, name)}: more than 0")
