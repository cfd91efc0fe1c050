"""Panels of a sweep: its trials, the importance of settings, and the best trials."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..system.printable import clip
from ..tables.metric import metric_of
from ..tables.schema import settings_of
from .layout import percents, scores

GOOD, PLAIN, BAD = "#0072B2", "#7f7f7f", "#D55E00"
SHADES = "cividis"  # lightness rises evenly, also in greyscale
# A range is logarithmic if its ends differ by more than this factor.
_WIDE = 20.0
_LONGEST = 24  # characters that fit of a setting or a value


def history(trials: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the score of each trial in order, and the best so far of those that meet the constraints."""
    done = completed_trials(trials)
    for kept, marker, colour, label in ((True, "o", PLAIN, "a trial"), (False, "x", BAD, "constraints fail")):
        rows = done[done["feasible"] == kept]
        if len(rows):
            ax.plot(rows["trial"], rows["score"], marker, ms=3, color=colour, label=label)
    ended = trials[trials["state"] == "pruned"]
    if len(ended):
        ax.plot(  # on the axis: these trials have no score
            ended["trial"], np.zeros(len(ended)), "^", ms=3, color=PLAIN, mfc="white", label="ended early",
            transform=ax.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    rows = done[done["feasible"]]
    if len(rows):
        x, y = [*rows["trial"], len(trials) - 1], np.maximum.accumulate(np.asarray(rows["score"]))
        ax.step(x, [*y, y[-1]], where="post", color=GOOD, label="best so far")
    scores(ax.yaxis, metric_of(trials))
    ax.set_xlabel("trial")
    ax.set_ylabel(f"validation {metric_of(trials).title}")
    return ax


def importance_bars(shares: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the importance of settings, with 95 % intervals over trials."""
    rows = shares.iloc[::-1]
    spread = [rows["importance"] - rows["importance_low"], rows["importance_high"] - rows["importance"]]
    ax.barh(
        [short_name(key) for key in rows["key"]], rows["importance"], color="#56B4E9",
        xerr=[side.clip(lower=0) for side in spread], capsize=2, error_kw={"lw": 0.8},
    )  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_xlabel("importance (PED-ANOVA)")
    return ax


def contour(trials: pd.DataFrame, keys: Sequence[str], ax: Axes) -> Axes:
    """Draw the score over two settings, each trial a point; between noisy trials nothing is drawn."""
    done = completed_trials(trials).dropna(subset=list(keys))
    x, y = (_scaled(done[key]) for key in keys)
    shades = ax.scatter(x, y, c=done["score"], cmap=SHADES, s=14, lw=0)
    best = done[done["best"]]
    ax.plot(x[best.index], y[best.index], "*", ms=9, color=BAD, mec="white", mew=0.5, zorder=3, label="best")
    for axis, key in ((ax.xaxis, keys[0]), (ax.yaxis, keys[1])):
        _ticks(axis, done[key])
    ax.set_xlabel(short_name(keys[0]))
    ax.set_ylabel(short_name(keys[1]))
    bar = ax.figure.colorbar(shades, ax=ax, label=f"validation {metric_of(trials).title}")
    scores(bar.ax.yaxis, metric_of(trials))
    return ax


def parallel(trials: pd.DataFrame, ax: Axes) -> Axes:
    """Draw each trial as a line through its settings; better trials are in front, the best tenth in colour."""
    done = completed_trials(trials).sort_values("score")
    keys = settings_of(trials.columns)
    heights = np.stack([_unit(done[key]) for key in keys], axis=1)  # (trials, settings)
    order = np.linspace(0, 1, len(done))
    for row, rank in zip(heights, order, strict=True):
        ax.plot(row, color=GOOD if rank > 0.9 else PLAIN, alpha=0.9 if rank > 0.9 else 0.25, lw=0.8, zorder=1 + rank)
    best = done["best"].to_numpy()
    ax.plot(heights[best].T, color=BAD, lw=1.6, marker="o", zorder=3)  # the marker distinguishes it in greyscale
    for at, key in enumerate(keys):
        values = done[key].dropna()
        ax.vlines(at, 0, 1, color="black", lw=0.5, zorder=0)  # not beyond 0 and 1, where numbers stand
        for value, height in _marks(values):
            where = {"xytext": (0, 5 if height else -5), "va": "bottom" if height else "top"}
            ax.annotate(value, (at, height), textcoords="offset points", ha="center", fontsize=7, **where)
    ax.set_xticks(range(len(keys)), [short_name(key).replace("_", "\n") for key in keys], linespacing=1)
    ax.tick_params(axis="x", length=0, pad=12)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.plot([], color=BAD, lw=1.6, marker="o", label="best")
    ax.plot([], color=GOOD, lw=0.8, label="best tenth")
    ax.plot([], color=PLAIN, lw=0.8, alpha=0.5, label="others")
    return ax


def pareto(trials: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the score over MACs, and the Pareto front: trials that no other beats in both."""
    done = completed_trials(trials)
    ax.plot(done["macs_fraction"], done["score"], "o", ms=3, color=PLAIN, label="a trial")
    front = done.loc[done["pareto"]].sort_values("macs_fraction")
    ax.step(front["macs_fraction"], front["score"], "o-", where="post", ms=4, color=GOOD, label="front")
    percents(ax.xaxis)
    scores(ax.yaxis, metric_of(trials))
    ax.set_xlabel("MACs of the full network")
    ax.set_ylabel(f"validation {metric_of(trials).title}")
    return ax


def completed_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that finished and were not ended early."""
    return cast(pd.DataFrame, trials[trials["state"] == "complete"])


def short_name(key: str) -> str:
    """Return a setting without its section, clipped to 24 characters.

    >>> short_name("training.learning_rate")
    'learning_rate'
    """
    return clip(key.rsplit(".", 1)[-1], _LONGEST)


def _is_number(values: Any) -> bool:
    return values.dtype.kind in "if" and not np.isinf(values).any()


def _is_wide(values: Any) -> bool:
    with np.errstate(over="ignore"):
        return bool(_is_number(values) and values.min() > 0 and np.float64(values.max()) / values.min() > _WIDE)


def _names(values: Any) -> list[str]:
    return sorted({str(value) for value in values.dropna()})


def _marks(values: Any) -> list[tuple[str, float]]:
    """Return the labels of an axis from 0 to 1 with their places: both ends, or every name."""
    if _is_number(values):
        return [(f"{values.min():.3g}", 0.0), (f"{values.max():.3g}", 1.0)]
    names = _names(values)
    return [(clip(name, _LONGEST), place / max(1, len(names) - 1)) for place, name in enumerate(names)]


def _scaled(values: Any) -> pd.Series:
    """Return values as numbers: logarithms of a wide range, alphabetical places of names."""
    if not _is_number(values):
        places = {name: float(place) for place, name in enumerate(_names(values))}
        return pd.Series([places.get(str(value), np.nan) for value in values], index=values.index)
    return pd.Series(np.log10(values) if _is_wide(values) else values.astype(float), index=values.index)


def _unit(values: Any) -> np.ndarray:
    """Return values scaled to 0 to 1; NaN for a trial without one."""
    scaled = _scaled(values)
    span = scaled.max() - scaled.min()
    return ((scaled - scaled.min()) / span if span > 0 else scaled * 0 + 0.5).to_numpy()


def _ticks(axis: Any, values: Any) -> None:
    """Label ticks with values, not their logarithms, and leave room for points at the ends."""
    low, high = _scaled(values).min(), _scaled(values).max()
    room = 0.05 * (high - low or 1)
    axis.axes.update({f"{axis.axis_name}lim": (low - room, high + room)})
    if not _is_number(values):
        names = _names(values)
        axis.set_ticks(range(len(names)), [clip(name, _LONGEST) for name in names])
        return
    if _is_wide(values):
        decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
        axis.set_ticks(
            [power + np.log10(digit) for power in decades for digit in (1, 3) if low <= power + np.log10(digit) <= high]
        )
        axis.set_major_formatter(lambda value, _: f"{float(f'{10**value:.1g}'):g}")
