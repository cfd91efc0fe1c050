"""The thin form of a personal model: which channels of the global network are kept, a bit each, and a delta if any.

Whoever holds the global network, a device or a server, makes the personal network of it. The file: 8 bytes of magic,
the SHA-256 of all that follows, that of the global network's weights (32 bytes each), how many channels are gated (4
bytes), their bits, and a delta file (`pppl.diff`) where the person's weights differ.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone
from ..diff import Delta, DeltaFile, DeltaStore, base_sha256, write_delta
from ..errors import UserError
from ..files import expanded, write_bytes
from ..pruning import slice_network

_MAGIC = b"PPPLthin"
_HEAD = len(_MAGIC) + 2 * 32 + 4
# Channels of one network, and bytes of a file, beyond which it is refused unread.
_MOST_CHANNELS, _MOST_BYTES = 1 << 20, 1 << 28


@dataclass(frozen=True, kw_only=True)
class Thin:
    """A person's masks, and a delta file's bytes.

    - `kept`: `(D,)` boolean, the groups of channels side by side.
    - `base_sha256`: of the global network's weights.
    - `delta`: of the network that the masks leave; empty without one.
    """

    kept: np.ndarray
    base_sha256: str
    delta: bytes = b""

    @classmethod
    def of(cls, base: Backbone, masks: Sequence[Tensor], delta: Delta | None = None) -> Self:
        """That of a network which `masks`, per group `(C_l,)`, leave of `base`, and of a delta to that."""
        kept = torch.cat([mask.bool() for mask in masks]).cpu().numpy()
        return cls(kept=kept, base_sha256=base_sha256(base), delta=b"" if delta is None else _delta_bytes(delta))

    def to_bytes(self) -> bytes:
        """What the file holds: `76 + D / 8` bytes and the delta."""
        body = bytes.fromhex(self.base_sha256) + len(self.kept).to_bytes(4, "little")
        body += np.packbits(self.kept).tobytes() + self.delta
        return _MAGIC + hashlib.sha256(body).digest() + body

    def write(self, path: Path) -> None:
        """Writes the file; what was there before stays until it is whole."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Reads what `write` wrote. Raises `UserError` where the file is truncated, altered or something else."""
        try:
            with expanded(path).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; name a thin personal model") from error
        head, hashed, body = content[:8], content[8:40], content[40:]
        if head != _MAGIC or len(content) < _HEAD or len(content) > _MOST_BYTES:
            raise UserError(f"{path} is truncated or no thin personal model: fetch or make it again")
        if hashlib.sha256(body).digest() != hashed:
            raise UserError(f"{path} is damaged (it does not match its hash): fetch or make it again")
        channels, rest = int.from_bytes(body[32:36], "little"), body[36:]
        packed = -(-channels // 8)
        if not 0 < channels <= _MOST_CHANNELS or len(rest) < packed:
            raise UserError(f"{path} is damaged ({channels} channels): fetch or make it again")
        bits = np.unpackbits(np.frombuffer(rest[:packed], np.uint8))
        if bits[channels:].any():
            raise UserError(f"{path} is damaged (bits of channels that are not there): fetch or make it again")
        return cls(kept=bits[:channels].astype(bool), base_sha256=body[:32].hex(), delta=rest[packed:])

    def network(self, base: Backbone) -> Backbone:
        """The personal network, of the global one.

        Raises `UserError` where it is of another global network, or its masks or delta are impossible.
        """
        if self.base_sha256 != (own := base_sha256(base)):
            raise UserError(
                f"this thin model belongs to another network ({self.base_sha256[:12]}, this one is {own[:12]}): load "
                "the global network that it was made of"
            )
        if len(self.kept) != sum(base.widths):
            raise UserError(f"this thin model has {len(self.kept)} channels, its network {sum(base.widths)}")
        masks = torch.from_numpy(self.kept.copy()).split(base.widths)
        if not all(mask.any() for mask in masks):
            raise UserError("this thin model keeps no channel of a layer: make it again")
        network = slice_network(base, masks)
        if self.delta:
            _apply(network, self.delta)
        return network


def _delta_bytes(delta: Delta) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delta.safetensors"
        write_delta(path, delta)
        return path.read_bytes()


def _apply(network: Backbone, delta: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delta.safetensors"  # safetensors opens files
        path.write_bytes(delta)
        store = DeltaStore(network)
        try:
            store.add("own", DeltaFile(path))
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the delta of this thin model")) from error
        store.apply("own")
