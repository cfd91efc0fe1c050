from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pppl.diff import codec
from pppl.diff.codec import Code, decode, encode, entropy_bits


def _decoded(code: Code, coded: bytes) -> np.ndarray:
    data = np.frombuffer(coded, np.uint8)
    return np.concatenate([np.empty(0, np.int64), *decode(code, lambda start, stop: data[start:stop])])


@given(st.integers(1, 5000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_positions_come_back(size: int, density: float, seed: int):
    positions = np.flatnonzero(np.random.default_rng(seed).uniform(size=size) < density)
    code, coded = encode(positions, size)
    assert (code.size, code.count, code.bytes, code.fault()) == (size, len(positions), len(coded), None)
    assert np.array_equal(_decoded(code, coded), positions)


@pytest.mark.parametrize("positions", [[], [0], [999], [*range(1000)], [*range(990, 1000)], [0, 999]])
def test_extreme_positions(positions: list[int]):
    code, coded = encode(np.array(positions, np.int64), 1000)
    assert code.fault() is None
    assert _decoded(code, coded).tolist() == positions


@pytest.mark.parametrize("density", [0.5, 0.1, 0.005, 0.0001])
def test_the_code_is_within_two_percent_of_the_bound(density: float):
    size = 2_000_000
    positions = np.sort(np.random.default_rng(0).choice(size, round(density * size), replace=False))
    code, coded = encode(positions, size)
    assert 8 * len(coded) < 1.02 * entropy_bits(size, len(positions)) + 16
    assert np.array_equal(_decoded(code, coded), positions), "in many windows"


def test_the_bound_is_that_of_small_numbers():
    assert entropy_bits(4, 2) == pytest.approx(np.log2(6))
    assert entropy_bits(9, 0) == pytest.approx(0)


def test_a_decoder_holds_one_window_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "_WINDOW", 64)
    positions = np.arange(0, 30_000, 3)
    code, coded = encode(positions, 30_000)
    data, asked = np.frombuffer(coded, np.uint8), []

    def read(start: int, stop: int) -> np.ndarray:
        asked.append(stop - start)
        return data[start:stop]

    windows = list(decode(code, read))
    assert np.array_equal(np.concatenate(windows), positions)
    assert max(len(window) for window in windows) <= 64
    assert max(asked) <= 64 * (code.rice + 1) // 8 + 1


@given(st.integers(1, 300), st.binary(max_size=80), st.integers(0, 300), st.integers(0, 12), st.integers(0, 60))
def test_any_bytes_give_valid_positions_or_are_refused(size: int, data: bytes, count: int, rice: int, unary: int):
    code = Code(size=size, count=count, rice=rice, unary_bytes=unary)
    if code.fault() or code.bytes > len(data):
        return
    try:
        positions = _decoded(code, data)
    except ValueError:
        return
    assert len(positions) == count
    assert (np.diff(positions, prepend=-1) > 0).all()
    assert positions.max(initial=0) < size


def test_impossible_codes():
    code, _ = encode(np.array([3, 70], np.int64), 100)
    assert code.fault() is None
    for change in ({"count": 101}, {"count": -1}, {"rice": 8}, {"rice": -1}, {"unary_bytes": 99}, {"unary_bytes": 0}):
        assert replace(code, **change).fault() is not None, change
