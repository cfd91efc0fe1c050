"""Groups of channels of any network, found from the graph of one forward pass.

Torch-Pruning's `DependencyGraph` follows autograd and says which entries of which layers go with one channel. Two
channels are asked about; the pattern of all others follows, and the check that masking equals slicing holds it.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from .examples import tensors_of
from .groups import Counter, Span

Layer = _ConvNd | nn.Linear
# Modules and parameters by their first paths.
Paths = dict[nn.Module | nn.Parameter, str]
# What Torch-Pruning raises at operations that it does not know.
_LOST = (IndexError, KeyError, ValueError, AttributeError)
_UNKNOWN = "the graph does not say where they go: an operation is unknown to it"
_UNSEEN = "gradients do not lead to it"
Reached = dict[tp.Dependency, set[int]]


class CannotRemove(Exception):
    """The reason why a group of channels is left out."""


@dataclass
class Joined:
    """Layers whose channels go together: by path, the span of what each layer outputs and reads."""

    width: int
    producers: dict[str, Span] = field(default_factory=dict)
    followers: dict[str, Span] = field(default_factory=dict)
    consumers: dict[str, Span] = field(default_factory=dict)
    grouped: dict[str, Span] = field(default_factory=dict)  # inputs of convolutions with groups
    counters: tuple[Counter, ...] = ()
    attends: bool = False
    reason: str = ""

    def together(self, count: int) -> "Joined":
        """Return the same layers with every `count` consecutive channels as one."""
        if count == 1:
            return self
        if self.width % count:
            raise CannotRemove(f"{self.width} channels are no multiple of the {count} that go together")
        parts = {
            name: {path: replace(span, block=span.block * count) for path, span in getattr(self, name).items()}
            for name in ("producers", "followers", "consumers", "grouped")
        }
        return replace(self, width=self.width // count, **parts)


def find_joined(network: nn.Module, example: Any) -> list[Joined]:
    """Return the layers of `network` whose channels go together, each convolution and linear layer once.

    Those whose channels cannot be removed say why (`reason`).

    **Arguments:**

    - `network`: a network in evaluation mode, with gradients for all its parameters.
    - `example`: the argument of its forward pass.
    """
    named: list[tuple[str, nn.Module | nn.Parameter]] = [*network.named_parameters(), *network.named_modules()]
    paths: Paths = {each: path for path, each in reversed(named)}  # the first path of each
    with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad(), _SpeltOut():
        warnings.simplefilter("ignore")  # parameters outside of layers are left out by name
        graph = tp.DependencyGraph().build_dependency(network, [example], output_transform=tensors_of, verbose=False)
    found: list[Joined] = []
    for layer, path in reversed([*paths.items()]):
        if not isinstance(layer, Layer) or any(
            path in joined.producers or path in joined.followers for joined in found
        ):
            continue
        found.append(_probe(graph, layer, path, paths))
    return _merged(found, network)


class _SpeltOut(TorchFunctionMode):
    """Compute gated linear units by their definition: Torch-Pruning takes their fused operation for one by elements."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what `func` returns."""
        if func is not torch.nn.functional.glu:
            return func(*args, **(kwargs or {}))
        values, gate = _halves(*args, **(kwargs or {}))
        return values * gate.sigmoid()


def _halves(input: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """Return the halves that `torch.nn.functional.glu` reads, which has these arguments."""
    values, gate = input.chunk(2, dim)
    return values, gate


def _probe(graph: tp.DependencyGraph, layer: Layer, path: str, paths: Paths) -> Joined:
    """Return what goes with the output channels of one layer."""
    prune = tp.prune_linear_out_channels if isinstance(layer, nn.Linear) else tp.prune_conv_out_channels
    if isinstance(layer, _ConvNd) and layer.groups == layer.out_channels > 1:
        prune = tp.prune_depthwise_conv_out_channels
    size = int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
    if layer not in graph.module2node:
        return Joined(width=size, producers={path: Span(path=path)}, reason=_UNSEEN)
    try:
        reached = _reached(graph, layer, prune, 0)
    except _LOST:
        return Joined(width=size, producers={path: Span(path=path)}, reason=_UNKNOWN)
    operations = " ".join(dependency.target.name for dependency in reached)
    first = _entries(reached, paths)
    own = first[path, "out"]
    joined = Joined(width=size // len(own), producers={path: Span(path=path)})
    joined.attends = "ScaledDotProduct" in operations or "BmmBackward" in operations
    following = next((entry for entry in range(size) if entry not in own), None)
    if following is None:
        joined.reason = "all its channels depend on one another"
        return joined
    try:
        second = _entries(_reached(graph, layer, prune, following), paths)
        _refuse_streams(reached)
        for (other, side), entries in first.items():
            if side == "parameter":
                raise CannotRemove(f"a parameter outside of layers ({other}) has an entry for each of its channels")
            span = _span(other, entries, second.get((other, side), set()))
            _place(joined, span, side, next(each for each, name in paths.items() if name == other))
    except CannotRemove as reason:
        joined.reason = str(reason)
    except _LOST:
        joined.reason = _UNKNOWN
    return joined


class _Index(NamedTuple):
    """An entry of a layer, in the form that Torch-Pruning's mappings of indices read."""

    idx: int
    root_idx: int


def _reached(graph: tp.DependencyGraph, layer: Layer, prune: Any, entry: int) -> Reached:
    """Return what goes with an entry of a layer's output: by dependency, the entries of the layer that it leads to.

    Torch-Pruning's own `get_pruning_group` follows the same dependencies, but each of the ways to an entry by itself,
    which for shifted windows are millions. Raise `IndexError` if an entry is none of any layer.
    """
    node = graph.module2node[layer]
    most = max(max(each.weight.shape) for each in graph.module2node if isinstance(each, Layer))
    reached: Reached = {}
    ahead = [(tp.Dependency(prune, prune, source=node, target=node), {entry})]
    while ahead:
        dependency, entries = ahead.pop()
        new = entries - reached.setdefault(dependency, set())
        if not new:
            continue
        if max(new) >= most:
            raise IndexError(max(new))
        reached[dependency] |= new
        for following in dependency.target.dependencies:
            if following.is_triggered_by(dependency.handler):
                mapped = [_Index(each, entry) for each in sorted(new)]
                for mapping in filter(None, following.index_mapping):
                    mapped = mapping(mapped)
                ahead.append((following, {each.idx for each in mapped}))
    return {dependency: entries for dependency, entries in reached.items() if entries}


def _entries(reached: Reached, paths: Paths) -> dict[tuple[str, str], set[int]]:
    """Return, by path and side (`out` or `in`), the entries of one channel in every layer."""
    found: dict[tuple[str, str], set[int]] = {}
    for dependency, entries in reached.items():
        module, side = dependency.target.module, "in" if "in_channels" in dependency.handler.__name__ else "out"
        if isinstance(module, nn.Parameter):
            found.setdefault((paths[module], "parameter"), set())
        elif module in paths:
            found.setdefault((paths[module], side), set()).update(entries)
    return found


def _span(path: str, first: set[int], second: set[int]) -> Span:
    """Return the span of a layer by the entries of the first and the second channel."""
    one, other = sorted(first), sorted(second)
    step = other[0] - one[0] if one and other else 0
    starts = tuple(one[:: max(step, 1)])
    expected = [start + each for start in starts for each in range(step)]
    if step < 1 or one != expected or other != [entry + step for entry in one]:
        raise CannotRemove(f"its channels lie in {path} in no regular pattern")
    return Span(path=path, block=step, starts=starts)


def _place(joined: Joined, span: Span, side: str, module: nn.Module | nn.Parameter) -> None:
    """Add a layer by its role."""
    if isinstance(module, Layer):
        in_groups = isinstance(module, _ConvNd) and module.groups > 1
        role = {("out", False): joined.producers, ("in", False): joined.consumers, ("in", True): joined.grouped}
        role.get((side, in_groups), joined.followers)[span.path] = span
        if in_groups:
            joined.producers.pop(span.path, None)
    else:
        joined.followers[span.path] = span


def _refuse_streams(reached: Reached) -> None:
    """Raise `CannotRemove` if the channels are those of a residual stream: sums of several layers' outputs."""
    nodes = {dependency.target for dependency in reached}
    for node in nodes:
        if "AddBackward" in node.name and sum(_comes_from_layer(each) for each in nodes.intersection(node.inputs)) > 1:
            raise CannotRemove("a residual stream, to which several layers add")


def _comes_from_layer(node: Any) -> bool:
    """Return whether a layer computes what a node of the graph holds, and not parameters alone."""
    seen, ahead = set(), [node]
    while ahead:
        each = ahead.pop()
        if isinstance(each.module, Layer):
            return True
        seen.add(each)
        ahead += [before for before in each.inputs if before not in seen]
    return False


def _merged(found: list[Joined], network: nn.Module) -> list[Joined]:
    """Join what a convolution with groups reads with what it outputs, one unit for each of its groups."""
    for joined in found:
        for path, read in [*joined.grouped.items()]:
            layer = network.get_submodule(path)
            other = next((each for each in found if path in each.followers), None)
            assert isinstance(layer, _ConvNd)
            if other is None or other is joined:
                continue
            try:
                whole = joined.together(max(1, layer.in_channels // layer.groups // read.block))
                more = other.together(max(1, layer.out_channels // layer.groups // other.followers[path].block))
                if whole.width != more.width:
                    raise CannotRemove(f"the groups of {path} are not its own")
            except CannotRemove as reason:
                joined.reason = other.reason = str(reason)
                continue
            merged = Joined(
                width=whole.width,
                producers={**whole.producers, **more.producers},
                followers={**whole.followers, **more.followers},
                consumers={**whole.consumers, **more.consumers},
                grouped={key: span for key, span in {**whole.grouped, **more.grouped}.items() if key != path},
                attends=whole.attends or more.attends,
                reason=whole.reason or more.reason,
            )
            rest = [each for each in found if each is not joined and each is not other]
            return _merged([merged, *rest], network)
    return found
