"""The table `leak.csv`: how much masks alone tell of a person, their classes and who they are.

A personal file can be a mask, so whoever reads the file can try. Here they know masks of the same people from the same
network, made from other samples, and fit a logistic regression.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..data import IdentityDataset
from ..data.person_pool import PersonPool
from ..data.splits import resolve_protocol
from ..gating import PersonGatedNetwork
from ..personalizers import GlobalModel, Personalizer
from ..personalizers.personalizer import Step
from ..personalizers.ppp import PersonPPP
from ..tables.journal import write_table
from ..tables.schema import read_frame
from .global_models import global_model
from .units import PersonGroup

LEAK = "leak.csv"
# So many support sets are drawn in all, and of each half of a person's samples at least `_OF_EACH`.
_IN_ALL, _OF_EACH = 360, 8
_BATCH = 512
_COLUMNS = ["persons", "method", "seed", "budget", "tells", "score", "chance", "among"]


def leaking(groups: Iterable[PersonGroup]) -> dict[str, PersonPPP]:
    """Return the methods whose masks can tell: those with gates for one person at a time, by name.

    Codes that move on a support set are left out.
    """
    own = (_without_steps(each) for group in groups for each in group.personalizers if each.control in ("", "own"))
    gates = (each for each in own if type(each) is PersonPPP and each.support_from == "own" and each.control == "own")
    return {each.method: each for each in gates if each.steps == 0}


def _without_steps(personalizer: Personalizer) -> Personalizer:
    while isinstance(personalizer, Step):
        personalizer = personalizer.first
    return personalizer


def leak_is_whole(folder: Path, groups: Sequence[PersonGroup]) -> bool:
    """Return whether the file exists and has the methods and seeds of `groups`."""
    try:
        frame = read_frame(folder / LEAK)
        named = set(zip(frame["method"], frame["seed"], strict=True))
    except (OSError, ValueError, KeyError):
        return False
    drawn = [group for group in groups if Draws.of(group).rows]
    return named == {(method, group.seed) for group in drawn for method in leaking([group])}


def write_leak(folder: Path, groups: Sequence[PersonGroup]) -> None:
    """Write the table, from networks that are trained already."""
    by_seed: dict[int, list[PersonGroup]] = {}
    for group in groups:
        by_seed.setdefault(group.seed, []).append(group)
    frames = []
    for seed, own in by_seed.items():
        frames.append(mask_leak(global_model(own[0].experiment, own[0].dataset, seed, folder), own))
    write_table(folder / LEAK, pd.concat(frames))


def mask_leak(model: GlobalModel, groups: Sequence[PersonGroup]) -> pd.DataFrame:
    """Return how often masks tell whose they are, and the classes of their support set.

    Columns: `persons`, `method`, `seed`, `budget`, `tells` (`person` or `classes`), `score`, the rate of right answers,
    `chance`, and `among`, the number of people or classes. `chance` of naming the person is that of the classes alone
    where these tell more than nothing, since some people lack some classes. For classes, as many as the support set has
    are named, and `score` is the share of them that are right.

    Support sets are drawn from samples that no network was trained on. Each has as many random classes as persons have,
    or all of them, so that classes do not tell people apart. Masks from one half of everybody's samples are fitted, and
    those from the other half are asked.

    **Arguments:**

    - `model`: the networks of one seed.
    - `groups`: the persons of this seed.
    """
    rows = []
    for group in {each.name.size: each for each in groups}.values():
        draws = Draws.of(group)
        for name, method in leaking(groups).items() if draws.rows else ():
            views = draws.views(cast(PersonGatedNetwork, model.gated[name]), model)
            for budget in group.experiment.budgets:
                masks = torch.stack([torch.cat(method.masks_of(model, view[None], budget)) for view in views])
                told = draws.told(masks.cpu().numpy().astype(np.float32))
                named = {"persons": draws.persons, "method": name, "seed": group.seed, "budget": budget}
                rows += [named | each for each in told]
    return pd.DataFrame(rows, columns=_COLUMNS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Random support sets, each of one person's samples, from two halves of the samples that share no recording.

    - `persons`: the protocol as in tables.
    - `rows`: for each set, its rows of the data set.
    - `who`, `half`: `(n,)`, whose each set is, and from which half of their samples it is drawn, 0 or 1.
    - `classes`: `(n, K)`, whether a set has samples of a class.
    - `size`: number of classes of each set; 0 for all.
    """

    dataset: IdentityDataset
    persons: str
    rows: Sequence[np.ndarray]
    who: np.ndarray
    half: np.ndarray
    classes: np.ndarray
    size: int

    @staticmethod
    def of(group: PersonGroup) -> "Draws":
        """Return sets of as many classes as a group's persons have, for everybody with so many in both halves."""
        size, dataset = group.name.size, group.dataset
        persons = resolve_protocol(group.experiment.persons, dataset)
        pools = [PersonPool(dataset, persons, seen) for seen in (True, False)]
        pool, held_out = pools[0], np.unique(np.concatenate([each.query for each in pools]))
        rng = np.random.default_rng([group.seed, size])
        second = rng.permutation(int(pool.recording.max()) + 1)[pool.recording] % 2  # (N,), recordings stay whole
        everybody = np.unique(pool.who[held_out]).tolist()
        halves = {
            (who, half): held_out[(pool.who[held_out] == who) & (second[held_out] == half)]
            for who, half in product(everybody, (0, 1))
        }
        # Of classes in one half alone a set would tell whose it is.
        there = {who: np.intersect1d(pool.labels[halves[who, 0]], pool.labels[halves[who, 1]]) for who in everybody}
        people = [who for who, both in there.items() if len(both) >= (size or dataset.strata_count)]
        drawn = []
        for who, half in product(people, (0, 1)):
            own = halves[who, half]
            for _ in range(max(_OF_EACH, _IN_ALL // (2 * len(people)))):
                classes = rng.choice(there[who], size or dataset.strata_count, replace=False)
                rows = [rng.permutation(own[pool.labels[own] == c])[: persons.shots] for c in classes]
                drawn.append((np.concatenate(rows), who, half, np.isin(np.arange(dataset.strata_count), classes)))
        rows, whose, half, classes = zip(*drawn, strict=True) if drawn else ((), (), (), ())
        return Draws(
            dataset=dataset,
            persons=group.persons[0].persons,
            rows=rows,
            who=np.array(whose),
            half=np.array(half),
            classes=np.array(classes),
            size=size,
        )

    @torch.inference_mode()
    def views(self, network: PersonGatedNetwork, model: GlobalModel) -> Tensor:
        """Return the mean of what gates see of each set, `(n, K)`."""
        used = np.unique(np.concatenate(self.rows))
        parts = [self.dataset.inputs(used[at : at + _BATCH]) for at in range(0, len(used), _BATCH)]
        seen = torch.cat([network.view(part, model.full) for part in parts])  # (rows, K)
        return torch.stack([seen[np.searchsorted(used, rows)].mean(0) for rows in self.rows])

    def told(self, masks: np.ndarray) -> list[dict[str, object]]:
        """Return what masks, `(n, D)`, tell: of the person if there are several, of the classes if they are some."""
        told, people, (_, among) = [], len(np.unique(self.who)), self.classes.shape
        known, asked = self.half == 0, self.half == 1
        if people > 1:
            chance = max(1 / people, self._by_classes)
            told.append({"tells": "person", "score": self._named(masks), "chance": chance, "among": people})
        if self.size:
            chances = [self._probability(masks, self.classes[:, c], known, asked) for c in range(among)]
            likeliest = np.argsort(-np.stack(chances, 1), 1)[:, : self.size]  # (asked, size)
            right = np.mean(np.take_along_axis(self.classes[asked], likeliest, 1))
            told.append({"tells": "classes", "score": right, "chance": self.size / among, "among": among})
        return told

    @cached_property
    def _by_classes(self) -> float:
        """How often the classes alone name the person, whatever the masks."""
        return self._named(self.classes.astype(np.float32))

    def _named(self, given: np.ndarray) -> float:
        """Return how often what is given of each set, `(n, D)`, names its person."""
        known, asked = self.half == 0, self.half == 1
        return float(np.mean(_fit(given[known], self.who[known]).predict(given[asked]) == self.who[asked]))

    def _probability(self, masks: np.ndarray, target: np.ndarray, known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return how likely each asked set has a class; `target` says which sets have it, `(n,)`."""
        if target[known].all() or not target[known].any():
            return np.full(int(asked.sum()), float(target[known].any()))
        return _fit(masks[known], target[known]).predict_proba(masks[asked])[:, 1]


def _fit(masks: np.ndarray, targets: np.ndarray) -> LogisticRegression:
    return LogisticRegression(max_iter=2000).fit(masks, targets)
