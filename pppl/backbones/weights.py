"""Weights from elsewhere, as a network's start: `.npz`, `.safetensors`, or a Lightning checkpoint, never a pickle."""

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import UserError
from .index import ChannelIndex

# All that numpy, zlib and torch raise on files that are damaged, of another kind, or would need unpickling.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    LookupError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
)
# What training code puts before a network's own names.
_PREFIXES = ("module.", "model.", "network.", "backbone.")


def load_weights(network: nn.Module, path: Path) -> list[str]:
    """Puts a file's weights into `network`. A linear head for other classes keeps its fresh weights.

    **Returns:** the names that kept fresh weights. Raises `UserError` where the file cannot be read safely, or does not
    fit the network.
    """
    state, own = _strip(read_weights(path), network), network.state_dict()
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1:]
    fresh = {
        name
        for name in own
        if name.rpartition(".")[0] in head and name in state and state[name].shape != own[name].shape
    }
    # What other code has no name for, and an untouched network has right.
    optional = {f"{name}.index" for name, module in network.named_modules() if isinstance(module, ChannelIndex)}
    optional |= {name for name in own if name.endswith("num_batches_tracked")}
    for name in own.keys() - fresh - (optional - state.keys()):
        _check(path, name, own[name], state)
    network.load_state_dict({**own, **{name: state[name] for name in own.keys() & state.keys() - fresh}})
    return sorted(fresh)


def _check(path: Path, name: str, own: Tensor, state: Mapping[str, Tensor]) -> None:
    if name not in state:
        held = ", ".join(sorted(state)[:3]) or "nothing"
        raise UserError(f"{path} does not fit the backbone: it has no {name!r} (it holds {held}, ...)")
    value = state[name]
    if value.shape != own.shape:
        raise UserError(f"{path} does not fit the backbone: {name} is {tuple(value.shape)}, not {tuple(own.shape)}")
    if value.is_floating_point() != own.is_floating_point() or not value.isfinite().all():
        raise UserError(f"{path} holds {name} as {value.dtype}, or with values that are not finite: save it again")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Raises `UserError` where it is none of the kinds that can be read safely."""
    try:
        if path.suffix == ".npz":
            # Opened here, since numpy leaves a file open that is no archive.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: name a state dict, .npz, .safetensors or a Lightning checkpoint") from error
    except _UNREADABLE as error:
        raise UserError(f"{path} holds no weights that can be read safely: save a plain state dict") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is truncated or no safetensors file") from error
    state = tree.get("state_dict", tree) if isinstance(tree, Mapping) else {}
    named = state.items() if isinstance(state, Mapping) else ()
    return {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}


def _strip(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The state with names as the network has them, without the prefixes of who trained it."""
    wanted = next(iter(network.state_dict()))
    while wanted not in state:
        prefix = next((p for p in _PREFIXES if any(name.startswith(p) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state
