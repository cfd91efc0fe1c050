"""Any `nn.Module` as a backbone: its groups of removable channels are found from one forward pass."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..system.errors import UserError, first_line
from .backbone import Backbone, ShapeSpec, channels_out
from .calls import Calls
from .described_groups import describe
from .examples import FAILURES, on_cpu
from .found_groups import CannotRemove, find_joined
from .group_check import trial_copy, unequal_groups
from .groups import ChannelGroup
from .refused import refuse_kinds, require_batch, require_finite, require_same


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Channels that stay as they are: the layer that outputs them, how many they are, and why they stay."""

    path: str
    channels: int
    reason: str


def _left_out(path: str, channels: int, reason: str) -> LeftOut:
    """Return channels that stay, with paths as the user's network has them."""
    return LeftOut(path=path.removeprefix("net."), channels=channels, reason=re.sub(r"(?<![\w.])net\.", "", reason))


def _hint(network: nn.Module, inputs: Any, error: Exception) -> str:
    """Return what may help if a network cannot be called with an example."""
    if isinstance(inputs, Mapping) and isinstance(error, TypeError):
        return "; if the network takes one dictionary, give it in a tuple"
    with suppress(*FAILURES):
        if isinstance(inputs, Tensor):
            Calls.of(network, inputs[None])
            return "; the example is one sample: give it a batch dimension, as by sample[None]"
    return ""


class Adapted(Backbone):
    """A backbone made of any network.

    Channels are found from the graph of one forward pass: those of convolutions (grouped and depthwise ones follow),
    hidden units of perceptrons, attention heads, units of squeeze-and-excitation. Each group is kept only if masking
    its channels equals removing them. Channels of residual streams and of the network's outputs stay as they are.

    **Arguments:**

    - `module`: the network. It is used as it is, not copied.
    - `example`: what it is called with: a tensor `(B, ...)`, a dictionary of keyword arguments, or a tuple.
    - `name`: its name in messages; the class by default.

    `left_out` lists the channels that stay, with the reason.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 10))
    >>> network = Adapted(net, torch.zeros(1, 3, 8, 8))
    >>> network.widths, [group.producer for group in network.groups]
    ((8, 4), ['net.0', 'net.2'])

    Raise `UserError` if the network cannot be called with the example or traced, or if it has nothing to remove.
    """

    dims = (1, 2)
    remedy = "change this part of the network, or adapt a part of it without this one"

    def __init__(self, module: nn.Module, example: Any, *, name: str = ""):
        super().__init__()
        self.net = module
        self._name = name or type(module).__qualname__
        self._keep([])
        refuse_kinds(self._name, module)
        trial, inputs, calls = self._call(example)
        found = self._describe(trial, inputs, calls)
        trial._keep(found)
        unequal = unequal_groups(trial, inputs) if found else {}
        if unequal:
            require_same(self._name, trial, inputs)
        self._keep([each for index, each in enumerate(found) if index not in unequal])
        tried = [(found[index], reason) for index, reason in unequal.items()]
        wrong = tuple(_left_out(group.producer, width, reason) for (group, width), reason in tried)
        self.left_out = (*wrong, *self.left_out)
        if not self.groups:
            reasons = "; ".join(f"{each.path}: {each.reason}" for each in self.left_out[:3])
            raise UserError(
                f"{self._name} has no channels that can be removed ({reasons or 'it has no layers'}): change these "
                "layers, or take another network"
            )

    def _call(self, example: Any) -> tuple["Adapted", Any, Calls]:
        """Return a copy to try things on, the example for it, and what a pass calls. Raise `UserError` if it fails."""
        try:
            trial, inputs = trial_copy(self), on_cpu(example)
        except FAILURES as error:
            raise UserError(f"{self._name} or its example cannot be copied: {first_line(error)}") from error
        try:
            calls = Calls.of(trial, inputs)
        except FAILURES as error:
            hint = _hint(trial, inputs, error)
            raise UserError(f"{self._name} cannot be called with the example: {first_line(error)}{hint}") from error
        require_batch(self._name, trial, calls)
        require_finite(self._name, calls.outputs)
        return trial, inputs, calls

    def _describe(self, trial: "Adapted", inputs: Any, calls: Calls) -> list[tuple[ChannelGroup, int]]:
        """Return the groups that the graph shows, with their widths, and note why other channels stay."""
        self.left_out, found = (), []
        try:
            joined = find_joined(trial, inputs)
        except FAILURES as error:
            raise UserError(
                f"{self._name} cannot be traced: Torch-Pruning says {first_line(error)!r}; adapt a part of it that "
                "takes and returns tensors"
            ) from error
        for each in joined:
            try:
                found.append(describe(trial, each, calls, inputs))
            except CannotRemove as reason:
                path = next(iter((*each.producers, *each.followers)))
                self.left_out += (_left_out(path, each.width, str(reason)),)
        return sorted(found, key=lambda pair: calls.order[pair[0].producer])

    @classmethod
    def with_groups(cls, module: nn.Module, groups: tuple[ChannelGroup, ...], spec: ShapeSpec) -> "Adapted":
        """Return a backbone with groups that are known, as from the spec of one that was adapted before."""
        network = cls.__new__(cls)
        nn.Module.__init__(network)
        network.net, network.groups, network.left_out, network.spec = module, groups, (), spec
        return network

    def count_channels(self) -> tuple[int, ...]:
        """Return the number of channels that the producer of each group has, whatever the spec says."""
        return tuple(
            channels_out(self.get_submodule(group.producer)) // group.span(group.producer).count
            for group in self.groups
        )

    def _keep(self, found: list[tuple[ChannelGroup, int]]) -> None:
        """Set the groups, and the spec with their widths."""
        self.groups = tuple(group for group, _ in found)
        self.spec = ShapeSpec(backbone=self._name, options={"widths": tuple(width for _, width in found)})

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the network returns; of an output that has `logits`, as attribute or entry, the logits alone.

        A single dictionary or tuple holds all arguments.
        """
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            output = self.net(**inputs[0], **named)
        elif len(inputs) == 1 and isinstance(inputs[0], tuple):
            output = self.net(*inputs[0], **named)
        else:
            output = self.net(*inputs, **named)
        if isinstance(output, Mapping) and "logits" in output:
            return output["logits"]
        return getattr(output, "logits", output)
