"""Starting weights from other programs, found in a file by the network's own names behind any prefix.

Other programs keep weights in sections (`state_dict`, `model_state_dict`, `model`, `net`, ...), also in nested ones.
Their training code puts its own names before those of the network (`module.`, `_orig_mod.`, `model.`, `backbone.`,
...). All of this is a prefix. The right prefix is the one that leads to all of the network's tensors.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .checkpoint import Entry, is_shard, open_checkpoint
from .index import ChannelIndex

# Parts that wrappers insert into a network's own names, wherever they wrap.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
# Parts of a name that mark averaged weights, which are not the trained ones.
_AVERAGED = {"ema", "averaged", "average", "swa", "shadow"}
# Parts of a prefix that are usual for the network itself. Other parts, such as `teacher`, mark another network.
_USUAL = {"state", "dict", "model", "net", "network", "weights", "params", "module", "backbone", "encoder", ""}


def load_weights(network: nn.Module, path: Path, tell: Callable[[str], None] = lambda line: None) -> list[str]:
    """Load a file's weights into `network`. A linear head for another number of classes keeps its fresh weights.

    **Arguments:**

    - `tell`: called with one line that names the section and prefix found, the number of tensors loaded, and the
      tensors left.

    **Returns:** the names that kept fresh weights.

    Raise `UserError` if the file cannot be read safely or does not fit the network.

    ```python
    fresh = load_weights(network, Path("resnet20.th"), tell=print)
    ```
    """
    own = network.state_dict()
    with open_checkpoint(path) as held:
        names = _unwrapped(held)
        prefix, others = _prefix({short: held[full].shape for short, full in names.items()}, own)
        found = {name: held[names[prefix + name]] for name in own if prefix + name in names}
        tied = _take_tied(network, found)
        fresh = _fresh(network, own, found)
        optional = _optional(network, own)
        state = {}
        for name in own.keys() - fresh - (optional - found.keys()):
            state[name] = _checked(path, name, own[name], found, prefix, names)
    _check_together(path, network, state, tied)
    network.load_state_dict({**own, **state})
    taken = {prefix + name: names[prefix + name] for name in state if prefix + name in names}
    tell(_told(path, prefix, taken, held, others))
    return sorted(fresh)


def _unwrapped(held: Iterable[str]) -> dict[str, str]:
    """Return the names in a file, by the same names without the parts that wrappers insert."""
    names: dict[str, str] = {}
    for name in sorted(held, key=len):  # a name without wrappers comes first
        names.setdefault(".".join(part for part in name.split(".") if part not in _WRAPPERS), name)
    return names


def _prefix(shapes: Mapping[str, tuple[int, ...]], own: Mapping[str, Tensor]) -> tuple[str, list[str]]:
    """Return the prefix of the network's names in a file, and the other prefixes that fit equally well.

    The best prefix has the most names of the network and, among equals, the most tensors of the right shape.
    """
    ends = defaultdict(list)
    for name in own:
        if not name.endswith("num_batches_tracked"):
            ends[name.rpartition(".")[2]].append(name)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for full, shape in shapes.items():
        for name in ends[full.rpartition(".")[2]]:
            if full == name or full.endswith(f".{name}"):
                count = counts[full.removesuffix(name)]
                count[0] += 1
                count[1] += shape == tuple(own[name].shape)
    if not counts:
        return "", []
    most = max(counts.values())
    best = sorted((prefix for prefix, count in counts.items() if count == most), key=_strangeness)
    return best[0], [each.removesuffix(".") or "the top" for each in best[1:]]


def _strangeness(prefix: str) -> tuple[bool, int, int, str]:
    parts = re.split(r"[._]", prefix.lower())
    return bool(_AVERAGED.intersection(parts)), sum(part not in _USUAL for part in parts), len(prefix), prefix


def _take_tied(network: nn.Module, found: dict[str, Entry]) -> list[list[str]]:
    """Return the names of each tensor that the network has under several names (tied weights).

    A file may hold such a tensor under one of its names. Its other names are then added to `found`.
    """
    shared: dict[Tensor, list[str]] = defaultdict(list)
    for name, parameter in network.named_parameters(remove_duplicate=False):
        shared[parameter].append(name)
    tied = [names for names in shared.values() if len(names) > 1]
    for names in tied:
        there = next((name for name in names if name in found), None)
        if there is not None:
            found |= {name: found[there] for name in names if name not in found}
    return tied


def _fresh(network: nn.Module, own: Mapping[str, Tensor], found: Mapping[str, Entry]) -> set[str]:
    """Return the parameter names of the last linear layer if the file has it for another number of classes."""
    heads = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1:]
    for head, layer in heads:
        names = [f"{head}.{name}" if head else name for name, _ in layer.named_parameters(recurse=False)]
        shapes = [(found[name].shape, tuple(own[name].shape)) for name in names if name in found]
        classes = {theirs[:1] for theirs, _ in shapes}
        others = len(classes) == 1 and classes != {(layer.out_features,)}
        if len(shapes) == len(names) and others and all(theirs[1:] == ours[1:] for theirs, ours in shapes):
            return set(names)
    return set()


def _optional(network: nn.Module, own: Iterable[str]) -> set[str]:
    """Return the names that files of other programs may lack, since a freshly built network has the right values."""
    indices = {f"{name}.index" for name, module in network.named_modules() if isinstance(module, ChannelIndex)}
    return indices | {name for name in own if name.endswith("num_batches_tracked")}


def _checked(
    path: Path, name: str, own: Tensor, found: Mapping[str, Entry], prefix: str, names: Mapping[str, str]
) -> Tensor:
    if name not in found:
        there = [each.removeprefix(prefix) for each in sorted(names) if each.startswith(prefix)]
        holds = f"it holds {', '.join(there[:3])}, ..." if there else "it holds nothing"
        shard = "; it is one part of a sharded checkpoint: join them" if is_shard(path) else ""
        raise UserError(f"{path} does not fit the backbone: it has no {name!r} ({holds}){shard}")
    if found[name].shape != tuple(own.shape):
        raise UserError(f"{path} does not fit the backbone: {name} is {found[name].shape}, not {tuple(own.shape)}")
    value = found[name].read()
    if value.is_floating_point() != own.is_floating_point() or value.is_complex():
        raise UserError(f"{path} holds {name} as {value.dtype}, not {own.dtype}: save it again")
    ours = value.to(own.dtype)
    if not ours.isfinite().all() or (name.endswith("running_var") and (ours < 0).any()):
        kind = "with variances below 0" if name.endswith("running_var") and ours.isfinite().all() else "not finite"
        raise UserError(f"{path} holds {name} as {value.dtype}, {kind}: save it again")
    return ours


def _check_together(path: Path, network: nn.Module, state: Mapping[str, Tensor], tied: list[list[str]]) -> None:
    """Raise `UserError` for values that fit one by one but not together: tied tensors, or indices of channels."""
    fault = f"{path} does not fit the backbone:"
    for first, *others in tied:
        for name in others:
            if first in state and name in state and not torch.equal(state[first], state[name]):
                raise UserError(f"{fault} {first} and {name} differ, but the network shares one tensor between them")
    for name, module in network.named_modules():
        index = state.get(f"{name}.index") if isinstance(module, ChannelIndex) else None
        if index is None:
            continue
        if not ((index.diff() > 0).all() and index[0] >= 0 and index[-1] < module.channels):  # type: ignore[operator]
            raise UserError(f"{fault} {name}.index names channels that do not exist, or not in order")


def _told(path: Path, prefix: str, names: Mapping[str, str], held: Mapping[str, Entry], others: list[str]) -> str:
    """Return one line on what was loaded. `names` maps names without the parts of wrappers to those in the file."""
    section = held[next(iter(names.values()))].section if names else ""
    before = prefix.removeprefix(section).strip(".")
    wrappers = sorted(_WRAPPERS.intersection(part for name in names.values() for part in name.split(".")))
    removed = [*([before] if before else []), *wrappers]
    parts = [f"{path}: {len(names)} tensors"]
    parts += [f"of its section {section!r}"] if section else []
    parts += [f"without {' and '.join(repr(f'{each}.') for each in removed)} in their names"] if removed else []
    parts += [f"(not those of {', '.join(map(repr, others[:3]))}, which fit as well)"] if others else []
    taken = set(names.values())
    left = [name for name in held if name not in taken]
    return " ".join(parts) + (f"; {len(left)} are left, such as {left[0]}" if left else "; none is left")
