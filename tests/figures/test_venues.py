"""Figures at each venue: widths, fonts, and nothing cut or covered."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import BboxBase

from pppl.figures import (
    accuracy_figure,
    gain_figure,
    iso_figure,
    retraining_figure,
    scores_figure,
    style,
    sweep_figures,
)
from pppl.figures.layout import write_legend
from pppl.figures.venues import VENUES, active_venue
from pppl.system.errors import UserError

RESULTS = Path(__file__).parents[2] / "results"
WIDTHS = {"icml": (6.75, 3.25), "neurips": (5.5, 5.5), "ieee": (7.16, 3.5), "slides": (5.51, 5.51)}


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / name)  # as anybody would


@pytest.fixture(params=VENUES)
def venue(request: pytest.FixtureRequest) -> Iterator[str]:
    with style(request.param):
        yield request.param


def test_widths_are_the_venues(venue: str):
    assert (round(active_venue().text, 2), round(active_venue().column, 2)) == WIDTHS[venue]
    assert accuracy_figure(_read("digits/summary.csv")).get_figwidth() == active_venue().text
    history = sweep_figures(_read("digits_ppp/trials.csv"), pd.DataFrame())["history"]
    assert history.get_figwidth() == active_venue().column


def test_letters_are_those_of_the_venue_on_every_machine(venue: str):
    assert mpl.rcParams["font.family"] == ["DejaVu Sans" if venue == "slides" else "STIXGeneral"]
    assert min(mpl.rcParams[f"{axis}tick.labelsize"] for axis in "xy") >= 7
    assert not mpl.rcParams["text.usetex"]


def test_styles_end_with_their_block():
    before = mpl.rcParams["font.size"]
    with style("neurips"):
        with style("slides"):
            assert active_venue() is VENUES["slides"]
        assert active_venue() is VENUES["neurips"]
    assert active_venue() is VENUES["icml"], "where nothing is said"
    assert mpl.rcParams["font.size"] == before


def test_one_column_stacks_panels():
    summary = _read("digits/summary.csv").query("method in ('full', 'ppp@persons') and control in ('', 'own')")
    with style("ieee", columns=1):
        figure = accuracy_figure(summary)
    assert figure.get_figwidth() == 3.5
    assert [ax.get_subplotspec().get_geometry()[:2] for ax in figure.axes] == [(2, 1), (2, 1)]


def test_an_unknown_style_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown style 'nips': did you mean 'neurips'\?"), style("nips"):
        pass


_AT_LENGTH = (pytest.param(name, marks=pytest.mark.slow) for name in VENUES if name != "icml")


@pytest.mark.parametrize("venue", ["icml", *_AT_LENGTH], indirect=True)
def test_nothing_is_cut_and_nothing_covers_anything_else(venue: str):
    summary = _read("digits/summary.csv")
    figures = {
        "accuracy": accuracy_figure(summary),
        "retraining": retraining_figure(summary),
        "iso": iso_figure(_read("digits/curves.csv")),
        "gain": gain_figure(_read("digits/table.csv.gz"), _read("digits/gains.csv")),
        "scores": scores_figure(_read("minilm/summary.csv")),
        **sweep_figures(_read("digits_ppp/trials.csv"), _read("digits_ppp/importances.csv")),
    }
    for name, figure in figures.items():
        assert not [*_faults(figure)], f"{name} at {venue}"


def _faults(figure: Figure) -> Iterator[str]:
    """What reaches over the edge of the figure, and which panels or legends lie over each other."""
    FigureCanvasAgg(figure).draw()
    boxes = {f"panel {at} ({ax.get_title()})": ax.get_tightbbox() for at, ax in enumerate(figure.axes)}
    legends = [*figure.legends, *(legend for part in figure.subfigs for legend in part.legends)]
    boxes |= {f"legend {at}": legend.get_window_extent() for at, legend in enumerate(legends)}
    for name, box in boxes.items():
        assert box is not None
        if min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1) < -1:
            yield f"{name} reaches over the edge"
    for (one, box), (other, beside) in combinations(boxes.items(), 2):
        assert box is not None
        assert beside is not None
        if _overlap(box, beside) > 1:
            yield f"{one} and {other}"


def _overlap(one: BboxBase, other: BboxBase) -> float:
    """Pixels, in the direction in which it is less."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return min(wide, high)


def test_a_legend_fits_the_page_that_it_is_saved_on():
    """It is measured at the screen's resolution; in a file text is a little wider, and was cut once."""
    with style("icml"):
        for length in range(10, 40):
            figure = Figure(figsize=(6.75, 3))
            labels = ["fine-tuned on the person's classes, again"[: length + number % 2] for number in range(11)]
            handles = [Line2D([], [], marker="o") for _ in labels]
            write_legend(figure, handles, labels, most=4)
            figure.set_dpi(200)
            (legend,) = figure.legends
            assert legend.get_window_extent().width <= figure.bbox.width, length
