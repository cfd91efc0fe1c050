"""A user's own network that was made smaller for a person: what it costs, and a file of it without pickles."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Adapted, Backbone, ChannelGroup, ShapeSpec, slice_network
from ..pruning import Cost
from ..system.errors import UserError
from ..system.files import expand, write_bytes
from ..training.own_batches import first_line

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

        ```python
        small.save("anna.safetensors")
        ```
        """
        header = {
            "format": _FORMAT,
            "groups": json.dumps([group.to_dict() for group in self.groups]),
            "masks": json.dumps([mask.int().tolist() for mask in self.masks]),
        }
        state = {name: value.detach().cpu().contiguous() for name, value in self.module.state_dict().items()}
        write_bytes(expand(path), safetensors.torch.save(state, header))
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
    path = expand(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        if header.get("format") != _FORMAT:
            raise UserError(f"{path} is no file that `save` of a small network wrote")
        groups = tuple(ChannelGroup.from_dict(tree) for tree in json.loads(header["groups"]))
        masks = [torch.tensor(mask, dtype=torch.bool) for mask in json.loads(header["masks"])]
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: name a file that `save` of a small network wrote") from error
    except (OSError, safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is truncated or altered: make it again") from error
    name = type(module).__qualname__
    spec = ShapeSpec(backbone=name, options={"widths": tuple(map(len, masks))})
    try:
        smaller: Backbone = slice_network(Adapted.with_groups(module, groups, spec), masks)
        small: Network = smaller.net  # type: ignore[assignment]
        small.load_state_dict(state)
    except (UserError, RuntimeError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is of another network than this {name}: {first_line(error)}") from error
    return small.eval()
