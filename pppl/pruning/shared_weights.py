"""Weights shared by centroids (Han, Mao, Dally: Deep Compression, ICLR 2016, section 3), and what their file takes."""

import copy
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
_MOST_ITERATIONS = 300


def share_weights(network: Module, bits: int) -> tuple[Module, int]:
    """A copy of `network` in which each weight tensor has no more than `2**bits` different values.

    Vectors (biases, batch normalization) and tensors that would not get smaller stay as they are.

    **Returns:** the copy, and the bytes of its file: `bits` for each weight, 32 for each centroid and whatever stays.
    """
    shared = copy.deepcopy(network)
    stored = {key: value.contiguous() for key, value in shared.state_dict().items()}
    for name, parameter in shared.named_parameters():
        coded = (parameter.numel() * bits + 7) // 8 + 4 * 2**bits
        if parameter.ndim < 2 or coded >= 4 * parameter.numel():
            continue
        centroids, codes = cluster(parameter.detach().flatten(), bits)
        parameter.data.copy_(centroids[codes].view_as(parameter))
        stored.pop(name)
        stored |= {f"{name}.centroids": centroids, f"{name}.codes": pack(codes, bits)}
    return shared, len(safetensors.torch.save(stored))


def cluster(values: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """k-means of `(N,)` values from centroids at equal distances (Lloyd's iterations, exact in one dimension).

    **Returns:** `2**bits` centroids, rising, and the index of each value's nearest, `(N,)`.
    """
    order = np.sort(values.cpu().double().numpy())
    sums = np.concatenate([[0.0], order.cumsum()])
    centroids = np.linspace(order[0], order[-1], 2**bits)
    for _ in range(_MOST_ITERATIONS):
        ends = np.searchsorted(order, (centroids[1:] + centroids[:-1]) / 2, side="right")
        edges = np.concatenate([[0], ends, [len(order)]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centroids)  # an empty one stays
        if np.allclose(moved, centroids, rtol=0, atol=1e-9 * max(abs(order[0]), abs(order[-1]))):
            break
        centroids = moved
    kept = torch.from_numpy(centroids).to(values)
    return kept, torch.bucketize(values, (kept[1:] + kept[:-1]) / 2)


def pack(codes: Tensor, bits: int) -> Tensor:
    """`(N,)` codes of `bits` bits, side by side in bytes, most significant bit first."""
    planes = codes.cpu().numpy()[:, None] >> np.arange(bits)[::-1] & 1  # (N, bits)
    return torch.from_numpy(np.packbits(planes.astype(np.uint8)))
