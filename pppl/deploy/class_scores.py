"""Right answers by class: of predictions, and of a personal network beside the full one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from ..system.printable import align

# A class is lost if the full network is right in at least half of its samples, and the personal one in less than half
# as many.
_HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How many samples of a class are right.

    - `mostly`: the class that most of its wrong samples are taken for; empty if all are right.

    >>> ClassScore.of("0", [("0", "0"), ("0", "2"), ("1", "1")])
    ClassScore(name='0', right=1, n=2, mostly='2')
    """

    name: str
    right: int
    n: int
    mostly: str

    @staticmethod
    def of(name: str, pairs: Sequence[tuple[str, str]]) -> "ClassScore":
        """Return the score of a class from all pairs of a true and a predicted class."""
        own = [predicted for truth, predicted in pairs if truth == name]
        wrong = Counter(predicted for predicted in own if predicted != name)
        mostly = wrong.most_common(1)[0][0] if wrong else ""
        return ClassScore(name=name, right=len(own) - wrong.total(), n=len(own), mostly=mostly)


def score_classes(truths: Sequence[str], predicted: Sequence[str]) -> list[ClassScore]:
    """Return the score of each class, in the order of their first samples.

    >>> [score.right for score in score_classes(["a", "a", "b"], ["a", "b", "b"])]
    [1, 1]
    """
    pairs = list(zip(truths, predicted, strict=True))
    return [ClassScore.of(name, pairs) for name in dict.fromkeys(truths)]


def wilson(right: int, n: int) -> dict[str, float]:
    """Return an accuracy with its 95 % Wilson interval.

    >>> {name: round(value, 2) for name, value in wilson(35, 50).items()}
    {'mean': 0.7, 'low': 0.56, 'high': 0.81, 'n': 50}
    """
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return {"mean": right / n, "low": float(interval.low), "high": float(interval.high), "n": n}


def scores_as_text(truths: Sequence[str], predicted: Sequence[str]) -> str:
    """Return how many predictions are right in total, with the accuracy's 95 % interval, and by class.

    >>> print(scores_as_text(["a", "a", "b"], ["a", "b", "b"]))
    2 of 3 right: 66.7 % [20.8, 93.9]
    <BLANKLINE>
    class  right   mostly taken for
    a      1 of 2  b
    b      1 of 1
    """
    scores = score_classes(truths, predicted)
    right = sum(score.right for score in scores)
    total = wilson(right, len(truths))
    mean, low, high = (100 * total[name] for name in ("mean", "low", "high"))
    rows = [(score.name, f"{score.right} of {score.n}", score.mostly) for score in scores]
    lines = align([("class", "right", "mostly taken for"), *rows])
    return "\n".join([f"{right} of {len(truths)} right: {mean:.1f} % [{low:.1f}, {high:.1f}]", "", *lines])


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """How the samples of a class fare under the full and under the personal network.

    - `full`, `personal`: how many of its `n` samples each has right.
    - `mostly`: the class that the personal network takes most of its wrong samples for.
    """

    name: str
    n: int
    full: int
    personal: int
    mostly: str

    @property
    def is_lost(self) -> bool:
        """Whether the full network mostly knows the class, and the personal one hardly does."""
        return self.full >= _HALF * self.n and self.personal < _HALF * self.full

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, in the form of `report.json`."""
        return asdict(self)


def compare_classes(truths: Sequence[str], full: Sequence[str], personal: Sequence[str]) -> list[ClassLoss]:
    """Return how each class fares under the predictions of the full and the personal network.

    >>> compare_classes(["0", "0"], full=["0", "0"], personal=["2", "2"])[0].is_lost
    True
    """
    pairs = zip(score_classes(truths, full), score_classes(truths, personal), strict=True)
    return [
        ClassLoss(name=whole.name, n=whole.n, full=whole.right, personal=own.right, mostly=own.mostly)
        for whole, own in pairs
    ]
