"""`walks`: an accelerometer on people who walk, made by chance; every person steps in their own way."""

import numpy as np
import torch

from pppl import IdentityDataset, register_source

PEOPLE, WINDOWS, LENGTH = 8, 40, 64


@register_source("walks", samples=PEOPLE * WINDOWS, identities=f"{PEOPLE} people", licence="CC0 (made by chance)")
def walks(_):
    """Return windows `(N, 1, T)` and how many steps are in each, `(N,)`."""
    rng = np.random.default_rng(0)
    x, y = 0.1 * rng.standard_normal((PEOPLE, WINDOWS, LENGTH)), rng.integers(1, 7, (PEOPLE, WINDOWS))
    for person in range(PEOPLE):
        step = rng.uniform(1, 3) * np.hanning(rng.integers(4, 9))
        for window, count in enumerate(y[person]):
            for start in rng.permutation(LENGTH // 10)[:count] * 10:
                x[person, window, start : start + len(step)] += step
    return IdentityDataset(
        name="walks",
        task="counting",
        x=torch.from_numpy(x).float().reshape(-1, 1, LENGTH),
        y=torch.from_numpy(y).reshape(-1),
        identity=np.repeat(np.arange(PEOPLE), WINDOWS),
        identities=tuple(f"walker{person}" for person in range(PEOPLE)),
    )
