"""Settings of the training of gates, by samples or by persons."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from ..config import register_settings, require


@register_settings("ppp", trains_gates=True)
@dataclass(frozen=True, kw_only=True)
class PPPSettings:
    """Gates and losses of Prototype-based Personalized Pruning (Kim et al., ICASSP 2021).

    Only the paper's abstract and introduction were available, so each of these settings is our choice.

    - `gate_width`: hidden units of a gate.
    - `temperature`: temperature of the binary concrete relaxation.
    - `gate_speed`: the gates' learning rate as a multiple of the backbone's. Choose more than 1 if the backbone starts
      from weights that it should keep.
    - `target_rate`: tau, the share of a layer's channels that the target-rate loss wants open.
    - `target_weight`: alpha, the weight of the target-rate loss.
    - `prototype_weight`: beta, the weight of the prototype loss; `gated` trains with 0.
    - `prototype_scale`: what squared distances to prototypes are multiplied by in the prototype loss.
    - `prototypes`: `parallel` takes all gates from one forward pass; `sequential` prunes layer by layer.
    - `epochs`: number of epochs; 0: as many as the full network.
    - `training`: with `samples`, every sample of a batch has its own gates, trained by the settings above. `persons`
      goes beyond the paper: gates are trained for one person at a time, by the settings of section `person_training`.
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
    """`ppp.training: persons`, training as in deployment, on batches of synthetic persons.

    Each person has a support set and a budget, of which personalizing makes one mask for the whole forward pass.
    This goes beyond the paper. The defaults come from 49 trials on validation persons, most of them of Arabic keywords.

    - `gate_input`: the input of the gates. `predictions`: the full network's mean prediction on the support set;
      `channels`: also how the activity of its channels differs from what is usual for these predictions; `layers`: the
      input of each layer, as for gates trained by samples; `nothing`: everybody gets the same mask.
    - `corrected`: whether the loss is on outputs corrected for the person's classes, as `+classes` corrects them.
    - `start`: the masks that training begins with. `random`: gates have random weights, and noise that fades lets
      channels compete. `l1`: everybody has the channels of the largest weights in each layer, without noise, and gates
      learn what to change for whom; a small `gate_speed` suits it.
    - `warm_start`: whether training begins with the full network's weights instead of random ones.
    - `epochs`: number of epochs, in place of `training.epochs`.
    - `learning_rate`: the peak of the learning rate, in place of `training.learning_rate`.
    - `gate_speed`: the gates' learning rate as a multiple of the backbone's, as in section `ppp`.
    - `persons`: number of persons in a batch; 0: as many as make a batch of `training.batch_size`, so that gates take
      as many steps per epoch as the full network.
    - `queries`: samples of each person in addition to the support set.
    - `classes`: numbers of classes that a person may have, one of which is drawn (0: all classes); empty: as in section
      `persons`.
    - `least`: the smallest budget in training, where budgets are drawn uniformly on a logarithmic scale. For smaller
      ones the gates rank channels as for `least`.
    - `most`: the largest budget in training. Larger ones are cut to `most` later, because more channels than in
      training do harm.
    - `gate_width`: hidden units of the gates.
    - `temperature`: the temperature of the gates' relaxation.
    - `distillation`: weight of the divergence from the full network's predictions (Hinton et al. 2015).
    - `prototype_weight`: the weight of the prototype loss between persons; `gated` trains with 0.
    - `prototype_scale`: what squared distances to prototypes are multiplied by in that loss.
    - `code_steps`: steps in which a new person's code, what gates read of them, is moved until predictions on their
      support set are sure and varied; 0: the code stays as it was read.
    - `code_rate`: the learning rate of these steps.
    - `precision`: precision of training, as Lightning names it; `auto`: bf16 if there is a GPU. `bf16-mixed` also pays
      on processors that multiply bf16 (Intel's AMX), for networks that are not tiny.
    """

    gate_input: Literal["predictions", "channels", "layers", "nothing"] = "predictions"
    corrected: bool = False
    start: Literal["random", "l1"] = "random"
    warm_start: bool = True
    epochs: int = 60
    learning_rate: float = 1e-2
    gate_speed: float = 1.0
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
    code_steps: int = 0
    code_rate: float = 0.1
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "queries", "gate_width"):
            require(getattr(self, name) >= 1, f"person_training.{name} is {getattr(self, name)}: at least 1")
        wanted = "at least 2, which the prototype loss compares, or 0 (as many as fit)"
        require(self.persons == 0 or self.persons >= 2, f"person_training.persons is {self.persons}: {wanted}")
        require(
            self.start == "random" or self.gate_input != "layers",
            "person_training.start is l1, which gates on each layer's input cannot have: set gate_input to predictions",
        )
        require(self.code_steps >= 0, f"person_training.code_steps is {self.code_steps}: 0 or more")
        require(
            self.code_steps == 0 or self.gate_input in ("predictions", "channels"),
            f"person_training.code_steps moves what gates read, but gate_input is {self.gate_input}: try channels",
        )
        require(
            len(set(self.classes)) == len(self.classes),
            f"person_training.classes is {list(self.classes)}: name each once",
        )
        require(min(self.classes, default=0) >= 0, f"person_training.classes is {list(self.classes)}: 0 (all) or more")
        require(
            0 < self.least < self.most, f"person_training.least is {self.least}: above 0, below person_training.most"
        )
        require(self.most <= 1, f"person_training.most is {self.most}: at most 1")
        for name in ("learning_rate", "gate_speed", "temperature", "prototype_scale", "code_rate"):
            require(getattr(self, name) > 0, f"person_training.{name} is {getattr(self, name)}: more than 0")
        for name in ("distillation", "prototype_weight"):
            require(getattr(self, name) >= 0, f"person_training.{name} is {getattr(self, name)}: 0 or more")

    def persons_of(self, batch_size: int) -> int:
        """Return how many persons a batch has if a batch of the full network has `batch_size` samples."""
        return self.persons or max(2, batch_size // self.queries)

    def capped(self, budget: float) -> float:
        """Return the budget, at most `most`; more channels than in training do harm.

        >>> PersonTraining(most=0.6).capped(0.8)
        0.6
        """
        return min(budget, self.most)
