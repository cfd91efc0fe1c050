"""A Golomb-Rice code for the gaps between increasing positions (Golomb 1966; Rice and Plaunt 1971).

A gap g is coded as its quotient g >> b in unary and its remainder in b bits. One bitmap holds the unary codes of all
gaps, each ended by a 1. A second bitmap holds the remainders. Array operations can encode and decode both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

# Bits of the unary bitmap that the decoder holds at a time.
_WINDOW = 1 << 16
# Sizes below this keep every sum within 64 bits, even for a malicious code.
_MOST = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Code:
    """The layout of the code of `count` positions below `size`.

    - `rice`: b, the number of bits of a remainder.
    - `unary_bytes`: size of the unary bitmap. The bitmap of remainders follows it.
    """

    size: int
    count: int
    rice: int
    unary_bytes: int

    @property
    def bytes(self) -> int:
        """Size of both bitmaps together."""
        return self.unary_bytes + (self.count * self.rice + 7) // 8

    def fault(self) -> str | None:
        """Return why no such code can exist, or None. This reads none of the coded bytes."""
        if not 0 <= self.count <= self.size < _MOST:
            return f"{self.count} positions among {self.size}"
        if not 0 <= self.rice <= self.size.bit_length():
            return f"{self.rice} bits of a remainder"
        # The last position is below `size`, which bounds the sum of the quotients.
        most = self.count + (self.size >> self.rice)
        if not (self.count + 7) // 8 <= self.unary_bytes <= (most + 7) // 8:
            return f"{self.unary_bytes} bytes for {self.count} quotients"
        return None


def encode(positions: np.ndarray, size: int) -> tuple[Code, bytes]:
    """Encode ascending int64 positions `(K,)` below `size`, with the number of remainder bits that is shortest.

    >>> code, coded = encode(np.array([2, 3, 90]), 100)
    >>> code
    Code(size=100, count=3, rice=4, unary_bytes=1)
    """
    gaps = np.diff(positions, prepend=-1) - 1
    rice = min(range(size.bit_length()), key=lambda bits: int((gaps >> bits).sum()) + bits * len(gaps), default=0)
    unary = np.zeros(int((gaps >> rice).sum()) + len(gaps), np.uint8)
    unary[np.cumsum((gaps >> rice) + 1) - 1] = 1
    remainders = (gaps[:, None] >> np.arange(rice)) & 1  # (K, b), lowest bit first
    coded = np.packbits(unary).tobytes()
    code = Code(size=size, count=len(positions), rice=rice, unary_bytes=len(coded))
    return code, coded + np.packbits(remainders.astype(np.uint8)).tobytes()


def decode(code: Code, read: Callable[[int, int], np.ndarray]) -> Iterator[np.ndarray]:
    """Decode the positions, ascending, in windows of bounded size.

    >>> code, coded = encode(np.array([2, 3, 90]), 100)
    >>> content = np.frombuffer(coded, np.uint8)
    >>> [positions.tolist() for positions in decode(code, lambda start, stop: content[start:stop])]
    [[2, 3, 90]]

    **Arguments:**

    - `read`: a function that returns the bytes from one offset to another, as uint8.

    Raise `ValueError` if the bytes are not a code of `code.count` positions below `code.size`.
    """
    done, zeros, last = 0, 0, -1
    for start in range(0, code.unary_bytes, _WINDOW // 8):
        bits = np.unpackbits(read(start, min(start + _WINDOW // 8, code.unary_bytes)))
        ends = np.flatnonzero(bits)
        if done + len(ends) > code.count:
            raise ValueError(f"more than {code.count} positions")
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
        raise ValueError(f"{done} positions instead of {code.count}")


def _remainders(code: Code, first: int, end: int, read: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Read the remainders of the gaps from `first` to `end`, `(end - first,)`."""
    start, stop = first * code.rice, end * code.rice
    offset = code.unary_bytes
    bits = np.unpackbits(read(offset + start // 8, offset + (stop + 7) // 8))
    bits = bits[start % 8 : start % 8 + stop - start].reshape(end - first, code.rice)
    return bits.astype(np.int64) @ (1 << np.arange(code.rice, dtype=np.int64))


def entropy_bits(size: int, count: int) -> float:
    """Return log2 of the number of ways to choose `count` positions out of `size`.

    This is a lower bound for the mean length of any code, in bits.

    >>> round(entropy_bits(100, 3), 2)
    17.3
    """
    return (lgamma(size + 1) - lgamma(count + 1) - lgamma(size - count + 1)) / log(2)
