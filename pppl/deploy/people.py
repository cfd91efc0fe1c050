"""Many people on one global network: a bit mask per person, and batches that mix people."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, evaluating, hook_groups, slice_network
from ..system.errors import UserError

_CHUNK = 1024  # masks are allocated for this many people at a time


class People:
    """Personal models of one global network, numbered in the order in which they were added.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {}, (1, 8, 8), 2))
    >>> people = People(network)
    >>> number = people.add(torch.ones(sum(network.widths)))
    >>> people(torch.zeros(3, 1, 8, 8), [number] * 3).shape
    torch.Size([3, 2])

    A person takes one bit per gated channel. A batch of samples of different people is one pass of the global network,
    with a mask per row. For a single person, `network` gives a small network. The last few of these are cached.

    **Arguments:**

    - `network`: the global network. Its mode (training or evaluation) is restored after each call.
    - `networks`: how many personal networks the cache keeps.
    """

    def __init__(self, network: Backbone, *, networks: int = 16):
        self._base, self._most = network, networks
        self._channels = sum(network.widths)
        self._chunks: list[np.ndarray] = []
        self._count = 0
        self._networks: OrderedDict[int, Backbone] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """Memory of all masks."""
        return sum(chunk.nbytes for chunk in self._chunks)

    def add(self, kept: Tensor | np.ndarray) -> int:
        """Add a person by their mask over the channels of all groups, `(D,)`, and return their number.

        Raise `UserError` if the mask has another size, or keeps no channel of a layer.
        """
        mask = np.asarray(kept, bool)
        if mask.shape != (self._channels,):
            raise UserError(f"a mask has shape {mask.shape}: the network has {self._channels} gated channels")
        ends = np.cumsum(self._base.widths)[:-1]
        if not all(part.any() for part in np.split(mask, ends)):
            raise UserError("a mask keeps no channel of a layer: keep at least one")
        if self._count % _CHUNK == 0:
            self._chunks.append(np.zeros((_CHUNK, -(-self._channels // 8)), np.uint8))
        self._chunks[-1][self._count % _CHUNK] = np.packbits(mask)
        self._count += 1
        return self._count - 1

    def masks(self, people: Sequence[int]) -> Tensor:
        """Return the boolean masks of people, `(B, D)`.

        Raise `UserError` for an unknown number.
        """
        for person in people:
            if not 0 <= person < self._count:
                raise UserError(f"there is no person {person}: {self._count} were added, numbered from 0")
        packed = np.stack([self._chunks[person // _CHUNK][person % _CHUNK] for person in people])
        return torch.from_numpy(np.unpackbits(packed, axis=1, count=self._channels).view(bool))

    @torch.inference_mode()
    def __call__(self, x: Tensor, people: Sequence[int]) -> Tensor:
        """Return logits, `(B, K)`, of samples `(B, C, ...)`, each with its person's mask, in one pass."""
        if len(people) != len(x):
            raise UserError(f"{len(x)} samples of {len(people)} people: name one person for each sample")
        parts = self.masks(people).to(x.dtype).split(self._base.widths, 1)

        def mask(index: int, activations: Tensor) -> Tensor:
            gate = parts[index]
            # In place, since nothing else reads these activations.
            return activations.mul_(gate.view(*gate.shape, *(1,) * (activations.ndim - 2)))

        with evaluating(self._base), hook_groups(self._base, after=mask):
            return self._base(x)

    def network(self, person: int) -> Backbone:
        """Return a person's own network, from the cache or sliced now."""
        if person in self._networks:
            self._networks.move_to_end(person)
            return self._networks[person]
        masks = self.masks([person])[0].split(self._base.widths)
        self._networks[person] = slice_network(self._base, list(masks)).eval()
        if len(self._networks) > self._most:
            self._networks.popitem(last=False)
        return self._networks[person]
