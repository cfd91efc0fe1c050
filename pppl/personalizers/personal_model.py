"""A personal model: a network, its cost, and its size on a device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor, nn

from ..backbones import Backbone, artifact_bytes
from ..diff import Delta, delta_bytes
from ..pruning import Cost
from .shown import as_html, describe_costs, list_layers


@dataclass(frozen=True, kw_only=True)
class ClassPrior:
    """The class prior of a person.

    - `prior`: `(K,)`, probabilities of the classes; their sum is 1.
    - `added`: `(K,)`, the numbers that are added to the logits.
    - `confidence`: mean probability of the predicted class over the support set.
    - `cut`: whether classes with prior 0 have no output.
    - `size`: bytes of the prior in the person's file.
    """

    prior: Tensor
    added: Tensor
    confidence: float
    cut: bool
    size: int


@dataclass(frozen=True, kw_only=True)
class MethodOutput:
    """The output of a method for one support set.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10))
    >>> MethodOutput(module=network).with_module(network, samples=20).retrain_samples
    20

    - `module`: the network, of plain modules, in evaluation mode.
    - `masks`: the kept channels, per group `(C_l,)`, boolean; None if nothing was pruned.
    - `retrain_samples`: number of the person's samples that went through a training step, repeated ones included.
    - `delta`: difference of the module to the global network, or to the global network cut by `masks`; None if it is
      not kept.
    - `size`: bytes of the module's file if its weights are coded, else None.
    - `stated_cost`: cost of the module if it does not follow from the number of kept channels, else None.
    - `cost_of`: a function of the module and samples that returns their mean cost, if every sample chooses its own
      channels.
    - `seconds_before`: seconds that an earlier call spent on a cached result; they count again.
    - `classes`: the person's class prior, if the classifier contains it.
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

    def with_module(self, module: nn.Module, *, samples: int = 0, **changes: Any) -> "MethodOutput":
        """Return this output with another module, which was trained on `samples` more samples.

        Other fields, such as `classes`, are set by `changes`. `delta` and `size` become None if they are not among
        them.
        """
        changes = {"delta": None, "size": None} | changes
        return replace(self, module=cast(Backbone, module), retrain_samples=self.retrain_samples + samples, **changes)


@dataclass(frozen=True, kw_only=True, repr=False)
class PersonalModel(MethodOutput):
    """The network for a person's device, with its cost. A notebook shows its layers, kept channels and costs.

    ```python
    personal = run.personalize(run.persons[0], method="ppp", budget=0.1)
    personal.cost.macs, personal.bytes
    ```

    - `cost`: cost of the module.
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
        """Size of the person's own file: the module's weights, or its delta to the shared full network."""
        if self.size is not None:
            return self.size
        delta_to_full = self.delta if self.masks is None else None
        return artifact_bytes(self.module) if delta_to_full is None else delta_bytes(delta_to_full)

    def cost_on(self, x: Tensor) -> Cost:
        """Return the mean cost of samples, `(B, C, ...)`: `cost`, unless every sample chooses its own channels."""
        return self.cost if self.cost_of is None else self.cost_of(self.module, x)
