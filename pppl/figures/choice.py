"""Choice of the methods that figures and LaTeX tables show."""

from collections.abc import Iterable, Sequence

import pandas as pd

from ..system.errors import unknown


def series_name(method: str, control: str = "") -> str:
    """Return the name of a series: that of its method, and of its control unless it has the own samples.

    >>> series_name("ppp", "own"), series_name("ppp", "twin")
    ('ppp', 'ppp twin')
    """
    return method if control in ("", "own") else f"{method} {control}"


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UserError` for a name that is not known."""
    valid = {*known}
    for name in names:
        if name not in valid:
            raise unknown("method", name, valid)


def choose_series(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the series that are named; all rows if none is.

    >>> frame = pd.DataFrame({"method": ["full", "ppp", "ppp"], "control": ["", "own", "twin"]})
    >>> choose_series(frame, ["ppp", "ppp twin"])["control"].tolist()
    ['own', 'twin']
    """
    pairs = zip(frame["method"], frame["control"], strict=True)
    return frame.loc[[series_name(*pair) in names for pair in pairs]] if names else frame


def choose_methods(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the methods that are named, with all their controls; all rows if none is.

    >>> frame = pd.DataFrame({"method": ["full", "ppp", "ppp"], "control": ["", "own", "twin"]})
    >>> choose_methods(frame, ["ppp"])["control"].tolist()
    ['own', 'twin']
    """
    return frame.loc[frame["method"].isin([name.partition(" ")[0] for name in names])] if names else frame
