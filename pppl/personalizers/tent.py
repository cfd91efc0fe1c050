"""The step `+tent`: minimal entropy of the predictions on the support set (Wang et al., ICLR 2021); no label is read.

Only scales and shifts of batch normalization are trained. Its statistics stay as they are, because a device gets one
sample at a time [choice]. The paper uses those of the batch; the step `+bn` in front of this one comes near to that.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..backbones import Backbone
from ..config import register_settings, require
from ..data import Support
from ..pruning import CostModel
from ..system.errors import UserError
from .global_model import GlobalModel
from .personal_model import MethodOutput
from .personalizer import Step, register_step


@register_settings("tent")
@dataclass(frozen=True, kw_only=True)
class TentSettings:
    """The step `+tent`, which minimizes the entropy of predictions on the support set (Wang et al., ICLR 2021).

    - `steps`: steps of Adam on the whole support set; only scales and shifts of batch normalization are trained.
    - `learning_rate`: Adam's.
    """

    steps: int = 10
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"tent.steps is {self.steps}: at least 1")
        require(self.learning_rate > 0, f"tent.learning_rate is {self.learning_rate}: more than 0")


@register_step("tent")
class TentStep(Step):
    """The network of `first`, trained to have a low entropy of predictions on the person's samples."""

    needs = frozenset({"classes"})
    reads = (TentSettings,)
    settings: TentSettings

    @property
    def steps(self) -> int:
        """Number of training steps: those of `first`, and full batches of the support set."""
        return self.first.steps + self.settings.steps

    def check(self, backbone: Backbone, cost: CostModel) -> None:
        """Raise `UserError` if the network has no batch normalization with scales and shifts.

        Also raise it if `first` cannot work on such a network.
        """
        super().check(backbone, cost)
        if not affine(backbone):
            raise UserError(
                f"method {self.method} cannot be used: {self.experiment.backbone.name} has no batch normalization with "
                "scales and shifts to train"
            )

    def make(self, model: GlobalModel, support: Support, budget: float | None) -> MethodOutput:
        """Return a copy of the network of `first` after the training."""
        first, config = self.output_of_first(model, support, budget), self.settings
        module = copy.deepcopy(first.module).eval()
        parameters = affine(module)
        with torch.enable_grad():
            optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
            for _ in range(config.steps):
                gradients = torch.autograd.grad(entropy(module(support.x)), parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        return first.with_module(module, samples=config.steps * len(support.x))


def affine(network: nn.Module) -> list[nn.Parameter]:
    """Return the scales and shifts of batch normalization, 1D to 3D."""
    return [
        parameter
        for layer in network.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.affine
        for parameter in (layer.weight, layer.bias)
    ]


def entropy(logits: Tensor) -> Tensor:
    """Return the mean entropy of predictions, in nats, from logits `(B, K)`.

    >>> round(float(entropy(torch.zeros(1, 2))), 4)  # log 2
    0.6931
    """
    log_probabilities = logits.log_softmax(1)
    return -(log_probabilities.exp() * log_probabilities).sum(1).mean()
