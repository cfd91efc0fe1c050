"""Weights shared by centroids (Han, Mao, Dally: Deep Compression, ICLR 2016, section 3), and the size of their file."""

import copy
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
_MOST_ITERATIONS = 300


def share_weights(network: Module, bits: int) -> tuple[Module, int]:
    """Return a copy of `network` in which each weight tensor has at most `2**bits` different values.

    Vectors (biases, batch normalization) and tensors that would not become smaller stay as they are.

    **Returns:** the copy, and the size of its file in bytes. The file takes `bits` bits for each shared weight, and 32
    for each centroid and each other value.

    >>> shared, size = share_weights(nn.Linear(64, 64), bits=2)
    >>> len(shared.weight.unique()) <= 4
    True
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
    """Cluster values, `(N,)`, by k-means that starts from centroids at equal distances.

    Lloyd's iterations are computed exactly, which one dimension allows.

    **Returns:** `2**bits` centroids in ascending order, and the index of the centroid nearest to each value, `(N,)`.
    """
    order = np.sort(values.cpu().double().numpy())
    sums = np.concatenate([[0.0], order.cumsum()])
    centroids = np.linspace(order[0], order[-1], 2**bits)
    for _ in range(_MOST_ITERATIONS):
        ends = np.searchsorted(order, (centroids[1:] + centroids[:-1]) / 2, side="right")
        edges = np.concatenate([[0], ends, [len(order)]])
        counts = np.diff(edges)
        # An empty cluster keeps its centroid.
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centroids)
        if np.allclose(moved, centroids, rtol=0, atol=1e-9 * max(abs(order[0]), abs(order[-1]))):
            break
        centroids = moved
    kept = torch.from_numpy(centroids).to(values)
    return kept, torch.bucketize(values, (kept[1:] + kept[:-1]) / 2)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack codes, `(N,)`, of `bits` bits each, side by side into bytes, most significant bit first.

    >>> pack(torch.tensor([1, 2]), 4)
    tensor([18], dtype=torch.uint8)
    """
    planes = codes.cpu().numpy()[:, None] >> np.arange(bits)[::-1] & 1  # (N, bits)
    return torch.from_numpy(np.packbits(planes.astype(np.uint8)))
