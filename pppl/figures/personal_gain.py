"""The personal gain: the score with a person's own samples less that with a control's."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .looks import BUILT_IN, Looks

_PERSON = ["method", "budget", "seed", "identity"]
_SIDE = 0.36  # half the width of a budget's place on the axis, shared by all methods
_CROWD = 24  # more clouds of dots than this hide each other


def personal_gain(
    table: pd.DataFrame, gains: pd.DataFrame, ax: Axes, against: str = "other", *, looks: Looks = BUILT_IN
) -> Axes:
    """Draw each person's score with the own samples less that with a control's (accuracy in points) at each budget.

    Beside the dots of persons stand means with 95 % intervals. The dots are left out if methods and budgets are many.

    ```python
    personal_gain(pd.read_csv("table.csv.gz"), pd.read_csv("gains.csv"), plt.subplots()[1], "twin")
    ```

    **Arguments:**

    - `table`: rows of `table.csv.gz` for one protocol.
    - `gains`: rows of `gains.csv` for it.
    - `against`: the control: `other`, `twin`, `swap` or `population`.
    - `looks`: of the experiment; by default the built-in ones.
    """
    table = with_names(table)
    gains = with_names(gains)
    own, other = (table.query("control == @control").set_index(_PERSON)["score"] for control in ("own", against))
    scale = metric_of(table).scale
    per_person = ((own - other).dropna() * scale).reset_index()
    budgets, methods = sorted(set(per_person["budget"])), list(dict.fromkeys(per_person["method"]))
    width = 2 * _SIDE / max(1, len(methods))
    for at, method in enumerate(methods):
        style, left = looks.look(method, "own"), -_SIDE + at * width
        of_budget = per_person.query("method == @method").groupby("budget")["score"]
        for budget, each in of_budget if len(methods) * len(budgets) <= _CROWD else ():
            dots = np.random.default_rng(0).permutation(np.sort(each.to_numpy()))  # a strip, not a curve
            places = budgets.index(budget) + left + np.linspace(0, 0.7 * width, len(dots))
            ax.plot(places, dots, ls="", marker=".", ms=2, color=style.colour, alpha=0.5)
        mean = gains.query("method == @method and against == @against").sort_values("budget")
        middle = np.array([budgets.index(budget) for budget in mean["budget"]]) + left + 0.8 * width
        values = [mean[f"gain{end}"].to_numpy() * scale for end in ("", "_low", "_high")]
        spread = [np.maximum(values[0] - values[1], 0), np.maximum(values[2] - values[0], 0)]
        ax.errorbar(
            middle, values[0], yerr=spread, ls="", marker=style.marker, ms=3.5, color=style.colour, capsize=1.5,
            elinewidth=0.9, mec="#000000", mew=0.5, label=style.label,
        )  # fmt: skip
    ax.axhline(0, color="#000000", lw=0.6)
    ax.plot([0, 0], [-scale / 100, scale / 100], ls="")  # if all gains are 0, the axis would show rounding errors
    ax.set_xticks(range(len(budgets)), [f"{budget * 100:g}" for budget in budgets])
    ax.set_xlabel("budget (% of full network)")
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax
