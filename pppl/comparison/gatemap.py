"""The table `gates.csv`: the prototypes of all persons of one seed, for the heat map."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pandas as pd

from ..gating import GatedNetwork, prototype
from ..personalizers import GlobalModel
from ..tables.journal import write_table
from ..tables.schema import read_frame
from .units import PersonGroup

GATES = "gates.csv"


def gates_are_whole(folder: Path, groups: Sequence[PersonGroup]) -> bool:
    """Return whether the file exists and holds every person of `groups`."""
    try:
        frame = read_frame(folder / GATES)
        named = set(zip(frame["persons"], frame["seen"], frame["identity"], strict=True))
        sizes = frame.groupby(["persons", "identity"])["probability"].count()
    except (OSError, ValueError, KeyError):
        return False
    persons = {(person.persons, person.seen, person.identity) for group in groups for person in group.persons}
    return named == persons and len(set(sizes.tolist())) == 1


def write_gates(folder: Path, model: GlobalModel, groups: Sequence[PersonGroup], method: str) -> None:
    """Write persons, seen, seed, identity, layer, channel and open probability of the gated network `method`."""
    frames = []
    for group in groups:
        for person in group.persons:
            probabilities = prototype(cast(GatedNetwork, model.gated[method]), person.support_of(group.dataset).x)
            frames += [
                pd.DataFrame(
                    {
                        "persons": person.persons,
                        "seen": person.seen,
                        "seed": group.seed,
                        "identity": person.identity,
                        "layer": layer + 1,
                        "channel": range(len(values)),
                        "probability": [round(value, 4) for value in values.tolist()],
                    }
                )
                for layer, values in enumerate(probabilities)
            ]
    write_table(folder / GATES, pd.concat(frames))
