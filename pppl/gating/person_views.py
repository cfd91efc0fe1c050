"""What gates see of a person: a row of numbers for each sample, whose mean over the support set is the prototype."""

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..backbones import Backbone, evaluating, hook_groups
from ..tasks import Task

GateInput = Literal["predictions", "channels", "layers", "nothing"]
_FARTHEST = 5.0  # standard deviations


class PersonView(nn.Module):
    """The full network's predictions, `(N, K)`, such as probabilities of all classes.

    - `size`: how many numbers gates read.
    """

    def __init__(self, backbone: Backbone, task: Task):
        super().__init__()
        self.task, self.outputs = task, int(backbone.spec.options["num_outputs"])
        self.size = self.outputs

    def forward(self, x: Tensor, full: nn.Module) -> Tensor:
        """Return the row of each sample `(N, C, ...)`.

        **Arguments:**

        - `full`: the full network, which maps `(N, C, ...)` to outputs `(N, K)`.
        """
        return self.task.evidence(full(x).float())

    def fit(self, rows: Tensor) -> None:
        """Learn what is usual from the rows of training samples."""

    def read(self, prototypes: Tensor) -> Tensor:
        """Return what gates read of persons' mean rows: numbers of about the same size, `(P, size)`."""
        return prototypes.float() * self.outputs**0.5


class Nothing(PersonView):
    """Zeros: everybody has the same mask."""

    def forward(self, x: Tensor, full: nn.Module) -> Tensor:
        """Return zeros, `(N, K)`."""
        return x.new_zeros(len(x), self.outputs)


class Channels(PersonView):
    """Predictions, and how the activity of channels differs from what is usual for these predictions.

    The activity of a channel that can be removed is its mean and its root mean square over all positions, in the full
    network. Values of the training samples, weighted by their predictions, are usual for each output. So the difference
    shows the person rather than their classes. It is divided by the standard deviation over training samples.
    """

    usual: Tensor
    spread: Tensor

    def __init__(self, backbone: Backbone, task: Task):
        super().__init__(backbone, task)
        count = 2 * sum(backbone.widths)
        self.size = self.outputs + count
        self.register_buffer("usual", torch.zeros(self.outputs, count))
        self.register_buffer("spread", torch.ones(count))

    @torch.no_grad()
    def forward(self, x: Tensor, full: nn.Module) -> Tensor:
        """Return predictions and activities, `(N, K + V)`."""
        seen: list[Tensor] = []

        def see(_: int, activations: Tensor) -> Tensor:
            flat = activations.float().flatten(2) if activations.ndim > 2 else activations.float()[..., None]
            seen.append(torch.cat([flat.mean(2), flat.square().mean(2).sqrt()], 1))
            return activations

        with evaluating(full), hook_groups(cast(Backbone, full), after=see):
            outputs = full(x)
        return torch.cat([self.task.evidence(outputs.float()), *seen], 1)

    def fit(self, rows: Tensor) -> None:
        """Learn the usual activity for each output, and its standard deviation."""
        predictions, values = self._split(rows)
        weights = predictions / predictions.sum(0).clamp(min=1e-6)
        self.usual.copy_(weights.T @ values)
        self.spread.copy_((values - predictions @ self.usual).std(0).clamp(min=1e-6))

    def read(self, prototypes: Tensor) -> Tensor:
        """Return mean predictions, and the differences of mean activities."""
        predictions, values = self._split(prototypes.float())
        shift = (values - predictions @ self.usual) / self.spread
        return torch.cat([super().read(predictions), shift.clamp(-_FARTHEST, _FARTHEST)], 1)

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        predictions, values = rows.split([self.outputs, rows.shape[1] - self.outputs], 1)
        return predictions, values


VIEWS: dict[str, Callable[[Backbone, Task], PersonView]] = {
    "predictions": PersonView,
    "channels": Channels,
    "nothing": Nothing,
}
