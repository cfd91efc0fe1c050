"""Panel of one personal network: its accuracy, its confusions, the channels that it keeps, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..system.printable import clip, printable
from .layout import percents
from .venues import style

_OWN, _FULL, _REST = "#C51B7D", "#000000", "#dddddd"
_LONGEST = 14  # characters of a class or a layer that fit
_MOST_CLASSES = 12  # that fit with their names and counts
_MOST_LAYERS = 24
_SIZE = (8.6, 3.5)  # inches
_PALE = 2.2  # the share that would be black: numbers can be read on all of 1


@dataclass(frozen=True, kw_only=True)
class Share:
    """A part of a whole: `part` of `whole`, with the text that stands beside it."""

    name: str
    part: float
    whole: float
    text: str


@dataclass(frozen=True, kw_only=True)
class PersonPanel:
    """What a panel shows of a person's network.

    - `title`: whose network it is, and how it was made.
    - `confusion`: `(K, K)`, the queries of each class (rows) by the class that was predicted (columns).
    - `classes`: K names.
    - `right_full`: the number of queries that the full network gets right.
    - `layers`: the channels that each group keeps.
    - `costs`: MACs, parameters and bytes beside the full network's.
    - `note`: a line below the title.

    >>> view = PersonPanel(title="ann", confusion=np.diag([9, 8]), classes=("a", "b"), right_full=16)
    >>> view.queries, view.accuracy
    (17, 1.0)
    """

    title: str
    confusion: np.ndarray
    classes: Sequence[str]
    right_full: int
    layers: Sequence[Share] = ()
    costs: Sequence[Share] = ()
    note: str = ""

    @property
    def queries(self) -> int:
        """The number of queries."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The accuracy of the network on the queries."""
        return float(np.trace(self.confusion)) / self.queries

    @property
    def accuracy_full(self) -> float:
        """The accuracy of the full network on the queries."""
        return self.right_full / self.queries

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy`, from the queries of this person alone."""
        return wilson_interval(int(np.trace(self.confusion)), self.queries)

    @property
    def interval_full(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy_full`."""
        return wilson_interval(self.right_full, self.queries)


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, of which `right` of `count` independent answers are known (Wilson 1927).

    >>> [round(end, 3) for end in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    z = NormalDist().inv_cdf(0.975)
    share, spread = right / count, z * z / count
    middle, half = share + spread / 2, z * ((share * (1 - share) + spread / 4) / count) ** 0.5
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (0.0 if right == 0 else low), (1.0 if right == count else high)


def person_figure(view: PersonPanel) -> Figure:
    """Draw accuracy, confusions, kept channels and costs of a person's network."""
    with style("icml"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        left, middle, right = figure.add_gridspec(1, 3, width_ratios=(1.15, 1, 1))
        halves = left.subgridspec(2, 1, height_ratios=(1, 1.5))
        _accuracies(view, figure.add_subplot(halves[0]))
        _shares(view.costs, "of the full network", figure.add_subplot(halves[1]))
        _confusions(view, figure.add_subplot(middle))
        layers = view.layers[:_MOST_LAYERS]
        more = f" (first {_MOST_LAYERS} of {len(view.layers)} layers)" if len(layers) < len(view.layers) else ""
        _shares(layers, f"channels kept{more}", figure.add_subplot(right))
        figure.suptitle("\n".join(printable(line) for line in (view.title, view.note) if line), fontsize=10)
        return figure


def _accuracies(view: PersonPanel, ax: Axes) -> None:
    rows = (
        ("this network", view.accuracy, view.interval, _OWN, "o"),
        ("full", view.accuracy_full, view.interval_full, _FULL, "s"),
    )
    for place, (name, accuracy, (low, high), colour, marker) in enumerate(rows):
        ends = [[accuracy - low], [high - accuracy]]
        ax.errorbar(accuracy, place, xerr=ends, color=colour, marker=marker, capsize=2.5, ms=5, lw=1.2)
        ax.text(
            0, place - 0.28, f"{name} {accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]", color=colour, va="bottom"
        )
    ax.set(xlim=(0, 1.02), ylim=(1.3, -0.95), yticks=[])
    percents(ax.xaxis)
    ax.spines["left"].set_visible(False)
    ax.set_title(f"accuracy on {view.queries} queries")


def _shares(shares: Sequence[Share], title: str, ax: Axes) -> None:
    for place, share in enumerate(shares):
        ax.barh(place, 1, 0.62, color=_REST)
        ax.barh(place, share.part / share.whole, 0.62, color=_OWN)
        ax.text(1.03, place, share.text, va="center")
    ax.set_yticks(range(len(shares)), [clip(share.name, _LONGEST) for share in shares])
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6), xticks=[0, 0.5, 1], title=title)
    percents(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _confusions(view: PersonPanel, ax: Axes) -> None:
    """Draw the classes that queries have, by the classes that are predicted for them."""
    asked = np.flatnonzero(view.confusion.sum(1))
    answered = np.flatnonzero(view.confusion.sum(0) + np.isin(np.arange(len(view.classes)), asked))
    counts = view.confusion[np.ix_(asked, answered)]
    shares = counts / counts.sum(1, keepdims=True)
    ax.imshow(shares, cmap="Greys", vmin=0, vmax=_PALE, aspect="auto")
    if max(counts.shape) <= _MOST_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            ax.text(column, row, f"{count}" if count else "", ha="center", va="center")
        names = [clip(printable(str(name)), _LONGEST) for name in view.classes]
        turned = 90 if max(len(names[at]) for at in answered) > 3 else 0
        ax.set_xticks(range(len(answered)), [names[at] for at in answered], rotation=turned)
        ax.set_yticks(range(len(asked)), [names[at] for at in asked])
    else:
        ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.set(xlabel="predicted", ylabel="class of the query", title="confusions")
