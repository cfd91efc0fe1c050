"""The thin form of a personal model: a bit per channel of the global network, a class prior and a delta, if any.

A device or server that holds the global network can make the personal network from it. The file has these parts:

- 8 bytes of magic, then the SHA-256 of everything after it (32 bytes);
- the SHA-256 of the global network's weights (32 bytes);
- the number of gated channels (4 bytes) and a bit for each: 1 if it is kept;
- if the classifier is corrected for the person's classes: a marker (8 bytes), a byte that is 1 if classes are cut, the
  number of classes (4 bytes), and the number to add to each logit (4 bytes per class);
- if the person's weights differ: a delta file (`pppl.diff`).
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

from ..backbones import NEVER, Backbone, correct_logits, outputs_of, slice_network
from ..diff import Delta, DeltaFile, DeltaStore, base_sha256, write_delta
from ..system.errors import UserError
from ..system.files import expand, write_bytes

_MAGIC = b"PPPLthin"
_HEAD = len(_MAGIC) + 2 * 32 + 4
# The marker of a class prior. No delta file begins with it: its header would have 10^18 bytes.
_PRIOR = b"PPPLprio"
_MOST_CLASSES = 1 << 16
# A file with more channels or bytes is rejected.
_MOST_CHANNELS, _MOST_BYTES = 1 << 20, 1 << 28


@dataclass(frozen=True, kw_only=True)
class Thin:
    """A person's masks, class prior and delta.

    >>> from pppl.backbones import build, spec_for
    >>> base = build(spec_for("convnet", {}, (1, 8, 8), 2))
    >>> thin = Thin.of(base, [torch.arange(width) < 2 for width in base.widths])
    >>> thin.network(base).widths
    (2, 2, 2, 2)

    - `kept`: whether each channel is kept, over the channels of all groups, `(D,)` boolean.
    - `base_sha256`: hash of the global network's weights.
    - `added`: numbers to add to the logits of the classes, `(K,)` float32; None without a class prior.
    - `cut`: whether the outputs of classes that are never predicted are removed.
    - `delta`: content of a delta file for the sliced network; empty without a delta.
    """

    kept: np.ndarray
    base_sha256: str
    added: np.ndarray | None = None
    cut: bool = False
    delta: bytes = b""

    @classmethod
    def of(
        cls,
        base: Backbone,
        masks: Sequence[Tensor],
        delta: Delta | None = None,
        *,
        added: Tensor | None = None,
        cut: bool = False,
    ) -> Self:
        """Return the thin form of `base` sliced by `masks` (per group, `(C_l,)`).

        **Arguments:**

        - `delta`: a delta to the sliced network.
        - `added`: the class prior's numbers to add to the logits, `(K,)`.
        - `cut`: whether the outputs of classes that are never predicted are removed.
        """
        return cls(
            kept=torch.cat([mask.bool() for mask in masks]).cpu().numpy(),
            base_sha256=base_sha256(base),
            added=None if added is None else added.cpu().numpy().astype("<f4"),
            cut=cut,
            delta=b"" if delta is None else _delta_bytes(delta),
        )

    def to_bytes(self) -> bytes:
        """Return the content of the file.

        It has `76 + D / 8` bytes for D channels, `13 + 4 K` more for a prior over K classes, and those of the delta.
        """
        body = bytes.fromhex(self.base_sha256) + len(self.kept).to_bytes(4, "little")
        body += np.packbits(self.kept).tobytes()
        if self.added is not None:
            body += _PRIOR + bytes([self.cut]) + len(self.added).to_bytes(4, "little") + self.added.tobytes()
        body += self.delta
        return _MAGIC + hashlib.sha256(body).digest() + body

    def write(self, path: str | Path) -> None:
        """Write the file atomically: an existing file stays until the new one is complete."""
        write_bytes(expand(path), self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `write` wrote.

        Raise `UserError` if the file is missing, truncated, altered or of another kind.
        """
        try:
            with expand(path).open("rb") as file:
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
            raise UserError(f"{path} is damaged (bits for channels that do not exist): fetch or make it again")
        added, cut, delta = _read_prior(rest[packed:], str(path))
        kept = bits[:channels].astype(bool)
        return cls(kept=kept, base_sha256=body[:32].hex(), added=added, cut=cut, delta=delta)

    def network(self, base: Backbone) -> Backbone:
        """Make the personal network from the global network `base`.

        Raise `UserError` if this is the thin form of another global network, or if its masks or delta are impossible.
        """
        if self.base_sha256 != (own := base_sha256(base)):
            raise UserError(
                f"this thin model belongs to another network ({self.base_sha256[:12]}, this one is {own[:12]}): load "
                "the global network that it was made from"
            )
        if len(self.kept) != sum(base.widths):
            raise UserError(f"this thin model has {len(self.kept)} channels, its network {sum(base.widths)}")
        masks = torch.from_numpy(self.kept.copy()).split(base.widths)
        if not all(mask.any() for mask in masks):
            raise UserError("this thin model keeps no channel of a layer: make it again")
        network = slice_network(base, masks)
        if self.delta:
            _apply(network, self.delta)
        return network if self.added is None else self._corrected(network, self.added)

    def _corrected(self, network: Backbone, added: np.ndarray) -> Backbone:
        if len(added) != len(outputs_of(network)):
            raise UserError(f"this thin model has {len(added)} classes, its network {len(outputs_of(network))}")
        return correct_logits(network, torch.from_numpy(added.astype(np.float32)), cut=self.cut)


def _read_prior(content: bytes, where: str) -> tuple[np.ndarray | None, bool, bytes]:
    """Split the end of a file into the numbers to add to logits, whether classes are cut, and the delta file."""
    if not content.startswith(_PRIOR):
        return None, False, content
    cut, rest = content[len(_PRIOR) : len(_PRIOR) + 1], content[len(_PRIOR) + 1 :]
    classes = int.from_bytes(rest[:4], "little")
    added = np.frombuffer(rest[4 : 4 + 4 * classes], "<f4") if len(rest) >= 4 + 4 * classes else np.empty(0)
    sound = 2 <= classes <= _MOST_CLASSES and len(added) == classes and np.isfinite(added).all()
    if not sound or cut not in (b"\0", b"\1") or (added > NEVER).sum() < 1 + (cut == b"\1"):
        raise UserError(f"{where} is damaged (the prior of {classes} classes): fetch or make it again")
    return added, cut == b"\1", rest[4 + 4 * classes :]


def _delta_bytes(delta: Delta) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delta.safetensors"
        write_delta(path, delta)
        return path.read_bytes()


def _apply(network: Backbone, delta: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delta.safetensors"  # safetensors slices can only be read from a file
        path.write_bytes(delta)
        store = DeltaStore(network)
        try:
            store.add("own", DeltaFile(path))
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the delta of this thin model")) from error
        store.apply("own")
