import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from pppl.figures import (
    Looks,
    accuracy_figure,
    accuracy_vs_bytes,
    accuracy_vs_macs,
    gain_figure,
    iso_figure,
    iso_macs,
    overview_figure,
    personal_gain,
    retraining,
    retraining_figure,
    style,
)
from pppl.figures.accuracy_vs_macs import shown_series
from pppl.figures.looks import BUILT_IN, LOOKS
from pppl.personalizers.static import CRITERIA


def test_variants_are_shown_by_their_own_masks_and_rates_are_not():
    shown = {("ppp", "other"), ("ppp@known", "other"), ("ppp@mine", "own"), ("ppp@mine+bn", ""), ("diff", "")}
    hidden = {("ppp@mine", "other"), ("ppp@mine", "random"), ("diff@0.05", ""), ("ppp@mine+diff@1e-05", "")}
    frame = pd.DataFrame([*shown, *hidden], columns=["method", "control"])
    assert set(shown_series(frame, Looks.of({"ppp@known other": {}}))) == shown
    assert set(shown_series(frame)) == shown - {("ppp@known", "other")}


@pytest.fixture
def summary() -> pd.DataFrame:
    keys = [("ppp", "own"), ("ppp", "other"), ("gated", "random"), ("l1", ""), ("mine", "")]
    rows = [
        {
            "method": m,
            "control": c,
            "budget": b,
            "macs_fraction": b * 0.98,
            "score": 0.5 + b,
            "score_low": 0.4 + b,
            "score_high": 0.55 + b,
        }
        for (m, c), b in itertools.product(keys, (0.1, 0.2))
    ]
    rows.append(
        {
            "method": "full",
            "control": "",
            "budget": 1.0,
            "macs_fraction": 1.0,
            "score": 0.9,
            "score_low": 0.9,
            "score_high": 0.9,
        }
    )
    return pd.DataFrame(rows)


def test_accuracy_is_drawn_where_the_table_says(summary: pd.DataFrame):
    ax = accuracy_vs_macs(summary, Figure().subplots())
    handles, labels = ax.get_legend_handles_labels()
    assert set(labels) == {"PPP, own prototype", "PPP, another person's", "L1", "mine", "full network"}
    own = handles[labels.index("PPP, own prototype")]
    line, _, (bars,) = own.lines
    np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [0.098, 0.196])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.6, 0.7])
    np.testing.assert_allclose(np.asarray([s[:, 1] for s in bars.get_segments()], float), [[0.5, 0.65], [0.6, 0.75]])
    assert ax.get_xscale() == "log"
    assert "MACs" in ax.get_xlabel()


def test_what_has_macs_of_its_own_is_a_point_that_can_be_seen(summary: pd.DataFrame):
    for fraction in (0.9, 0.03):
        row = {"method": "ppp_dynamic", "control": "", "budget": 1.0, "macs_fraction": fraction}
        row |= {"score": 0.8, "score_low": 0.7, "score_high": 0.9}
        ax = accuracy_vs_macs(pd.concat([summary, pd.DataFrame([row])]), Figure().subplots())
        handles, labels = ax.get_legend_handles_labels()
        line = handles[labels.index("PPP's gates, each sample its own")].lines[0]
        assert np.asarray(line.get_xdata(), float).tolist() == [fraction]
        assert line.get_marker() == "*"
        assert ax.get_xlim()[0] < fraction < ax.get_xlim()[1]


def test_many_series_stand_in_rows_by_family(summary: pd.DataFrame):
    """None is left out, and what all are compared with is in each row."""
    template = summary.query("method == 'l1'").assign(persons="2 classes", seen=True, n=3, people=3, retrain_samples=0)
    keys = [key for key in LOOKS if key not in (("full", ""), ("finetune", ""), ("diff", ""))]
    keys += [("ppp@mine", "own"), ("ppp@mine+classes", "own")]
    keys += [(f"{criterion}{scope}", "") for criterion in ("fpgm", "lamp", "random") for scope in ("", "_isomorphic")]
    keys += [(f"{criterion}_local", "") for criterion in ("fpgm", "lamp", "random", "l1", "l2", "hessian")]
    trained = {"l1_local+finetune", "onda_hap", "ppp+diff"}
    rows = [template.assign(method=m, control=c, retrain_samples=9 * (m in trained)) for m, c in keys]
    figure = accuracy_figure(pd.concat(rows))
    of_row = {
        str(part.get_suptitle()): {text.get_text() for text in part.legends[0].get_texts()} for part in figure.subfigs
    }
    look = BUILT_IN.look
    own = {look("ppp", "own").label}
    assert of_row["trained after pruning, on the person or for all"] == own | {look(name, "").label for name in trained}
    assert look("ocap", "").label in of_row["by the person's samples, nothing is trained"]
    gates = [labels for title, labels in of_row.items() if title.startswith("channels chosen by gates")]
    assert look("ppp_dynamic", "").label in set.union(*gates)
    everybody = [labels for title, labels in of_row.items() if title.startswith("one network for everybody")]
    assert len(everybody) > 1, "too many for one panel"
    assert max(map(len, of_row.values())) <= 13
    assert set.union(*of_row.values()) == {look(*key).label for key in keys} - {look("diff_elementwise", "").label}
    assert set.intersection(*of_row.values()) == own
    rows = [template.assign(method=m, control=c) for m, c in keys if m.partition("+")[0] != "ppp"]
    first = {str(part.get_suptitle()): part for part in accuracy_figure(pd.concat(rows)).subfigs}
    for part in first.values():
        assert look("ppp@mine", "own").label in {text.get_text() for text in part.legends[0].get_texts()}


def test_criteria_of_static_pruning_are_told_apart():
    names = [f"{criterion}{scope}" for criterion in CRITERIA for scope in ("", "_local", "_isomorphic")]
    look = BUILT_IN.look
    looks = [look(name, "") for name in names]
    assert len({each.label for each in looks}) == len(looks)
    assert len({(each.marker, each.dash) for each in looks}) == len(looks), "in grey, too"
    assert look("fpgm_local+finetune", "").label == "FPGM, per layer + fine-tuning"
    assert look("l2+retrain+quant", "").label == "L2 + retraining, quantized"


def test_rates_of_diff_pruning_are_drawn_over_bytes_and_nowhere_else(summary: pd.DataFrame):
    rates = {"diff": 3000, "diff@0.05": 40_000, "diff@0.001": 900, "diff_elementwise": 3100, "ppp+diff@0.05": 9}
    common = {"control": "", "budget": 1.0, "macs_fraction": 1.0, "score_low": 0.8, "score_high": 0.9}
    rows = [common | {"method": m, "artifact_bytes": size, "score": 0.85} for m, size in rates.items()]
    both = pd.concat([summary, pd.DataFrame(rows)])
    ax = accuracy_vs_bytes(both, Figure().subplots())
    handles, labels = ax.get_legend_handles_labels()
    assert set(labels) == {"full + diff pruning", "full + diff pruning, no groups", "full network"}
    line = handles[labels.index("full + diff pruning")].lines[0]
    np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [0.9, 3, 40])
    _, labels = accuracy_vs_macs(both, Figure().subplots()).get_legend_handles_labels()
    assert not [label for label in labels if "@" in label]


def test_what_a_table_lacks_is_not_in_the_legend_of_bytes(summary: pd.DataFrame):
    row = {"method": "diff", "control": "", "budget": 1.0, "macs_fraction": 1.0, "artifact_bytes": 900}
    frame = pd.concat([summary, pd.DataFrame([row | {"score": 0.85, "score_low": 0.8, "score_high": 0.9}])])
    _, labels = accuracy_vs_bytes(frame, Figure().subplots()).get_legend_handles_labels()
    assert set(labels) == {"full + diff pruning", "full network"}


def test_a_method_looks_the_same_everywhere_and_unlike_the_others():
    assert BUILT_IN.look("mine", "") == Looks().look("mine", "")
    seen = {(each.colour, each.marker, each.dash) for each in LOOKS.values()}
    assert len(seen) == len(LOOKS)
    # In grey, series are told apart by marker and dash alone.
    assert len({(each.marker, each.dash) for each in LOOKS.values()}) == len(LOOKS)
    for each in LOOKS.values():
        assert sum(to_rgb(each.colour)) < 2.2, "dark enough for white paper"


def test_seen_and_unseen_people_have_panels_of_their_own(summary: pd.DataFrame):
    people = pd.concat(
        [
            summary.assign(persons=persons, seen=seen, n=n, people=n - 1)
            for (persons, seen), n in zip(
                itertools.product(("person", "person+3 classes"), (True, False)), range(1, 5), strict=True
            )
        ]
    )
    titles = [
        "all classes of a person, seen (n = 1, 0 people)",
        "all classes of a person, unseen (n = 2, 1 people)",
        "3 classes of a person, seen (n = 3, 2 people)",
        "3 classes of a person, unseen (n = 4, 3 people)",
    ]
    with style("icml"):
        assert [ax.get_title() for ax in accuracy_figure(people).axes] == titles
    with style("slides"):  # narrower, with larger letters
        broken = [ax.get_title() for ax in accuracy_figure(people).axes]
    assert broken[0] == "all classes of a person, seen\n(n = 1, 0 people)"
    assert [title.replace("\n", " ") for title in broken] == titles
    alone = summary.assign(persons="2 classes", seen=True, n=9, people=8)
    assert [ax.get_title() for ax in accuracy_figure(alone).axes] == ["persons of 2 classes (n = 9)"]


def test_bars_end_where_a_method_is_as_accurate_as_the_full_network():
    row = {"method": "ppp", "control": "own", "macs_within_1": 0.4, "macs_within_1_low": 0.3, "macs_within_1_high": 0.5}
    never = {f"macs_within_3{end}": 1.0 for end in ("", "_low", "_high")}
    ax = iso_macs(pd.DataFrame([row | never]), [("l1", ""), ("ppp", "own")], Figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["L1", "PPP, own prototype"]
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.4, 1.0]
    assert bars[0].get_facecolor()[3] == 1
    assert bars[1].get_facecolor()[3] == 0, "without colour: only the full network itself suffices"
    (whisker,) = ax.lines
    np.testing.assert_allclose(np.asarray(whisker.get_xdata(), float), [0.3, 0.5])


def test_a_dot_is_a_persons_gain():
    rows = [
        {"method": "ppp", "control": control, "budget": 0.1, "seed": 0, "identity": person, "score": accuracy}
        for control, accuracies in (("own", (0.9, 0.8)), ("other", (0.4, 0.9)))
        for person, accuracy in zip("ab", accuracies, strict=True)
    ]
    mean = {"method": "ppp", "against": "other", "budget": 0.1, "gain": 0.2, "gain_low": 0.1, "gain_high": 0.4}
    ax = personal_gain(pd.DataFrame(rows), pd.DataFrame([mean]), Figure().subplots())
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata(), float), [-10, 50])
    handles, labels = ax.get_legend_handles_labels()
    assert labels == ["PPP, own prototype"]
    line, _, (bars,) = handles[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [20])
    np.testing.assert_allclose(np.asarray(bars.get_segments(), float)[0, :, 1], [10, 40])


def test_clouds_that_would_cover_each_other_are_left_out():
    budgets = [at / 25 for at in range(1, 26)]
    rows = [
        {"method": "ppp", "control": control, "budget": budget, "seed": 0, "identity": "a", "score": 0.5}
        for budget in budgets
        for control in ("own", "other")
    ]
    means = [
        {"method": "ppp", "against": "other", "budget": budget, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}
        for budget in budgets
    ]
    kept = {row["budget"] for row in rows} - {1.0}
    for shown, dots in ((kept, 24), (set(budgets), 0)):
        table, gains = (pd.DataFrame([row for row in each if row["budget"] in shown]) for each in (rows, means))
        ax = personal_gain(table, gains, Figure().subplots())
        assert sum(line.get_marker() == "." for line in ax.lines) == dots
        handles, _ = ax.get_legend_handles_labels()
        assert len(handles[0].lines[0].get_xdata()) == len(shown), "means are all there"


def test_methods_that_train_nothing_stand_side_by_side():
    common = {"control": "", "score": 0.5, "score_low": 0.4, "score_high": 0.6}
    samples = {"full": 0, "ocap": 0, "l1": 0, "finetune": 150}
    rows = pd.DataFrame([common | {"method": method, "retrain_samples": count} for method, count in samples.items()])
    ax = retraining(rows, [(method, "") for method in samples], Figure().subplots())
    handles, _ = ax.get_legend_handles_labels()
    places = [float(np.asarray(handle.lines[0].get_xdata(), float)[0]) for handle in handles]
    assert places[3] == 150
    assert len(set(places[:3])) == 3
    assert max(map(abs, places[:3])) < 10
    assert ax.get_xscale() == "symlog"


def test_a_budget_has_one_place_for_all_methods():
    rows = [
        {"method": method, "control": control, "budget": budget, "seed": 0, "identity": "a", "score": 0.5}
        for method, budgets in (("ppp", (0.05, 0.1)), ("gated", (0.1, 0.2)))
        for budget in budgets
        for control in ("own", "other")
    ]
    means = [
        {"method": method, "against": "other", "budget": budget, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}
        for method, budget in (("ppp", 0.05), ("ppp", 0.1), ("gated", 0.1), ("gated", 0.2))
    ]
    ax = personal_gain(pd.DataFrame(rows), pd.DataFrame(means), Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["5", "10", "20"]
    handles, labels = ax.get_legend_handles_labels()
    gated = handles[labels.index("no prototype loss, own")].lines[0]
    np.testing.assert_allclose(np.round(np.asarray(gated.get_xdata(), float)), [1, 2])


def test_protocols_without_a_gain_have_no_panel():
    series = (("2 classes", "ppp", "own"), ("2 classes", "ppp", "other"), ("3 classes", "l1", ""))
    common = {"budget": 0.1, "seed": 0, "identity": "a", "score": 0.5, "seen": True}
    rows = [common | {"persons": persons, "method": method, "control": control} for persons, method, control in series]
    mean = {"method": "ppp", "against": "other", "budget": 0.1, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}
    figure = gain_figure(pd.DataFrame(rows), pd.DataFrame([mean | {"persons": "2 classes", "seen": True}]))
    assert [ax.get_title() for ax in figure.axes] == ["persons of 2 classes: own less another's"]


def test_a_pruned_method_at_the_whole_budget_is_not_shown_for_another():
    common = {"control": "", "retrain_samples": 90.0, "persons": "2 classes", "seen": True, "n": 3, "people": 3}
    points = (("l1", 0.1, 0.4), ("l1", 1.0, 0.9), ("full", 1.0, 1.0))
    rows = [common | {"method": m, "budget": b, "score": a, "score_low": a, "score_high": a} for m, b, a in points]
    (ax,) = retraining_figure(pd.DataFrame(rows)).axes
    handles, labels = ax.get_legend_handles_labels()
    assert float(np.asarray(handles[labels.index("L1")].lines[0].get_ydata(), float)[0]) == 0.4


def test_retraining_is_shown_at_two_budgets():
    common = {"control": "", "retrain_samples": 90.0, "persons": "2 classes", "seen": True, "n": 3, "people": 3}
    points = (("l1", 0.1, 0.4), ("l1", 0.2, 0.5), ("l1", 0.35, 0.6), ("full", 1.0, 1.0))
    rows = [common | {"method": m, "budget": b, "score": a, "score_low": a, "score_high": a} for m, b, a in points]
    axes = retraining_figure(pd.DataFrame(rows)).axes
    assert [ax.get_title().split("\n")[1] for ax in axes] == ["budget 10 %", "budget 35 %"]
    for ax, accuracy in zip(axes, (0.4, 0.6), strict=True):
        handles, labels = ax.get_legend_handles_labels()
        drawn = {label: float(handle.lines[0].get_ydata()[0]) for handle, label in zip(handles, labels, strict=True)}
        assert drawn == {"L1": accuracy, "full network": 1.0}


def test_whom_no_budget_suffices_for_is_named_below():
    never = {f"macs_within_{points}{end}": 1.0 for points in "13" for end in ("", "_low", "_high")}
    common = {"control": "", "persons": "2 classes", "seen": True}
    rows = [common | never | {"method": "l1"}, common | never | {"method": "ocap", "macs_within_3_low": 0.4}]
    figure = iso_figure(pd.DataFrame(rows))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["OCAP"]
    assert figure.legends[0].get_title().get_text() == "No budget suffices: L1."


def test_an_overview_has_a_panel_for_each_kind_and_what_each_has(summary: pd.DataFrame):
    rows = summary.assign(persons="2 classes", n=6, people=6)
    figure = overview_figure(
        {"digits (2 classes)": rows, "two": rows[rows["method"] != "l1"]}, [("full", ""), ("ppp", "own"), ("l1", "")]
    )
    assert [ax.get_title() for ax in figure.axes] == ["digits\n(2 classes, n = 6)", "two\n(n = 6)"]
    labels = [set(ax.get_legend_handles_labels()[1]) for ax in figure.axes]
    assert labels == [{"full network", "PPP, own prototype", "L1"}, {"full network", "PPP, own prototype"}]
    assert not figure.legends
    beside = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert beside[0] == []
    assert sorted(name.replace("\n", " ") for name in beside[1]) == sorted(labels[1])


def test_an_overview_shows_a_method_alone_where_its_classes_are_not_corrected(summary: pd.DataFrame):
    rows = summary.assign(persons="person", n=6, people=6)
    series = [("full", ""), ("full+classes", ""), ("l1+classes", "")]
    corrected = rows[rows["method"] == "l1"].assign(method="l1+classes")
    alone, both = overview_figure({"all": rows, "few": pd.concat([rows, corrected])}, series).axes
    told = [set(ax.get_legend_handles_labels()[1]) for ax in (alone, both)]
    assert told == [{"full network", "L1"}, {"full network", "L1, person's classes"}]
    colours = [{line.get_color() for line in ax.lines} for ax in (alone, both)]
    assert colours[0] == colours[1], "drawn alike"


def test_names_in_an_overview_do_not_overlap(summary: pd.DataFrame):
    rows = summary.assign(score=0.8, score_low=0.7, score_high=0.9, n=6, people=6, persons="person")
    series = [("full", ""), ("ppp", "own"), ("ppp", "other"), ("l1", ""), ("mine", "")]
    figure = overview_figure({"one": rows}, series)
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the lines to them
    assert len(boxes) == 5
    for one, two in itertools.combinations(boxes, 2):
        assert one.y1 <= two.y0 + 1 or two.y1 <= one.y0 + 1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_gains_of_nothing_are_not_magnified():
    rows = [
        {"persons": "2 classes", "seen": True, "seed": 0, "identity": identity, "method": "ppp", "control": control}
        for identity in ("a", "b")
        for control in ("own", "other")
    ]
    table = pd.DataFrame(rows).assign(budget=0.1, score=[0.5, 0.5 + 1e-17, 0.5, 0.5])
    gain = {"method": "ppp", "against": "other", "budget": 0.1, "gain": -1e-17, "gain_low": -1e-17, "gain_high": 0.0}
    ax = personal_gain(table, pd.DataFrame([gain]), Figure().subplots())
    low, high = ax.get_ylim()
    assert low <= -1 < 1 <= high
