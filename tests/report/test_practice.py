"""Lines of what to do, and tables in Markdown, from a folder's tables."""

from pathlib import Path

import pandas as pd
import pytest

from pppl.cli.command import main
from pppl.report import accuracies_of, answers_of
from pppl.report.answer import answer
from pppl.report.folder import read_results
from pppl.report.practice import practice
from pppl.system.errors import UserError

_KEY = {"dataset": "my_words", "backbone": "b", "control": ""}
_PERSONS = ({"persons": "person+3 classes", "seen": True}, {"persons": "person+3 classes", "seen": False})


def _folder(path: Path, name: str = "my_words", *, twin: bool = True) -> Path:
    """A gain for seen people, a loss for unseen ones, and a question that nothing can be told of."""
    path.mkdir(parents=True)
    summary, answers, gains = [], [], []
    for persons, sign in zip(_PERSONS, (1, -1), strict=True):
        key = _KEY | persons | {"dataset": name}
        more = {"n": 4, "people": 4, "score_full": 0.8, "retrain_samples": 0.0, "artifact_bytes": 45_300.0}
        for method, budget, accuracy in (("full", 1.0, 0.8), ("full+classes", 1.0, 0.9), ("l1", 0.1, 0.5)):
            row = key | more | {"method": method, "budget": budget, "macs_fraction": budget, "score": accuracy}
            summary.append(row | {"score_low": accuracy - 0.05, "score_high": accuracy + 0.05})
        for question, method, budget, (mean, low, high) in (
            (
                "the classes",
                "full+classes",
                1.0,
                (0.05 * sign, min(0.01 * sign, 0.09 * sign), max(0.01 * sign, 0.09 * sign)),
            ),
            ("at a tenth", "l1", 0.1, (0.002, -0.01, 0.014)),
            ("at a tenth", "l1", 0.5, (0.3, 0.2, 0.4)),
        ):
            row = key | {"question": question, "method": method, "against": "full", "budget": budget, "n": 4}
            answers.append(row | {"difference": mean, "difference_low": low, "difference_high": high})
        if twin:
            row = key | {"method": "l1", "budget": 0.1, "against": "twin", "n": 4, "people": 4}
            gains.append(row | {"gain": 0.0, "gain_low": -0.01, "gain_high": 0.01})
    for stem, rows in (("summary", summary), ("answers", answers), ("gains", gains)):
        if rows:
            pd.DataFrame(rows).to_csv(path / f"{stem}.csv", index=False)
    return path


def test_lines_say_who_gains_who_loses_and_what_is_not_told_apart(tmp_path: Path):
    lines = dict(practice([read_results(_folder(tmp_path / "one"))]))
    assert lines["the classes"] == (
        "gains: my words (3 classes, seen) +5.0 [1.0, 9.0]; loses: my words (3 classes, unseen) -5.0 [-9.0, -1.0]"
    )
    told = "my words (3 classes, seen) +0.2 [-1.0, 1.4], my words (3 classes, unseen) +0.2 [-1.0, 1.4]"
    assert lines["at a tenth"] == f"not told apart: {told}"
    whose = lines["A mask of one's own over that of somebody else with the same classes (l1)"]
    assert whose.startswith("equal within a point: my words (3 classes, seen) 0.0 [-1.0, 1.0]")
    sizes = lines[
        "What a device stores at 10 % of the MACs (the person's classes add bytes; gates stay where it is cut)"
    ]
    assert sizes == "my words: full 45.3 kB"


@pytest.mark.parametrize(
    ("ends", "holm", "told"),
    [
        ((0.002, 0.04), 0.2, "gains: my words (3 classes, seen) +2.0 ["),
        ((0.002, 0.04), 0.01, "gains: my words (3 classes, seen) +2.0\\* ["),
        ((-0.009, 0.01), 0.2, "equal within a point: "),
        ((0.001, 0.009), 0.01, "equal within a point: my words (3 classes, seen) +2.0\\* ["),
        ((-0.009, 0.011), 0.01, "not told apart: my words (3 classes, seen) +2.0\\* ["),
    ],
)
def test_equal_is_said_only_within_a_point(tmp_path: Path, ends: tuple[float, float], holm: float, told: str):
    folder = _folder(tmp_path / "one")
    answers = pd.read_csv(folder / "answers.csv").assign(difference=0.02, holm_p=holm)
    answers["difference_low"], answers["difference_high"] = ends
    answers.to_csv(folder / "answers.csv", index=False)
    assert dict(practice([read_results(folder)]))["at a tenth"].startswith(told)


def test_where_persons_are_classes_a_twin_is_nobody_else(tmp_path: Path):
    folder = _folder(tmp_path / "one")
    for name in ("summary", "answers", "gains"):
        pd.read_csv(folder / f"{name}.csv").assign(persons="3 classes").to_csv(folder / f"{name}.csv", index=False)
    assert not [line for line in practice([read_results(folder)]) if "somebody else" in line.question]


def test_the_least_macs_are_of_methods_that_know_as_little_as_the_full_network(tmp_path: Path):
    folder = _folder(tmp_path / "one")
    key = _KEY | _PERSONS[0] | {"dataset": "my_words", "area": 0.5}
    rows = [("l1+classes", 0.1, 0.1, 0.2), ("l1", 0.3, 0.2, 0.5), ("l2", 0.2, 0.1, 1.0)]
    told = ("macs_within_1", "macs_within_1_low", "macs_within_1_high")
    pd.DataFrame([key | {"method": name} | dict(zip(told, each, strict=True)) for name, *each in rows]).to_csv(
        folder / "curves.csv", index=False
    )
    line = next(line for line in practice([read_results(folder)]) if line.question.startswith("The least MACs"))
    assert line.told == "my words (3 classes, seen) 30 % [20, 50] (l1)"
    curves = pd.read_csv(folder / "curves.csv")
    curves.assign(macs_within_1_high=1.0).to_csv(folder / "curves.csv", index=False)
    line = next(line for line in practice([read_results(folder)]) if line.question.startswith("The least MACs"))
    assert line.told == "my words (3 classes, seen) none for sure"


def test_several_folders_are_told_together_and_seen_people_can_be_left_out(tmp_path: Path):
    folders = [_folder(tmp_path / "one"), _folder(tmp_path / "two", "others", twin=False)]
    text = answers_of(folders, seen=False)
    first = text.splitlines()[0]
    assert first.startswith("1. **the classes**: loses: my words (3 classes, unseen) -5.0 [-9.0, -1.0], others (")
    assert ", seen" not in text
    table = accuracies_of(folders, 0.1, ["l1", "full"], seen=False).splitlines()
    assert table[0] == "| | my words (3 classes, unseen) | others (3 classes, unseen) |"
    assert table[2] == "| L1, `l1` | 50.0 [45.0, 55.0] | 50.0 [45.0, 55.0] |"
    assert table[3].startswith("| full network, `full`, all MACs | 80.0 [75.0, 85.0] |")


def test_two_networks_on_the_same_data_are_told_apart(tmp_path: Path):
    one, other = _folder(tmp_path / "one", twin=False), _folder(tmp_path / "other", twin=False)
    for path in other.glob("*.csv"):
        frame = pd.read_csv(path)
        frame.assign(**{"backbone": "nets.py:Net"} if "backbone" in frame else {}).to_csv(path, index=False)
    told = accuracies_of([one, other], 0.1, ["l1"], seen=False)
    assert told.splitlines()[0] == "| | my words, b (3 classes, unseen) | my words, Net (3 classes, unseen) |"
    assert "my words, Net (3 classes, unseen)" in answers_of([one, other], budget=0.1)
    assert "my words (3 classes, unseen)" in answers_of([one], budget=0.1), "where there is one, it is not named"


def test_a_question_that_one_folder_has_stands_behind_what_it_follows_there(tmp_path: Path):
    one, two = _folder(tmp_path / "one"), _folder(tmp_path / "two", "others")
    rows = pd.read_csv(two / "answers.csv")
    more = rows.query("question == 'the classes'").assign(question="the same, longer")
    pd.concat([rows.query("question == 'the classes'"), more, rows]).to_csv(two / "answers.csv", index=False)
    questions = [line.question for line in practice([read_results(one), read_results(two)])]
    assert questions[:3] == ["the classes", "the same, longer", "at a tenth"]


def test_the_command_prints_them_and_refuses_what_has_no_persons(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = _folder(tmp_path / "one")
    assert main(["results", "answers", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("1. **the classes**: gains: ")
    tasks = Path(__file__).parents[2] / "results" / "minilm"
    with pytest.raises(UserError, match="minilm is not a comparison on persons: name folders of `pppl compare`"):
        answers_of([tasks])


def test_asterisks_of_a_page_have_no_backslash():
    results = read_results(Path(__file__).parents[2] / "results" / "shoulder")
    assert any("\\*" in line.told for line in practice([results]))
    told = " ".join(map(str, answer(results)))
    assert "*" in told
    assert "\\*" not in told
