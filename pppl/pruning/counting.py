"""Multiply-accumulates of one forward pass, by the module that computes them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count, shape_wrapper

from ..backbones import Backbone, evaluating, tensors_of
from ..backbones.examples import FAILURES, first_sample, samples_in, with_tensors
from ..system.errors import UserError, first_line


@dataclass(kw_only=True)
class Counted:
    """The counts of one sample's forward pass, by the paths of modules.

    - `positions`: number of positions (steps, pixels, tokens) that a convolution or linear layer computed, over all of
      its calls.
    - `others`: MACs of everything else that a module itself computed: products of activations, functions, recurrent
      layers.
    - `calls`: number of calls of each module.
    - `outputs`: shapes of the outputs of the groups' output modules.
    """

    positions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    others: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)


def layers_of(network: nn.Module) -> dict[str, _ConvNd | nn.Linear]:
    """Return, by path, the layers that multiply every entry of their weight once at each position."""
    return {path: layer for path, layer in network.named_modules() if isinstance(layer, (_ConvNd, nn.Linear))}


def count(backbone: Backbone, sample: Any) -> Counted:
    """Count the forward pass of one sample, described by its shape or by an example of the network's argument.

    Raise `UserError` if the network cannot take such data, or if a module computes something that cannot be counted.
    """
    return _count(backbone, _first(sample, next(backbone.parameters())))


def check_samples(backbone: Backbone, example: Any, one: Counted) -> None:
    """Raise `UserError` unless all samples of an example together cost what one does, times their number.

    They do not if an input that has as many rows as there are samples is something else, as a matrix of neighbours.
    """
    count = samples_in(example)
    if count < 2 or sum(each.ndim > 0 and len(each) == count for each in tensors_of(example)) < 2:
        return
    device = next(backbone.parameters()).device
    every = _count(backbone, with_tensors(lambda each: each.to(device), example))
    for path in one.positions.keys() | one.others.keys():
        if (every.positions[path], every.others[path]) != (count * one.positions[path], count * one.others[path]):
            raise UserError(
                f"backbone {backbone.spec.backbone}: {count} samples do not cost {count} times one: if an input with "
                f"{count} rows has none for each sample, give an example with another number of samples"
            )


def _count(backbone: Backbone, inputs: Any) -> Counted:
    """Count a forward pass."""
    counted, macs, name = Counted(), _Macs(), backbone.spec.backbone
    for path in layers_of(backbone):
        counted.positions[path] = 0
    try:
        with evaluating(backbone), torch.no_grad(), _without_fast_paths(), _watched(backbone, counted, macs):
            backbone(inputs)
    except _Uncountable as error:
        path = macs.stack[-1].path if macs.stack else ""
        where = f"{path!r} ({type(backbone.get_submodule(path)).__name__})" if path else "its forward"
        raise UserError(f"backbone {name}: MACs of {where} cannot be counted: it computes {error}") from error
    except FAILURES as error:
        raise UserError(f"backbone {name} cannot take data of shape {_shape(inputs)}: {first_line(error)}") from error
    for path, layer in layers_of(backbone).items():
        counted.others[path] -= counted.positions[path] * layer.weight.numel()
        if counted.others[path] < 0:
            raise UserError(f"backbone {name}: MACs of {path!r} cannot be counted: it uses only a part of its weight")
    return counted


def _first(sample: Any, like: Tensor) -> Any:
    """Return the argument for one sample: zeros of a shape, or the first sample of an example."""
    if isinstance(sample, tuple) and all(isinstance(size, int) for size in sample):
        return torch.zeros(1, *sample, device=like.device, dtype=like.dtype)
    return with_tensors(lambda each: each.to(like.device), first_sample(sample))


def _shape(inputs: Any) -> Any:
    """Return the shape of one sample's tensors."""
    if isinstance(inputs, Mapping):
        return {key: _shape(value) for key, value in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return tuple(map(_shape, inputs))
    return tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else inputs


class _Uncountable(Exception):
    """The error for an operation whose MACs are not known."""


class _Operations(TorchDispatchMode):
    """A counter of operations, like `FlopCounterMode`, which cannot follow modules that return parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # importing the compiler takes seconds, and it has nothing to do here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, formula = kwargs or {}, _FORMULAS.get(func._overloadpacket)
        if formula is None:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        output = func(*args, **kwargs)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=output)
        return output


@dataclass
class _Frame:
    path: str
    before: int
    inside: int = 0


class _Macs:
    """A counter that assigns MACs to the innermost module in which they are computed."""

    def __init__(self) -> None:
        self.stack: list[_Frame] = []
        self.counter = _Operations()

    def enter(self, path: str, *_: object) -> None:
        self.stack.append(_Frame(path, self.counter.flops))

    def leave(self, counted: Counted, path: str, *_: object) -> None:
        frame = self.stack.pop()
        whole = self.counter.flops - frame.before
        counted.others[path] += (whole - frame.inside) // 2
        counted.calls[path] += 1
        if self.stack:
            self.stack[-1].inside += whole


@contextmanager
def _watched(backbone: Backbone, counted: Counted, macs: _Macs) -> Iterator[None]:
    layers = layers_of(backbone)

    def record(path: str, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor) -> None:
        if isinstance(layer, _ConvNd) and layer.transposed:  # each input position is multiplied by the whole weight
            counted.positions[path] += next(iter((*args, *kwargs.values()))).numel() // layer.in_channels
        else:
            features = layer.out_channels if isinstance(layer, _ConvNd) else layer.out_features
            counted.positions[path] += output.numel() // features

    def see(path: str, _layer: nn.Module, _inputs: object, output: object) -> None:
        counted.outputs[path] = tuple(output.shape) if isinstance(output, Tensor) else ()

    with ExitStack() as stack:
        for path, module in backbone.named_modules():
            stack.callback(module.register_forward_pre_hook(partial(macs.enter, path)).remove)
            stack.callback(module.register_forward_hook(partial(macs.leave, counted, path)).remove)
        for path, layer in layers.items():
            stack.callback(layer.register_forward_hook(partial(record, path), with_kwargs=True).remove)
        for path in {group.output for group in backbone.groups}:
            stack.callback(backbone.get_submodule(path).register_forward_hook(partial(see, path)).remove)
        with macs.counter:
            yield


@contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Run attention as separate operations, since its fused operation cannot be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _product(first: Any, second: Any, *_: object, **__: object) -> int:
    return 2 * prod(first)  # a matrix or vector times a vector: one MAC for each entry of the first


def _added_product(_: Any, first: Any, second: Any, *__: object, **___: object) -> int:
    return 2 * prod(first)


def _attention(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def _recurrent(x: Any, *weights: Any, **_: object) -> int:
    steps = prod(x[:-1])  # (T, B, I), or (B, T, I)
    # The first two weights are those of the input and of the hidden state, for all gates.
    return 2 * steps * sum(prod(shape) for shape in weights[:2])


def _recurrent_layers(x: Any, weights: Any, *_: object, **__: object) -> int:
    return 2 * prod(x[:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def _refused(what: str) -> Any:
    def refuse(*_: object, **__: object) -> int:
        raise _Uncountable(what)

    return refuse


_aten = torch.ops.aten
# Operations that `torch.utils.flop_counter` does not count.
_MORE: dict[Any, Callable[..., int]] = {
    _aten.mv: _product,
    _aten.dot: _product,
    _aten.vdot: _product,
    _aten.addmv: _added_product,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_fused_attention_overrideable: _attention,
    _aten.mkldnn_rnn_layer: _recurrent,
    _aten._cudnn_rnn: _recurrent_layers,
    _aten._trilinear: _refused("bilinear forms"),
    _aten._cdist_forward: _refused("distances of vectors"),
    _aten._sparse_mm: _refused("sparse products"),
    _aten._native_multi_head_attention: _refused("fused attention"),
    _aten._transformer_encoder_layer_fwd: _refused("a fused layer"),
}
_FORMULAS = {**flop_registry, **{operation: shape_wrapper(formula) for operation, formula in _MORE.items()}}
