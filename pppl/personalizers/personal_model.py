"""What a method makes of a support set: a network, what it costs, and what it takes on a device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor, nn

from ..backbones import Backbone
from ..diff import Delta, delta_bytes
from ..pruning import Cost, artifact_bytes
from .shown import as_html, describe_costs, list_layers


@dataclass(frozen=True, kw_only=True)
class ClassPrior:
    """What a person's samples tell of their classes.

    - `prior`: `(K,)`, adds up to 1.
    - `added`: `(K,)`, to the logits of the classes.
    - `confidence`: mean probability of the predicted class over the support set.
    - `cut`: whether classes with prior 0 have no output.
    - `size`: bytes that it takes.
    """

    prior: Tensor
    added: Tensor
    confidence: float
    cut: bool
    size: int


@dataclass(frozen=True, kw_only=True)
class MethodOutput:
    """What a method makes of a support set.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10))
    >>> MethodOutput(module=network).with_module(network, samples=20).retrain_samples
    20

    - `module`: plain modules, in evaluation mode.
    - `masks`: per group, `(C_l,)` boolean; None where nothing was pruned.
    - `retrain_samples`: samples of the person that went through a training step on the way.
    - `delta`: the module's difference to the global network, or to what `masks` leave of it, where it is kept.
    - `size`: bytes of the module's file, where its weights are coded.
    - `stated_cost`: where it does not follow from how many channels are kept.
    - `cost_of`: of the module, mean over samples, where each chooses its own channels.
    - `seconds_before`: that were spent earlier on what is kept, to be told again.
    - `classes`: the person's class prior, where the classifier has it.
    """

    module: Backbone
    masks: list[Tensor] | None = None
    retrain_samples: int = 0
    delta: Delta | None = None
    size: int | None = None
    stated_cost: Cost | None = None
    cost_of: Callable[[Any, Tensor], Cost] | None = None
    seconds_before: float = 0.0
    classes: ClassPrior | None = None

    def with_module(self, module: nn.Module, *, samples: int = 0, **others: Any) -> "MethodOutput":
        """The same network with other weights, after a training that saw so many samples."""
        own = {"delta": None, "size": None} | others
        return replace(self, module=cast(Backbone, module), retrain_samples=self.retrain_samples + samples, **own)


@dataclass(frozen=True, kw_only=True, repr=False)
class PersonalModel(MethodOutput):
    """What runs on a person's device. In a notebook it shows its layers, the channels that they keep, and its costs.

    ```python
    personal = run.personalize(run.persons[0], method="ppp", budget=0.1)
    personal.cost.macs, personal.bytes
    ```

    - `full`: cost of the full network.
    - `seconds`: wall time from the support set to the module.
    """

    cost: Cost
    full: Cost
    seconds: float

    def __repr__(self) -> str:
        kept = ", ".join(f"{layer.name} {layer.kept}/{layer.of}" for layer in list_layers(self.module, self.masks))
        return f"PersonalModel: {describe_costs(self.cost, self.full, self.bytes, self.seconds)}; channels kept: {kept}"

    def _repr_html_(self) -> str:
        line = describe_costs(self.cost, self.full, self.bytes, self.seconds)
        return as_html(line, list_layers(self.module, self.masks))

    @property
    def bytes(self) -> int:
        """Size of the file that is a person's own: the module's weights, or its delta to the whole shared network."""
        if self.size is not None:
            return self.size
        of_whole = self.delta if self.masks is None else None
        return artifact_bytes(self.module) if of_whole is None else delta_bytes(of_whole)

    def cost_on(self, x: Tensor) -> Cost:
        """Mean cost of samples, `(B, C, ...)`: `cost`, but where each chooses its own channels."""
        return self.cost if self.cost_of is None else self.cost_of(self.module, x)
