"""Many people on one global network: a mask of bits each, batches of different people, and a few networks at hand."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, evaluating, hook_groups
from ..pruning import slice_network
from ..system.errors import UserError

_CHUNK = 1024  # people whose masks are allocated at a time


class People:
    """Personal models of one global network, by number: the order in which they were added.

    What a person takes is a bit per gated channel. A batch of different people is one pass of the global network, each
    row with a mask; one person alone is served by a network of their own, the last `networks` of which are kept.

    **Arguments:**

    - `network`: the global one, which stays in the mode that it is in.
    - `networks`: how many personal networks are kept.
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
        """Of all masks."""
        return sum(chunk.nbytes for chunk in self._chunks)

    def add(self, kept: Tensor | np.ndarray) -> int:
        """Adds a person by their mask, `(D,)`, all groups side by side, and returns their number.

        Raises `UserError` where the mask is of another size, or keeps no channel of a layer.
        """
        mask = np.asarray(kept, bool)
        if mask.shape != (self._channels,):
            raise UserError(f"a mask is {mask.shape}: the network has {self._channels} gated channels")
        ends = np.cumsum(self._base.widths)[:-1]
        if not all(part.any() for part in np.split(mask, ends)):
            raise UserError("a mask keeps no channel of a layer: one at least")
        if self._count % _CHUNK == 0:
            self._chunks.append(np.zeros((_CHUNK, -(-self._channels // 8)), np.uint8))
        self._chunks[-1][self._count % _CHUNK] = np.packbits(mask)
        self._count += 1
        return self._count - 1

    def masks(self, people: Sequence[int]) -> Tensor:
        """Masks of people, `(B, D)` boolean. Raises `UserError` for a number that nobody has."""
        for person in people:
            if not 0 <= person < self._count:
                raise UserError(f"there is no person {person}: {self._count} were added, from 0")
        packed = np.stack([self._chunks[person // _CHUNK][person % _CHUNK] for person in people])
        return torch.from_numpy(np.unpackbits(packed, axis=1, count=self._channels).view(bool))

    @torch.inference_mode()
    def __call__(self, x: Tensor, people: Sequence[int]) -> Tensor:
        """Logits `(B, K)` of samples `(B, C, ...)`, each for a person, in one pass of the global network."""
        if len(people) != len(x):
            raise UserError(f"{len(x)} samples of {len(people)} people: name one for each sample")
        parts = self.masks(people).to(x.dtype).split(self._base.widths, 1)

        def mask(index: int, activations: Tensor) -> Tensor:
            gate = parts[index]
            return activations.mul_(gate.view(*gate.shape, *(1,) * (activations.ndim - 2)))  # nobody else reads them

        with evaluating(self._base), hook_groups(self._base, after=mask):
            return self._base(x)

    def network(self, person: int) -> Backbone:
        """A person's own network, from those at hand or cut out now."""
        if person in self._networks:
            self._networks.move_to_end(person)
            return self._networks[person]
        masks = self.masks([person])[0].split(self._base.widths)
        self._networks[person] = slice_network(self._base, list(masks)).eval()
        if len(self._networks) > self._most:
            self._networks.popitem(last=False)
        return self._networks[person]
