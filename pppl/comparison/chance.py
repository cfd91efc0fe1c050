"""A warning of networks that are hardly better than guessing, beside which nothing means much."""

from ..data import IdentityDataset
from ..system.tracking import notice
from ..tasks import task_of

# A network whose score exceeds chance by less than this has not been trained.
_NEXT_TO_CHANCE = 0.1


def warn_near_chance(network: str, score: float, dataset: IdentityDataset) -> None:
    """Print a notice if a network's score is near that of guessing.

    ```python
    warn_near_chance("the full network", 0.12, load_dataset("digits"))
    ```

    **Arguments:**

    - `network`: what the notice begins with.
    - `score`: in the first metric of the data set's task.
    """
    task = task_of(dataset)
    metric, chance = task.metrics[0], task.chance(dataset)
    if chance is None:
        return
    near = min(_NEXT_TO_CHANCE, chance) if chance > 0 else _NEXT_TO_CHANCE  # of many classes chance is little
    if metric.sign * (score - chance) < near:
        remedy = "train longer (training.epochs, or a smaller training.batch_size), as methods are measured against it"
        shown = [f"{value:.0%}" if metric.percent else f"{metric.name} {value:.2f}" for value in (score, chance)]
        notice(f"{network} has {shown[0]} on average, where guessing has {shown[1]}: {remedy}")
