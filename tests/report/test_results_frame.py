"""Tables in a notebook show intervals; personal models their layers."""

import pandas as pd
import pytest
import torch

from pppl.backbones import build, slice_network, spec_for
from pppl.lab import ResultsFrame
from pppl.personalizers import PersonalModel
from pppl.pruning import Cost, CostModel


def _cells(html: str) -> list[list[str]]:
    rows = html.split("<tbody>")[1].split("</tbody>")[0].split("</tr>")
    return [[cell.split("<")[0] for cell in row.split(">") if "</td" in cell] for row in rows if "<td" in row]


@pytest.fixture
def summary() -> ResultsFrame:
    rows = {
        "dataset": "digits",
        "method": ["ppp", "<b>l1</b>"],
        "control": ["own", ""],
        "budget": 0.1,
        "score": [0.9956, 0.077],
        "score_low": [0.994, 0.033],
        "score_high": [0.998, 0.13],
        "holm_p": [float("nan"), 0.00012],
        "artifact_bytes": [56_300.0, 43_900.0],
        "n": 60,
    }
    return ResultsFrame(pd.DataFrame(rows))


def test_means_stand_with_their_intervals_and_what_is_alike_stands_below(summary: ResultsFrame):
    html = summary._repr_html_()
    assert html is not None
    assert _cells(html) == [
        ["ppp", "own", "99.6 [99.4, 99.8]", "", "56.3", "60"],
        ["&lt;b&gt;l1&lt;/b&gt;", "", "7.7 [3.3, 13.0]", "0.00012", "43.9", "60"],
    ]
    assert "data: digits, budget: 0.1" in html


def test_a_terminal_shows_the_same_table_whole(summary: ResultsFrame):
    head, first, second, below = str(summary).splitlines()
    assert head.split("  ")[0] == "method"
    assert first.split() == ["ppp", "own", "99.6", "[99.4,", "99.8]", "56.3", "60"]
    assert second.index("7.7") == first.index("99.6") == head.index("accuracy (%)")
    assert below == "(data: digits, budget: 0.1)"
    assert "..." not in str(summary)
    assert str(summary[["method", "n"]]) == str(pd.DataFrame(summary[["method", "n"]]))


def test_parts_of_a_table_still_show_intervals(summary: ResultsFrame):
    part = summary[summary["method"] == "ppp"]
    assert isinstance(part, ResultsFrame)
    assert "99.6 [99.4, 99.8]" in (part._repr_html_() or "")
    assert "dataframe" in (summary[["method", "n"]]._repr_html_() or ""), "without intervals as any other frame"


def test_long_tables_are_cut_and_say_so(summary: ResultsFrame):
    long = ResultsFrame(pd.concat([summary] * 100, ignore_index=True))
    html = long._repr_html_() or ""
    assert len(_cells(html)) == pd.get_option("display.min_rows")
    assert f"{200 - len(_cells(html))} more rows" in html


def test_a_personal_model_shows_what_it_keeps_and_costs():
    network = build(spec_for("convnet", {"widths": [8, 12, 12]}, (1, 8, 8), 10)).eval()
    masks = [torch.arange(width) < width // 4 for width in network.widths]
    module, full = slice_network(network, masks), CostModel(network, (1, 8, 8)).full
    cost = Cost(macs=full.macs // 10, params=full.params // 20)
    model = PersonalModel(module=module, masks=masks, cost=cost, full=full, seconds=0.0042)
    for text in (repr(model), model._repr_html_()):
        assert "10.0% of the MACs" in text
        assert "5.0% of the parameters" in text
        assert "made in 4.2 ms" in text
    assert "layers.0.conv 2/8, layers.1.conv 3/12, layers.2.conv 3/12" in repr(model)
    assert "<td>2 of 8</td>" in model._repr_html_()
    assert "width:25.0%" in model._repr_html_()
