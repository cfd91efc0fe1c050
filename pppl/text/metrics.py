"""The official metrics of text tasks, all at most 1 and better when larger."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.stats import ConstantInputWarning, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


def _accuracy_and_f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    return float((accuracy_score(targets, predicted) + f1_score(targets, predicted)) / 2)


def _pearson_and_spearman(targets: np.ndarray, predicted: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        both = np.array([correlation(targets, predicted)[0] for correlation in (pearsonr, spearmanr)], float)
    return 0.0 if np.isnan(both).any() else float(both.mean())  # a constant prediction tells nothing


# As in GLUE (Wang et al. 2019, table 1); where a task has two, their mean.
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda targets, predicted: float(accuracy_score(targets, predicted)),
    "matthews": lambda targets, predicted: float(matthews_corrcoef(targets, predicted)),
    "accuracy and F1": _accuracy_and_f1,
    "Pearson and Spearman": _pearson_and_spearman,
}


def score(metric: str, targets: np.ndarray, outputs: np.ndarray) -> float:
    """The metric of a network's `(N, outputs)`: logits of classes, or one number where a task is a regression."""
    predicted = outputs[:, 0] if outputs.shape[1] == 1 else outputs.argmax(1)
    return METRICS[metric](targets, predicted)
