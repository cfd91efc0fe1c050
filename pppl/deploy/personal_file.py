"""The personal model file: a safetensors file whose header describes the network and its preprocessing.

Files from untrusted sources are safe to open: a file is rejected, or read exactly as it was written. The size of its
header is limited, and its entries are checked. The network is built without memory and compared with the tensors before
these are read. The file holds no code and no pickles, and it chooses no code that is run (`trusted`).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..backbones import Backbone, ChannelIndex, ShapeSpec, build, outputs_of
from ..backbones.backbone import OUTPUTS, RANKS
from ..data.preprocessing import Preprocessing
from ..system.errors import UserError
from ..system.files import expand, write_bytes
from .meta_build import build_on_meta
from .trusted import trusted

_FORMAT = "pppl-personal 1"
# Limit of a header in bytes. The largest backbones of this package take less than a tenth of it.
_MOST_HEADER = 1 << 20
_TYPES = {"F32": torch.float32, "I64": torch.int64}
_KEYS = {"format", "spec", "full", "preprocessing", "base_sha256", "provenance", "sha256"}


@dataclass(frozen=True, kw_only=True)
class PersonalFile:
    """A person's network with its preprocessing and provenance.

    ```python
    file = PersonalFile(network=network, full=full.spec, preprocessing=preprocessing, base_sha256=base_sha256(full))
    file.write(Path("personal.safetensors"))
    ```

    - `network`: the personal network, of plain modules, in evaluation mode.
    - `full`: the spec of the network that it was cut out of.
    - `base_sha256`: hash of that network's weights.
    - `provenance`: the origin of the network: method, budget, versions, hash of the data.
    """

    network: Backbone
    full: ShapeSpec
    preprocessing: Preprocessing
    base_sha256: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the network's outputs."""
        names = self.preprocessing.classes
        return tuple(names[index] for index in outputs_of(self.network)) if names else ()

    def write(self, path: str | Path) -> None:
        """Write the file atomically: an existing file stays until the new one is complete."""
        write_bytes(expand(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of the file that `write` writes."""
        state = {key: value.detach().cpu().contiguous().clone() for key, value in self.network.state_dict().items()}
        header = {
            "format": _FORMAT,
            "spec": self.network.spec.to_json(),
            "full": self.full.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "base_sha256": self.base_sha256,
            "provenance": json.dumps(dict(self.provenance)),
        }
        return safetensors.torch.save(state, header | {"sha256": _digest(header, state)})


def read_personal(path: str | Path) -> PersonalFile:
    """Read a personal model file.

    ```python
    read_personal("personal.safetensors").classes
    ```

    Raise `UserError` if the file is missing, truncated, altered or of another version, or if no such network can exist.
    """
    try:
        return _read(expand(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: name a personal model file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is truncated or no personal model file: fetch or make it again") from error
    except _Damaged as error:
        raise UserError(f"{path} is damaged ({error}): fetch or make it again") from error


class _Damaged(Exception):
    """A fault in the content of a personal model file."""


def _read(path: Path) -> PersonalFile:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > _MOST_HEADER:
        raise _Damaged(f"its header takes {size:,} bytes")
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata() or {}
        if header.get("format") != _FORMAT or set(header) != _KEYS:
            raise _Damaged(f"not a file of this version, {_FORMAT}")
        try:
            spec, full = ShapeSpec.from_json(header["spec"]), ShapeSpec.from_json(header["full"])
            preprocessing = Preprocessing.from_json(header["preprocessing"])
            provenance = dict(json.loads(header["provenance"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _Damaged(f"its header is invalid: {error}") from error
        spec, full = trusted(spec, path), trusted(full, path)
        _check_fit(spec, full, preprocessing)
        parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        shapes = {key: (tuple(part.get_shape()), _TYPES.get(part.get_dtype())) for key, part in parts.items()}
        _check_shapes(spec, shapes)
        state = {key: file.get_tensor(key) for key in parts}
    if header.pop("sha256") != _digest(header, state):
        raise _Damaged("its contents do not match their hash")
    network = build(spec)
    network.load_state_dict(state)
    _check_values(network, state)
    return PersonalFile(
        network=network.eval(),
        full=full,
        preprocessing=preprocessing,
        base_sha256=header["base_sha256"],
        provenance=provenance,
    )


def _check_fit(spec: ShapeSpec, full: ShapeSpec, preprocessing: Preprocessing) -> None:
    given = {"in_channels": preprocessing.shape[0], "num_outputs": preprocessing.outputs}
    for option, value in given.items():
        if spec.options.get(option, value) != value:
            raise _Damaged(f"{option} is {spec.options[option]}, but its preprocessing needs {value}")
    if full.with_widths(()) != _as_constructed(spec).with_widths(()):
        raise _Damaged("its network cannot be cut out of the full network that it names")


def _as_constructed(spec: ShapeSpec) -> ShapeSpec:
    """Return the spec without the options for layers that were replaced after construction."""
    options = {key: value for key, value in spec.options.items() if key not in (RANKS, OUTPUTS)}
    return ShapeSpec(backbone=spec.backbone, options=options)


def _check_shapes(spec: ShapeSpec, shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype | None]]) -> None:
    """Compare the tensors of a file with the network that it describes, which is built on the meta device."""
    widths = spec.options.get("widths", ())
    if not isinstance(widths, tuple) or len(widths) > len(shapes):
        raise _Damaged(f"widths are {widths}"[:80])
    try:
        values = sum(math.prod(shape) for shape, _ in shapes.values())
        network = build_on_meta(spec, tensors=len(shapes), values=values)
        expected = {key: (tuple(value.shape), value.dtype) for key, value in network.state_dict().items()}
    except (UserError, RuntimeError, AttributeError) as error:
        raise _Damaged(f"no network can be built: {str(error)[:200]}") from error
    if expected != dict(shapes):
        wrong = sorted(key for key in {*expected, *shapes} if expected.get(key) != shapes.get(key))
        raise _Damaged(f"tensor {wrong[0]} does not match the network")


def _check_values(network: Backbone, state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise _Damaged(f"{key} holds NaN or infinite values")
        if key.endswith("running_var") and (value < 0).any():
            raise _Damaged(f"{key} holds variances below 0")
    for path, module in network.named_modules():
        if isinstance(module, ChannelIndex) and not module.is_possible():
            raise _Damaged(f"{path} names channels that do not exist")


def _digest(header: Mapping[str, str], state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for key in sorted(state):
        digest.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}\n".encode())
        digest.update(state[key].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
