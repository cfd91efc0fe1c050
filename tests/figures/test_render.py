"""What a results folder comes to as files."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pppl.cli.command import main
from pppl.figures import render
from pppl.system.errors import UserError

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered")
    render(RESULTS / "digits", venue="neurips", out=out)
    return out


def test_each_figure_has_three_files_and_each_table_two(rendered: Path):
    names = {"accuracy_vs_macs", "accuracy_vs_bytes", "iso_macs", "personal_gain", "retraining", "gates"}
    figures = {path.name for path in (rendered / "figures").glob("[!.]*")}
    assert figures == {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "txt")}
    tables = {path.name for path in (rendered / "tables").glob("[!.]*")}
    assert tables == {f"accuracy_{budget}.{suffix}" for budget in (10, 25) for suffix in ("tex", "txt")}


def test_fonts_are_embedded_and_true_type(rendered: Path):
    for path in (rendered / "figures").glob("*.pdf"):
        content = path.read_bytes()
        assert b"/FontFile2" in content, path.name
        assert b"STIX" in content, path.name
        assert b"/Type3" not in content, path.name


def test_the_width_on_paper_is_the_venues(rendered: Path):
    with Image.open(rendered / "figures" / "iso_macs.png") as image:
        assert image.width / image.info["dpi"][0] == pytest.approx(5.5, abs=0.01)


def test_captions_tell_of_whom_and_what_the_intervals_are(rendered: Path):
    summary = pd.read_csv(RESULTS / "digits" / "summary.csv")
    for name in ("figures/accuracy_vs_macs", "figures/retraining", "tables/accuracy_10"):
        caption = (rendered / f"{name}.txt").read_text()
        assert f"n = {summary['n'].max()} person-seed pairs of {summary['people'].max()} subsets of classes" in caption
        assert f"Data set {summary['dataset'].iloc[0]}, backbone {summary['backbone'].iloc[0]}" in caption
        assert "95 % t intervals over seeds and persons." in caption


def test_the_command_writes_for_a_venue_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "results"
    shutil.copytree(RESULTS / "clinc150_domains", folder, ignore=shutil.ignore_patterns("figures"))
    out = tmp_path / "out"
    assert main(["figures", str(folder), "--style", "slides", "--out", str(out)]) == 0
    names = ("task_scores", "storage")
    assert capsys.readouterr().out.split() == [str(out / "figures" / f"{name}.png") for name in names]
    assert b"DejaVuSans" in (out / "figures" / "storage.pdf").read_bytes()
    assert (out / "tables" / "scores.tex").exists()
    assert not (folder / "figures").exists()


def test_an_unknown_style_writes_nothing(tmp_path: Path):
    with pytest.raises(UserError, match="did you mean 'icml'"):
        render(RESULTS / "clinc150_domains", venue="icm", out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_choice_of_methods_is_all_that_figures_and_tables_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    chosen = "[full, ppp@persons, ppp@persons other, l1_local+retrain]"
    command = ["figures", str(RESULTS / "digits"), "--style", "ieee", "--columns", "1", "--methods", chosen]
    assert main([*command, "--out", str(tmp_path)]) == 0
    drawn = {Path(line).stem for line in capsys.readouterr().out.split()}
    assert drawn == {"accuracy_vs_macs", "iso_macs", "personal_gain", "retraining", "gates"}
    with Image.open(tmp_path / "figures" / "accuracy_vs_macs.png") as image:
        assert image.width / image.info["dpi"][0] == pytest.approx(3.5, abs=0.01)
    table = (tmp_path / "tables" / "accuracy_10.tex").read_text()
    rows = [line.partition(" &")[0] for line in table.splitlines() if " & " in line]
    assert rows[1:] == ["full network", "PPP per person, own", "PPP per person, another's", "L1 + retraining for all"]


def test_a_choice_of_ways_to_adapt_an_encoder(tmp_path: Path):
    render(RESULTS / "clinc150_domains", methods=["full"], out=tmp_path)
    table = (tmp_path / "tables" / "scores.tex").read_text()
    assert [line.partition(" &")[0] for line in table.splitlines() if " & " in line] == ["method", "full fine-tuning"]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["digits", "--methods", "[ful]"], "unknown method 'ful': did you mean 'full'?"),
        (["digits", "--methods", "[ppp@persons twin]"], "did you mean 'ppp@persons'?"),
        (["clinc150_domains", "--methods", "[ful]"], "did you mean 'full'?"),
        (["digits", "--methods", "full"], "--methods is full: write a list such as '[full, ppp]'"),
        (["digits_ppp", "--methods", "[full]"], "leave out methods"),
        (["digits", "--columns", "3"], "columns is 3: a figure is 1 or 2 columns wide"),
    ],
)
def test_a_choice_that_cannot_be_drawn_is_told(
    arguments: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name, *rest = arguments
    assert main(["figures", str(RESULTS / name), *rest, "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert answer in line
    assert not list(tmp_path.iterdir())
