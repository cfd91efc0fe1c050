"""What `looks` of an experiment may hold."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.lines import Line2D

from pppl import Experiment
from pppl.config.look_checks import DASHES, MARKERS
from pppl.system.errors import UserError


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        (["ppp"], "looks is ['ppp']: it is a section with names of methods as keys"),
        ({3: {}}, "looks holds the name 3: names are text, write '3'"),
        ({"": {}}, "looks. is no name of a method, or of one and a control"),
        ({"ppp own other": {}}, "looks.ppp own other is no name of a method, or of one and a control"),
        ({"ppp othr": {}}, "unknown control of looks.ppp othr 'othr': did you mean 'other'?"),
        ({"ppp": "blue"}, "looks.ppp is 'blue': it is a section with the keys label, colour, marker, dash"),
        ({"ppp": {"color": "#000000"}}, "unknown key 'looks.ppp.color': a look has label, colour, marker, dash"),
        ({"ppp": {"colour": "blue"}}, "looks.ppp.colour is 'blue', which is no colour: write it as '#0072B2'"),
        ({"ppp": {"colour": "#0072B"}}, "looks.ppp.colour is '#0072B', which is no colour"),
        ({"ppp": {"marker": "oo"}}, "looks.ppp.marker is 'oo', which is no marker: choose from ."),
        ({"ppp": {"marker": 1}}, "looks.ppp.marker is 1: it is text, such as 'o' in quotes"),
        ({"ppp": {"dash": "---"}}, "looks.ppp.dash is '---', which is no dash: choose from - -- -. :, or ''"),
        ({"ppp": {"label": None}}, "looks.ppp.label is None: it is text"),
        ({"ppp": {"label": "_hidden"}}, "looks.ppp.label is '_hidden': a legend shows a line of text"),
        ({"ppp": {"label": "two\nlines"}}, "a legend shows a line of text"),
    ],
)
def test_what_figures_cannot_draw_is_refused_by_name(looks: Any, message: str):
    for make in (Experiment().replace, Experiment):
        with pytest.raises(UserError) as caught:
            make(looks=looks)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_keeps_text_and_order(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("looks:\n  ppp@b other: {label: 'a: b', marker: '1', dash: -., colour: '#c51B7d'}\n  ppp@a: {}\n")
    experiment = Experiment.load(path, {"seeds": [1]})
    given = {"ppp@b other": {"label": "a: b", "marker": "1", "dash": "-.", "colour": "#c51B7d"}, "ppp@a": {}}
    assert [*experiment.looks.items()] == [*given.items()]
    assert experiment.replace(methods=["full"]).looks == given
    names = [*experiment.to_dict()]
    assert names.index("looks") == names.index("searched") + 1
    path.write_text("looks:\n  ppp: {marker: }\n")
    with pytest.raises(UserError, match=r"mine\.yaml: looks\.ppp\.marker is None"):
        Experiment.load(path)


def test_markers_and_dashes_are_those_of_matplotlib():
    known = {each for each in Line2D.markers if isinstance(each, str)}
    assert {*MARKERS} == known - {"None", "none", " "}
    assert {*DASHES} == {*Line2D.lineStyles} - {"None", " "}
