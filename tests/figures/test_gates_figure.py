import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pppl.figures import gates, gates_figure
from pppl.figures.gates import channel_order


def test_gates_are_sorted_inside_their_layer():
    frame = pd.DataFrame(
        [
            {"identity": person, "layer": layer, "channel": channel, "probability": value}
            for person, layer, (channel, value) in itertools.product(("0+1", "2+3"), (1, 2), enumerate([0.1, 0.9, 0.5]))
        ]
    )
    ax = gates(frame, channel_order(frame), Figure().subplots())
    mesh = ax.collections[0].get_array()
    assert mesh is not None
    np.testing.assert_allclose(np.asarray(mesh).reshape(6, 2)[:, 0], [0.9, 0.5, 0.1, 0.9, 0.5, 0.1])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0+1", "2+3"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["layer 1", "layer 2"]
    assert ax.get_xlabel() == "person (classes)"
    writers = frame.assign(identity=frame["identity"].replace({"0+1": "38", "2+3": "43"}))
    assert gates(writers, channel_order(writers), Figure().subplots()).get_xlabel() == "person"


def test_labels_of_thin_layers_do_not_cover_one_another():
    """As in MobileNetV2: the first of eight layers has 4 % of the channels."""
    rows = [
        {"identity": person, "layer": layer, "channel": channel, "probability": 0.5}
        for person, layer in itertools.product("ab", range(1, 9))
        for channel in range(layer)
    ]
    frame = pd.DataFrame(rows)
    figure = Figure(figsize=(6, 4))
    ax = gates(frame, channel_order(frame), figure.subplots())
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert [label.get_text() for label in ax.get_yticklabels()] == list("12345678")


def test_many_layers_and_long_names_leave_labels_out():
    frame = pd.DataFrame(
        [
            {"identity": f"speaker {person}: yes+no", "layer": layer, "channel": 0, "probability": 0.5}
            for person, layer in itertools.product(range(3), range(1, 28))
        ]
    )
    ax = gates(frame, channel_order(frame), Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == []
    assert ax.get_xlabel() == "3 persons"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "5", "9", "13", "17", "21", "25"]
    assert ax.get_ylabel() == "layer"


def test_panels_side_by_side_have_channels_in_one_order():
    frame = pd.DataFrame(
        [
            {"persons": "p", "seen": seen, "identity": "a", "layer": 1, "channel": channel, "probability": value}
            for seen, values in ((True, (0.1, 0.9)), (False, (0.5, 0.2)))
            for channel, value in enumerate(values)
        ]
    )
    panels = [np.asarray(ax.collections[0].get_array()).ravel().tolist() for ax in gates_figure(frame).axes[:2]]
    assert panels == [[0.9, 0.1], [0.2, 0.5]]


def test_panels_side_by_side_name_the_axis_of_layers_once():
    frame = pd.DataFrame(
        [
            {"persons": "p", "seen": seen, "identity": "a", "layer": layer, "channel": 0, "probability": 0.5}
            for seen, layer in itertools.product((True, False), range(1, 28))
        ]
    )
    assert [ax.get_ylabel() for ax in gates_figure(frame).axes[:2]] == ["layer", ""]
