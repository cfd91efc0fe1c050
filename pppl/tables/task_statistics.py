"""Means and intervals over seeds and test examples, and paired differences between methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .journal import Row

_RESAMPLES = 1000
# The methods that each other method is compared with.
_REFERENCES = ("full", "diff")
AVERAGE = "average"
_MEANS = ("values", "task_bytes", "peak_memory_mib", "train_seconds")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The scoring of a task's predictions: the `targets`, `(N,)`, and the `metric` of targets and predictions."""

    targets: np.ndarray
    metric: Callable[[np.ndarray, np.ndarray], float]


def summarize_tasks(rows: Sequence[Row], tests: Mapping[str, Scoring]) -> pd.DataFrame:
    """Return `summary.csv` of a comparison on text tasks: each method on each task, then the average over tasks.

    `minus_full` and `minus_diff` are a method's score minus that of `full` or `diff`. Intervals are 95 % percentile
    intervals of a bootstrap that resamples each task's seeds and test examples. Draws are the same for all methods and
    seeds, so these differences are paired. With few seeds, intervals are somewhat too narrow (Davison and Hinkley 1997,
    section 3.8).

    **Arguments:**

    - `rows`: one per task, method and seed. `predicted` holds a prediction for each test example.
    - `tests`: the scoring of each task by its name.

    ```python
    tests = {"glue/RTE": Scoring(targets=targets, metric=lambda y, predicted: (y == predicted).mean())}
    summary = summarize_tasks(rows, tests)
    ```
    """
    frame = pd.DataFrame(rows)
    tasks, methods = frame["task"].unique().tolist(), frame["method"].unique().tolist()
    groups = {key: group.sort_values("seed") for key, group in frame.groupby(["task", "method"], sort=False)}
    drawn = {
        task: _resample([groups[task, method] for method in methods], tests[task], seed=index)
        for index, task in enumerate(tasks)
    }
    drawn[AVERAGE] = np.mean([drawn[task] for task in tasks], axis=0)
    records = []
    for task in [*tasks, AVERAGE] if len(tasks) > 1 else tasks:
        members = [task] if task != AVERAGE else tasks
        scores = {m: float(np.mean([groups[each, m]["score"].mean() for each in members])) for m in methods}
        for index, method in enumerate(methods):
            group = pd.concat([groups[each, method] for each in members])
            record: Row = {name: group[name].iloc[0] for name in ("encoder", "method", "rate")} | {"task": task}
            record |= {"metric": group["metric"].iloc[0] if task != AVERAGE else "", "n": group["seed"].nunique()}
            record |= {"score": scores[method]} | _interval("score", drawn[task][index])
            for reference in _REFERENCES:
                if reference in methods and method != reference:
                    record[f"minus_{reference}"] = scores[method] - scores[reference]
                    paired = drawn[task][index] - drawn[task][methods.index(reference)]
                    record |= _interval(f"minus_{reference}", paired)
            records.append(record | group[list(_MEANS)].mean().to_dict())
    measured = ("score", *(f"minus_{reference}" for reference in _REFERENCES))
    intervals = [f"{name}{end}" for name in measured for end in ("", "_low", "_high")]
    return pd.DataFrame(records, columns=["task", "encoder", "method", "rate", "metric", "n", *intervals, *_MEANS])


def _interval(name: str, draws: np.ndarray) -> dict[str, float]:
    """Return the ends of the range that holds the middle 95 % of the draws, as `<name>_low` and `<name>_high`."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def _resample(groups: Sequence[pd.DataFrame], test: Scoring, *, seed: int) -> np.ndarray:
    """Return mean scores over seeds and examples drawn with replacement, `(methods, resamples)`."""
    rng = np.random.default_rng([0, seed])
    targets, metric = test.targets, test.metric
    predicted = [[np.asarray(each) for each in group["predicted"]] for group in groups]
    seeds = len(predicted[0])
    means = np.empty((len(groups), _RESAMPLES))
    for resample in range(_RESAMPLES):
        rows = rng.integers(len(targets), size=len(targets))
        choice = rng.integers(seeds, size=seeds)
        for index, predictions in enumerate(predicted):
            scores = {seed: metric(targets[rows], predictions[seed][rows]) for seed in set(choice.tolist())}
            means[index, resample] = np.mean([scores[seed] for seed in choice.tolist()])
    return means
