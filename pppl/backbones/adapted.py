"""Any `nn.Module` as a backbone: its groups of removable channels are found from one forward pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..system.errors import UserError
from .backbone import Backbone, ShapeSpec, channels_out
from .described_groups import Calls, describe
from .found_groups import CannotRemove, find_joined
from .group_check import trial_copy, unequal_groups
from .groups import ChannelGroup


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Channels that stay as they are: the layer that outputs them, how many they are, and why they stay."""

    path: str
    channels: int
    reason: str


def _left_out(path: str, channels: int, reason: str) -> LeftOut:
    """Return channels that stay, with paths as the user's network has them."""
    return LeftOut(path=path.removeprefix("net."), channels=channels, reason=re.sub(r"(?<![\w.])net\.", "", reason))


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

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 10))
    >>> network = Adapted(net, torch.zeros(1, 3, 8, 8))
    >>> network.widths, [group.producer for group in network.groups]
    ((8, 4), ['net.0', 'net.2'])

    Raise `UserError` if the network cannot be called with the example or traced, or if it has nothing to remove.
    """

    dims = (1, 2)

    def __init__(self, module: nn.Module, example: Any, *, name: str = ""):
        super().__init__()
        self.net = module
        self._name = name or type(module).__qualname__
        self.groups, self.left_out = (), ()
        self.spec = ShapeSpec(backbone=self._name, options={"widths": ()})
        _refuse_kinds(self._name, module)
        try:
            trial, inputs = trial_copy(self), on_cpu(example)
        except _ERRORS as error:
            raise UserError(f"{self._name} or its example cannot be copied: {_line(error)}") from error
        try:
            calls = Calls.of(trial, inputs)
        except _ERRORS as error:
            raise UserError(f"{self._name} cannot be called with the example: {_line(error)}") from error
        _require_batch(self._name, trial, calls)
        try:
            joined = find_joined(trial, inputs)
        except _ERRORS as error:
            raise UserError(f"{self._name} cannot be traced: Torch-Pruning says {_line(error)!r}") from error
        found: list[tuple[ChannelGroup, int]] = []
        for each in joined:
            try:
                found.append(describe(trial, each, calls, inputs))
            except CannotRemove as reason:
                path = next(iter((*each.producers, *each.followers)))
                self.left_out += (_left_out(path, each.width, str(reason)),)
        found.sort(key=lambda pair: calls.order[pair[0].producer])
        trial._keep(found)
        unequal = unequal_groups(trial, inputs) if found else {}
        for index, reason in reversed(unequal.items()):
            group, width = found.pop(index)
            self.left_out += (_left_out(group.producer, width, reason),)
        self._keep(found)
        if not found:
            reasons = "; ".join(f"{each.path}: {each.reason}" for each in self.left_out[:3])
            raise UserError(f"{self._name} has no channels that can be removed ({reasons or 'no layers'})")

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
        """Return what the network returns; of an output that has `logits`, the logits alone.

        A single dictionary or tuple holds all arguments.
        """
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            output = self.net(**inputs[0], **named)
        elif len(inputs) == 1 and isinstance(inputs[0], tuple):
            output = self.net(*inputs[0], **named)
        else:
            output = self.net(*inputs, **named)
        return getattr(output, "logits", output)


_ERRORS = (RuntimeError, TypeError, ValueError, AssertionError, LookupError, AttributeError, ArithmeticError)


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _refuse_kinds(name: str, module: nn.Module) -> None:
    """Raise `UserError` for networks whose layers cannot be seen or sliced."""
    if isinstance(module, torch.jit.ScriptModule):
        raise UserError(f"{name} is scripted, so that its layers cannot be changed: adapt the module it was made of")
    for path, each in module.named_modules():
        tensors = (*each.parameters(recurse=False), *each.buffers(recurse=False))
        if any(nn.parameter.is_lazy(tensor) for tensor in tensors):
            raise UserError(f"{name}: {path!r} has no shape yet (a lazy layer): call the network once before")
        if "quantized" in type(each).__module__:
            raise UserError(f"{name}: {path!r} is quantized: adapt the network before it is quantized")


def _require_batch(name: str, network: nn.Module, calls: Calls) -> None:
    """Raise `UserError` if a convolution was given one sample, without a dimension of samples."""
    for path, shape in calls.shapes.items():
        layer = network.get_submodule(path)
        if isinstance(layer, _ConvNd) and len(shape) == len(layer.kernel_size) + 1:
            raise UserError(f"{name}: the example is one sample: give it a batch dimension, as by sample[None]")


def on_cpu(example: Any) -> Any:
    """Return an example with its tensors on the CPU."""
    if isinstance(example, Tensor):
        return example.cpu()
    if isinstance(example, Mapping):
        return {key: on_cpu(value) for key, value in example.items()}
    return tuple(on_cpu(each) for each in example) if isinstance(example, (list, tuple)) else example
