"""What each method was given, and what it did with it: the fairness of a comparison in one table."""

from collections.abc import Iterable

import pandas as pd

from ..config import Experiment, stages
from ..personalizers import Personalizer
from .units import Persons

EFFORT = "effort.csv"


def effort(groups: Iterable[Persons]) -> pd.DataFrame:
    """`effort.csv`: one row per protocol, method and control.

    - `samples`: of the person's support set (or everybody's, or another's) that it looked at, mean over persons.
    - `labels`: how many of those it was told the class of.
    - `device_steps`: training steps on the device; each sees `samples`.
    - `trained_for_all`: whether it was trained on the global training set after pruning, away from the device.
    - `settings_tried`: how many `Experiment.tuning` lists for it and for what it is a step behind, where one of them
      has been taken into `Experiment.settings`, and those of `Experiment.searched`; 1 where there are none. What runs
      on gates has those of `ppp`, too.
    """
    rows: dict[tuple[object, ...], list[tuple[int, Personalizer]]] = {}
    tried = {}
    for group in groups:
        for each in group.personalizers:
            key = (group.persons[0].persons, group.seen, each.method, each.control)
            tried[key] = _tried(group.experiment, each)
            sizes = [len(group.support(each, index).x) for index in range(len(group.persons))]
            looks = each.support_from != "none" and each.control != "random"  # which draws by lot
            rows.setdefault(key, []).extend((size * looks, each) for size in sizes)
    table = []
    for (persons, seen, method, control), each in rows.items():
        personalizer, samples = each[0][1], sum(size for size, _ in each) / len(each)
        row = {"persons": persons, "seen": seen, "method": method, "control": control, "samples": samples}
        row |= {"labels": samples * personalizer.reads_labels, "device_steps": personalizer.steps}
        row |= {
            "trained_for_all": personalizer.for_all is not None,
            "settings_tried": tried[persons, seen, method, control],
        }
        table.append(row)
    return pd.DataFrame(table)


def _tried(experiment: Experiment, personalizer: Personalizer) -> int:
    named = personalizer.method in experiment.methods
    parts = stages(personalizer.method if named else personalizer.method.rpartition("@")[0])  # rates are tuned as one
    if personalizer.gates and personalizer.gates not in parts:
        parts = [personalizer.gates, *parts]
    if "gated" in parts:
        parts = ["ppp", *parts]
    tuned = sum(len(experiment.tried(stage)) for stage in parts if _is_tuned(experiment, stage))
    return max(1, tuned + sum(experiment.searched.get(stage, 0) for stage in parts))


def _is_tuned(experiment: Experiment, method: str) -> bool:
    """Whether a method has what `pppl compare --tune` chose among the values in the file; that of `ppp` is not told."""
    knobs, own = experiment.tuning.get(method, {}), experiment.settings.get(method, {})
    return bool(knobs) and all(key in own or key.startswith("ppp.") for key in knobs)
