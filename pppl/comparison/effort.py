"""The effort of each method in one table: its samples, labels, training steps and settings tried."""

from collections.abc import Iterable

import pandas as pd

from ..config import Experiment, stages
from ..data.identities import TRAIN
from ..personalizers import Personalizer
from .units import PersonGroup

EFFORT = "effort.csv"


def effort(groups: Iterable[PersonGroup]) -> pd.DataFrame:
    """Return `effort.csv`: one row per protocol, method and control.

    - `samples`: the number of support samples that the method uses, mean over persons. The samples may be the
      person's, everybody's or another person's. It is 0 if channels are drawn at random or gates take no samples.
    - `labels`: the number of these samples whose class the method uses.
    - `device_steps`: training steps on the device; each uses `samples`.
    - `train_samples`: the number of samples seen in training for everybody, off the device and beyond the training of
      the full network: training of gates, and `+retrain`. Mean over persons. `trained_for_all`: whether it is above 0.
    - `settings_tried`: the number of settings that searches tried for all stages of the method and for its gates; 1
      without a search. It counts the settings in `Experiment.tuning` if the chosen ones are in `Experiment.settings`,
      and adds the number in `Experiment.searched`. Gates without prototype loss (`gated`, `gated@NAME`) have the count
      of `ppp` (`ppp@NAME`) unless they have one of their own.
    """
    rows: dict[tuple[object, ...], list[tuple[int, int, Personalizer]]] = {}
    tried = {}
    for group in groups:
        for each in group.personalizers:
            key = (group.persons[0].persons, group.name.seen, each.method, each.control)
            tried[key] = _count_settings(group.experiment, each)
            sources = [group.source(each, index) for index in range(len(group.persons))]
            sizes = [len(group.samples(source).x) for source in sources if source is not None]
            uses_samples = each.support_from != "none" and each.control != "random"
            trained = each.train_samples(len(group.dataset.rows(TRAIN)))
            rows.setdefault(key, []).extend((size * uses_samples, trained, each) for size in sizes)
    table = []
    for (persons, seen, method, control), entries in rows.items():
        if not entries:  # no person has samples for this control
            continue
        personalizer, samples = entries[0][2], sum(size for size, _, _ in entries) / len(entries)
        trained = sum(count for _, count, _ in entries) / len(entries)
        row = {"persons": persons, "seen": seen, "method": method, "control": control, "samples": samples}
        row |= {"labels": samples * personalizer.reads_labels, "device_steps": personalizer.steps}
        row |= {"train_samples": trained, "trained_for_all": trained > 0}
        row |= {"settings_tried": tried[persons, seen, method, control]}
        table.append(row)
    return pd.DataFrame(table)


def _count_settings(experiment: Experiment, personalizer: Personalizer) -> int:
    """Return how many settings were tried for a method, its stages and its gates."""
    named = personalizer.method in experiment.methods
    # All rates of a method are tuned together.
    parts = stages(personalizer.method if named else personalizer.method.rpartition("@")[0])
    if personalizer.gates and personalizer.gates not in parts:
        parts = [personalizer.gates, *parts]
    return max(1, sum(_count_settings_of_part(experiment, part) for part in parts))


def _count_settings_of_part(experiment: Experiment, part: str) -> int:
    """Return how many settings were tried for one stage or kind of gates."""
    tuned = len(experiment.tried(part)) if _is_tuned(experiment, part) else 0
    tried = tuned + experiment.searched.get(part, 0)
    kind, at, name = part.partition("@")
    return tried if tried or kind != "gated" else _count_settings_of_part(experiment, f"ppp{at}{name}")


def _is_tuned(experiment: Experiment, method: str) -> bool:
    """Return whether the experiment has the values that `pppl compare --tune` chose for a method.

    Values of `ppp` in its own section are assumed to be chosen: they are not in `settings`.
    """
    knobs, own = experiment.tuning.get(method, {}), experiment.settings.get(method, {})
    return bool(knobs) and all(key in own or (method == "ppp" and key.startswith("ppp.")) for key in knobs)
