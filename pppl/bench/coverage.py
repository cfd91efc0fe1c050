"""The coverage of 95 % intervals: how often they hold the true mean in simulated comparisons."""

from collections.abc import Iterator

import numpy as np

from ..tables.intervals import mean_interval
from .ratio import Measured

_SIMULATED = 20_000
_SEEDS = (3, 5)
# The standard deviation between networks of different seeds, as a multiple of that between persons.
_NETWORKS = (0.0, 0.3, 1.0)
# The standard deviations between pairs of person and network, and between rows of one person and network.
_BOTH = _REST = 0.5


def measure() -> Iterator[Measured]:
    """Yield the coverage for each way in which persons come back with other seeds."""
    for name in _DESIGNS:
        for seeds in _SEEDS:
            for networks in _NETWORKS:
                title = f"coverage: {name}, {seeds} seeds, {networks:g}"
                peer = f"95, {_SIMULATED:,} simulations, networks vary {networks:g} times as much as persons"
                yield Measured(title, 100 * coverage(name, seeds, networks), peer, "93 to 97", "%")


def coverage(design: str, seeds: int, networks: float, *, simulated: int = _SIMULATED) -> float:
    """Return the fraction of `simulated` comparisons whose interval holds the mean.

    Networks, persons, pairs of both, and rows are drawn from normal distributions around a mean of 0.

    **Arguments:**

    - `design`: the persons of each seed. `new persons` are 20 per seed, `the same 20` come back with each seed, and so
      do `the same 6` with four rows each. `20 of 40` are drawn by each seed. With `some lacking`, each of 20 persons
      has about seven seeds of ten. `two of 6` take turns, with four rows each.
    - `seeds`: the number of seeds.
    - `networks`: the standard deviation between networks; that between persons is 1.

    ```python
    coverage("the same 20", seeds=3, networks=0.3, simulated=1000)  # about 0.95
    ```
    """
    rng = np.random.default_rng(0)
    seed, person = _DESIGNS[design](seeds, rng)  # (N,) each

    def effect(size: float, *shape: int) -> np.ndarray:
        return size * rng.standard_normal((*shape, simulated))

    values = effect(networks, seeds)[seed] + effect(1, person.max() + 1)[person] + effect(_REST, len(seed))
    values += effect(_BOTH, seeds, person.max() + 1)[seed, person]
    low, high = mean_interval(values, seed.tolist(), person.astype(str).tolist())
    return float(((low <= 0) & (high >= 0)).mean())


def _new(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(seeds), 20), np.arange(20 * seeds)


def _same(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(seeds), 20), np.tile(np.arange(20), seeds)


def _few(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(seeds), 24), np.tile(np.repeat(np.arange(6), 4), seeds)


def _drawn(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(seeds), 20), np.concatenate([rng.permutation(40)[:20] for _ in range(seeds)])


def _lacking(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    there = rng.random(20 * seeds) < 0.7
    seed, person = _same(seeds, rng)
    return seed[there], person[there]


def _folds(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    seed = np.repeat(np.arange(seeds), 8)
    return seed, (2 * seed + np.tile(np.repeat([0, 1], 4), seeds)) % 6


_DESIGNS = {
    "new persons": _new,
    "the same 20": _same,
    "the same 6": _few,
    "20 of 40": _drawn,
    "some lacking": _lacking,
    "two of 6": _folds,
}
