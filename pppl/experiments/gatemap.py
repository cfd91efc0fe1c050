"""`gates.csv`: the prototypes of all persons of one seed, for the heat map."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..gating import prototype
from ..personalizers import GlobalModel
from .results import write_table
from .units import Persons


def write_gates(folder: Path, model: GlobalModel, groups: Sequence[Persons], method: str = "ppp") -> None:
    """Writes persons, seed, identity, layer, channel and open probability of the gated network `method`."""
    frames = []
    for group in groups:
        for person in group.persons:
            probabilities = prototype(model.gated[method], person.support_of(group.dataset).x)
            frames += [
                pd.DataFrame(
                    {
                        "persons": person.persons,
                        "seed": group.seed,
                        "identity": person.identity,
                        "layer": layer + 1,
                        "channel": range(len(values)),
                        "probability": [round(value, 4) for value in values.tolist()],
                    }
                )
                for layer, values in enumerate(probabilities)
            ]
    write_table(folder / "gates.csv", pd.concat(frames))
