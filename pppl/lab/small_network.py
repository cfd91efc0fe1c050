"""A user's own network that was made smaller for a person: what it costs, and a file of it without pickles."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Adapted, ChannelGroup, ShapeSpec, slice_network
from ..backbones.surgery import stored_once
from ..comparison.network_files import state_sha256
from ..pruning import Cost
from ..system.errors import UserError, first_line
from ..system.files import expand, output_folder, write_bytes

Network = TypeVar("Network", bound=nn.Module)
_FORMAT = "pppl-small 1"


@dataclass(frozen=True, kw_only=True, repr=False)
class Personalized:
    """A network that was made smaller for one person.

    - `module`: the smaller network, of the same class as the whole one.
    - `cost`, `full_cost`: MACs of one sample and number of parameters, of this network and of the whole one.
    - `masks`: which channels were kept, per group `(C_l,)`.
    - `groups`: the groups of channels, as `pppl.groups` shows them.
    """

    module: nn.Module
    cost: Cost
    full_cost: Cost
    masks: Sequence[Tensor]
    groups: Sequence[ChannelGroup]

    def __repr__(self) -> str:
        """Return the costs, and those of the whole network."""
        now, whole = self.cost, self.full_cost
        return (
            f"{type(self.module).__qualname__} with {now.macs:,} of {whole.macs:,} MACs ({now.macs / whole.macs:.1%}) "
            f"and {now.params:,} of {whole.params:,} parameters"
        )

    def save(self, path: str | Path) -> Path:
        """Write the weights of the smaller network and which channels it kept, for `load_small`.

        Tensors that layers share are written once.

        ```python
        small.save("anna.safetensors")
        ```
        """
        output_folder(expand(path).parent)
        state, shared = stored_once(self.module)
        header = {
            "format": _FORMAT,
            "groups": json.dumps([group.to_dict() for group in self.groups]),
            "masks": json.dumps([mask.int().tolist() for mask in self.masks]),
            "shared": json.dumps(shared),
        }
        write_bytes(expand(path), safetensors.torch.save(state, header | {"sha256": _digest(header, state)}))
        return expand(path)


def load_small(path: str | Path, module: Network) -> Network:
    """Return the smaller network of a file that `Personalized.save` wrote, in evaluation mode.

    **Arguments:**

    - `module`: a new network of the class and sizes of the whole one; its weights do not matter, and it stays as it is.

    ```python
    net = pppl.load_small("anna.safetensors", MyNet(num_classes=10))
    ```

    Raise `UserError` if the file is none of this kind, or if it is of another network.
    """
    if not isinstance(module, nn.Module):
        raise UserError(f"load_small was given {module!r}: give a new network, as MyNet(), not its class or a path")
    file, name = _read(expand(path)), type(module).__qualname__
    spec = ShapeSpec(backbone=name, options={"widths": tuple(map(len, file.masks))})
    try:
        smaller = slice_network(Adapted.with_groups(module, file.groups, spec), file.masks)
        small: Network = smaller.net  # type: ignore[assignment]
        for one, other in stored_once(small)[1].items():
            if file.shared.get(one, one) != file.shared.get(other, other):
                raise UserError(f"its {one} and {other} are one tensor, while the file has two")
        small.load_state_dict({**file.state, **{one: file.state[other] for one, other in file.shared.items()}})
    except (UserError, RuntimeError, AttributeError, LookupError, TypeError) as error:
        reason = getattr(error, "reason", first_line(error)).replace("'net.", "'")
        raise UserError(f"{path} is of another network than this {name}: {reason}") from error
    return small.eval()


@dataclass(frozen=True, kw_only=True)
class _Small:
    """What a file holds: tensors by name, and the names of those that layers share."""

    groups: tuple[ChannelGroup, ...]
    masks: Sequence[Tensor]
    state: Mapping[str, Tensor]
    shared: Mapping[str, str]


def _read(path: Path) -> _Small:
    """Read a file. Raise `UserError` if it is missing or altered, or if its masks do not belong to its groups."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        if header.get("format") != _FORMAT:
            raise UserError(f"{path} is no file that `save` of a small network wrote")
        if header.pop("sha256", None) != _digest(header, state):
            raise UserError(f"{path} is truncated or altered (it does not match its hash): make it again")
        groups = tuple(ChannelGroup.from_dict(tree) for tree in json.loads(header["groups"]))
        masks = [torch.tensor(mask, dtype=torch.bool) for mask in json.loads(header["masks"])]
        shared = dict(json.loads(header["shared"]))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: name a file that `save` of a small network wrote") from error
    except UserError:
        raise
    except (OSError, safetensors.SafetensorError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"{path} is no file of `save`, or truncated or altered: make it again") from error
    if len(masks) != len(groups):
        raise UserError(f"{path} has {len(masks)} masks for {len(groups)} groups of channels: make it again")
    for mask, group in zip(masks, groups, strict=True):
        if mask.ndim != 1 or not mask.any():
            raise UserError(f"{path} keeps no channel of {group.producer.removeprefix('net.')!r}: make it again")
    return _Small(groups=groups, masks=masks, state=state, shared=shared)


def _digest(header: Mapping[str, str], state: Mapping[str, Tensor]) -> str:
    """Return the hash of a file's header and tensors, of these also the types and shapes."""
    forms = {name: f"{value.dtype} {tuple(value.shape)}" for name, value in state.items()}
    return state_sha256(state, {**header, "tensors": json.dumps(forms, sort_keys=True)})
