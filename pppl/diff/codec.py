"""Increasing positions as Golomb-Rice coded gaps (Golomb 1966; Rice and Plaunt 1971).

A gap g is a quotient g >> b in unary and a remainder of b bits. The unary codes of all gaps lie in one bitmap, a 1 at
the end of each, and the remainders in another, so that both are coded and decoded in array operations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

# What a decoder holds at a time, bits of the unary bitmap.
_WINDOW = 1 << 16
# Sizes below this keep all sums of a hostile code inside of 64 bits.
_MOST = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Code:
    """How `count` positions below `size` are coded.

    - `rice`: b, the bits of a remainder.
    - `unary_bytes`: of the unary bitmap; the remainders follow.
    """

    size: int
    count: int
    rice: int
    unary_bytes: int

    @property
    def bytes(self) -> int:
        """Of both bitmaps."""
        return self.unary_bytes + (self.count * self.rice + 7) // 8

    def fault(self) -> str | None:
        """What makes this impossible, before a byte is read."""
        if not 0 <= self.count <= self.size < _MOST:
            return f"{self.count} positions among {self.size}"
        if not 0 <= self.rice <= self.size.bit_length():
            return f"{self.rice} bits of a remainder"
        # The quotients cannot add up to more than what the last position allows.
        most = self.count + (self.size >> self.rice)
        if not (self.count + 7) // 8 <= self.unary_bytes <= (most + 7) // 8:
            return f"{self.unary_bytes} bytes for {self.count} quotients"
        return None


def encode(positions: np.ndarray, size: int) -> tuple[Code, bytes]:
    """Codes `(K,)` ascending int64 positions below `size` with the best number of remainder bits."""
    gaps = np.diff(positions, prepend=-1) - 1
    rice = min(range(size.bit_length()), key=lambda bits: int((gaps >> bits).sum()) + bits * len(gaps), default=0)
    unary = np.zeros(int((gaps >> rice).sum()) + len(gaps), np.uint8)
    unary[np.cumsum((gaps >> rice) + 1) - 1] = 1
    remainders = (gaps[:, None] >> np.arange(rice)) & 1  # (K, b), lowest bit first
    coded = np.packbits(unary).tobytes()
    code = Code(size=size, count=len(positions), rice=rice, unary_bytes=len(coded))
    return code, coded + np.packbits(remainders.astype(np.uint8)).tobytes()


def decode(code: Code, read: Callable[[int, int], np.ndarray]) -> Iterator[np.ndarray]:
    """The positions, ascending, in windows of bounded size.

    **Arguments:**

    - `read`: gives bytes from one offset to another, uint8.

    Raises `ValueError` where the bytes are no code of `code.count` positions below `code.size`.
    """
    done, zeros, last = 0, 0, -1
    for start in range(0, code.unary_bytes, _WINDOW // 8):
        bits = np.unpackbits(read(start, min(start + _WINDOW // 8, code.unary_bytes)))
        ends = np.flatnonzero(bits)
        if done + len(ends) > code.count:
            raise ValueError("more positions than it says")
        if len(ends) == 0:
            zeros += len(bits)
            continue
        quotients = np.diff(ends, prepend=-1) - 1
        quotients[0] += zeros
        zeros = len(bits) - 1 - int(ends[-1])
        gaps = (quotients << code.rice) + _remainders(code, done, done + len(ends), read)
        positions = last + np.cumsum(gaps + 1)
        if positions[-1] >= code.size or positions[0] <= last:
            raise ValueError(f"a position is not below {code.size}")
        done, last = done + len(ends), int(positions[-1])
        yield positions
    if done != code.count:
        raise ValueError("fewer positions than it says")


def _remainders(code: Code, first: int, end: int, read: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Of the gaps from `first` to `end`, `(end - first,)`."""
    start, stop = first * code.rice, end * code.rice
    offset = code.unary_bytes
    bits = np.unpackbits(read(offset + start // 8, offset + (stop + 7) // 8))
    bits = bits[start % 8 : start % 8 + stop - start].reshape(end - first, code.rice)
    return bits.astype(np.int64) @ (1 << np.arange(code.rice, dtype=np.int64))


def entropy_bits(size: int, count: int) -> float:
    """log2 of the number of ways to choose `count` positions of `size`, which no code undercuts on average."""
    return (lgamma(size + 1) - lgamma(count + 1) - lgamma(size - count + 1)) / log(2)
