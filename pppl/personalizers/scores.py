"""Scores of different layers made comparable."""

from torch import Tensor


def relative(scores: list[Tensor]) -> list[Tensor]:
    """Scores divided by their layer's mean, which makes layers comparable (as Torch-Pruning does by default)."""
    return [score / score.mean().clamp(min=1e-12) for score in scores]


def uniform(scores: list[Tensor]) -> list[Tensor]:
    """Scores as their rank inside the layer, in (0, 1], so that every layer loses the same fraction of its channels."""
    return [(score.argsort().argsort() + 1) / len(score) for score in scores]
