"""Files of global networks: safetensors with a header from which the network is rebuilt."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..backbones import Backbone, ShapeSpec, build
from ..config.older import current_names
from ..gating import GatedNetwork, PersonGatedNetwork
from ..system.errors import UserError
from ..system.files import replacing
from ..tables.provenance import device_name
from ..tasks import TASKS
from .recipes import Recipe

# Sections of a header with settings of gates, if it has any; `matched` comes from an earlier version.
_GATES = ("ppp", "person_training", "matched")
_FORMAT = "3"  # version of the file format


def save_network(
    path: Path,
    recipe: Recipe,
    network: nn.Module,
    metrics: Mapping[str, float],
    *,
    trained_on: str = "",
    hashed: bool = False,
) -> None:
    """Write weights as safetensors; the header holds shape spec, task, settings of gates, metrics and a hash.

    **Arguments:**

    - `trained_on`: the GPU or processor; this machine's by default.
    - `hashed`: passed on to `replacing`.
    """
    # Cloned, since safetensors refuses tensors that layers share.
    state = {k: v.clone(memory_format=torch.contiguous_format) for k, v in network.state_dict().items()}
    header = {
        "pppl": _FORMAT,
        "spec": recipe.spec.to_json(),
        "task": recipe.task,
        "ppp": json.dumps(dataclasses.asdict(recipe.ppp) if recipe.ppp else None),
        "person_training": json.dumps(
            dataclasses.asdict(recipe.person_training.settings) if recipe.person_training else None
        ),
        "metrics": json.dumps(dict(metrics)),
        "trained_on": trained_on or device_name(),
    }
    header["sha256"] = state_sha256(state, header)
    with replacing(path, hashed=hashed) as temporary:
        temporary.write_bytes(safetensors.torch.save(state, header))  # `write_bytes` raises plain errors of the system


def load_network(path: Path) -> tuple[nn.Module, dict[str, float]]:
    """Return a network that `save_network` wrote, in evaluation mode, and its metrics.

    Raise `UserError` if the file is truncated, altered or of another version.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is truncated or no safetensors file") from error
    if header.get("pppl") != _FORMAT:
        raise UserError(f"{path} is of another version ({header.get('pppl')}, not {_FORMAT})")
    if header.pop("sha256", None) != state_sha256(state, header):
        raise UserError(f"{path} is altered: it does not match its hash")
    network: nn.Module = build(ShapeSpec.from_json(header["spec"]))
    gates = current_names({key: json.loads(header[key]) for key in header.keys() & {*_GATES}})
    if ppp := gates["ppp"]:
        network = GatedNetwork(cast(Backbone, network), width=ppp["gate_width"], temperature=ppp["temperature"])
    if persons := gates.get("person_training"):
        network = PersonGatedNetwork(
            cast(Backbone, network),
            TASKS.find(header["task"]),
            gate_input=persons["gate_input"],
            width=persons["gate_width"],
        )
    network.load_state_dict(state)
    return network.eval(), json.loads(header["metrics"])


def read_device(path: Path) -> str:
    """Return the GPU or processor that a network was trained on; `unknown` if its file does not say."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("trained_on", "unknown")
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is truncated or no safetensors file") from error


def state_sha256(state: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Return the hash of weights and of the header that belongs to them."""
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
