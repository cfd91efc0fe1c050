"""What each method was given, and what it did with it: the fairness of a comparison in one table."""

from collections.abc import Iterable

import pandas as pd

from ..config import Experiment, stages
from ..data.identities import TRAIN
from ..personalizers import Personalizer
from .units import PersonGroup

EFFORT = "effort.csv"


def effort(groups: Iterable[PersonGroup]) -> pd.DataFrame:
    """`effort.csv`: one row per protocol, method and control.

    - `samples`: of the person's support set (or everybody's, or another's) that it looked at, mean over persons; none
      where channels are drawn by lot, or gates see nothing.
    - `labels`: how many of those it was told the class of.
    - `device_steps`: training steps on the device; each sees `samples`.
    - `train_samples`: that training for everybody saw, away from the device and beyond that of the full network: of its
      gates, and of `+retrain`; mean over persons. `trained_for_all`: whether there are any.
    - `settings_tried`: all that searches tried for what its rows depend on: for itself, for what it is a step behind,
      and for its gates; 1 where there are none. Counted are those that `Experiment.tuning` lists, where one of them has
      been taken into `Experiment.settings`, and those that `Experiment.searched` tells of. Gates without prototype loss
      (`gated`, `gated@NAME`) have those of `ppp` (`ppp@NAME`), where none are told of their own.
    """
    rows: dict[tuple[object, ...], list[tuple[int, int, Personalizer]]] = {}
    tried = {}
    for group in groups:
        for each in group.personalizers:
            key = (group.persons[0].persons, group.seen, each.method, each.control)
            tried[key] = _tried(group.experiment, each)
            sources = [group.source(each, index) for index in range(len(group.persons))]
            sizes = [len(group.samples(source).x) for source in sources if source is not None]
            looks = each.support_from != "none" and each.control != "random"
            trained = each.train_samples(len(group.dataset.rows(TRAIN)))
            rows.setdefault(key, []).extend((size * looks, trained, each) for size in sizes)
    table = []
    for (persons, seen, method, control), each in rows.items():
        if not each:  # a control that nobody has
            continue
        personalizer, samples = each[0][2], sum(size for size, _, _ in each) / len(each)
        trained = sum(count for _, count, _ in each) / len(each)
        row = {"persons": persons, "seen": seen, "method": method, "control": control, "samples": samples}
        row |= {"labels": samples * personalizer.reads_labels, "device_steps": personalizer.steps}
        row |= {"train_samples": trained, "trained_for_all": trained > 0}
        row |= {"settings_tried": tried[persons, seen, method, control]}
        table.append(row)
    return pd.DataFrame(table)


def _tried(experiment: Experiment, personalizer: Personalizer) -> int:
    named = personalizer.method in experiment.methods
    parts = stages(personalizer.method if named else personalizer.method.rpartition("@")[0])  # rates are tuned as one
    if personalizer.gates and personalizer.gates not in parts:
        parts = [personalizer.gates, *parts]
    return max(1, sum(_tried_for(experiment, part) for part in parts))


def _tried_for(experiment: Experiment, part: str) -> int:
    tuned = len(experiment.tried(part)) if _is_tuned(experiment, part) else 0
    tried = tuned + experiment.searched.get(part, 0)
    kind, at, name = part.partition("@")
    return tried if tried or kind != "gated" else _tried_for(experiment, f"ppp{at}{name}")


def _is_tuned(experiment: Experiment, method: str) -> bool:
    """Whether a method has what `pppl compare --tune` chose among the values in the file; that of `ppp` is not told."""
    knobs, own = experiment.tuning.get(method, {}), experiment.settings.get(method, {})
    return bool(knobs) and all(key in own or (method == "ppp" and key.startswith("ppp.")) for key in knobs)
