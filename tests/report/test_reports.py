import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_pages import RESULTS, Parsed

from pppl.cli.command import main
from pppl.figures import Looks
from pppl.report import accuracies_of, report
from pppl.system.errors import UserError
from pppl.tables.intervals import mean_interval

HOSTILE = "\"'><img src=x onerror=alert(1)></script></style><script>alert(2)</script>&lt;"


def _page(folder: Path, out: Path) -> Parsed:
    return Parsed(report(folder, out / "report.html").read_text(encoding="utf-8"))


def _spoil(path: Path, *columns: str) -> None:
    """Gives every name in these columns an end that is markup."""
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    for column in columns:
        frame[column] = [f"{value}{HOSTILE}" for value in frame[column]]
    frame.to_csv(path, index=False)


def _assert_harmless(page: Parsed) -> None:
    assert len(page.named("script")) == len(page.named("style")) == 1
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on") or key == "style"]
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.named("img"))
    parts = ("answer", "summary", "persons", "figures", "tables", "origin")
    assert {a["href"] for a in page.named("a")} <= {f"#{part}" for part in parts}
    assert page.named("link") == [{"rel": "icon", "href": "data:,"}]
    policy = next(meta["content"] or "" for meta in page.named("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"iframe", "object", "embed", "form", "base", "video", "audio", "source"} & {n for n, _ in page.elements}


def test_names_of_others_are_no_markup(folder: Path, tmp_path: Path):
    _spoil(folder / "summary.csv", "dataset", "backbone", "persons", "method", "control")
    _spoil(folder / "table.csv.gz", "dataset", "backbone", "persons", "method", "control", "identity")
    _spoil(folder / "gains.csv", "dataset", "backbone", "persons", "method", "against")
    _spoil(folder / "tuned.csv", "method", "settings")
    frame = pd.read_csv(folder / "effort.csv", keep_default_na=False).assign(**{HOSTILE: HOSTILE})
    frame.to_csv(folder / "effort.csv", index=False)
    (folder / "figures" / "gates.txt").write_text(HOSTILE)
    shutil.copy(folder / "figures" / "gates.png", folder / "figures" / 'on\'load="x".png')
    run = json.loads((folder / "run.json").read_text())
    run |= {
        "git_commit": HOSTILE,
        "seeds": [HOSTILE, 1],
        "packages": {HOSTILE: HOSTILE},
        "dataset_sha256": {"a": HOSTILE},
    }
    run |= {"hardware": {"cpu": HOSTILE}, "networks_trained_on": {HOSTILE: 3}}
    run["config"] |= {"name": f"{HOSTILE}\ud800", HOSTILE: [HOSTILE]}
    (folder / "run.json").write_text(json.dumps(run))
    page = _page(folder, tmp_path)
    _assert_harmless(page)
    assert f"l1{HOSTILE}" in page.text, "it is told, as text"
    assert {image["alt"] for image in page.named("img")} == {HOSTILE, 'On\'load="x"'}


@pytest.mark.parametrize("name", ["minilm", "digits_ppp"])
def test_nor_are_those_of_tasks_and_sweeps(name: str, tmp_path: Path):
    folder = shutil.copytree(RESULTS / name, tmp_path / "results")
    if name == "minilm":
        _spoil(folder / "summary.csv", "task", "encoder", "method", "metric")
        _spoil(folder / "stream.csv", "task", "method")
    else:
        trials = pd.read_csv(folder / "trials.csv").rename(columns={"ppp.target_rate": HOSTILE})
        trials.assign(**{f"{HOSTILE}2": HOSTILE}).to_csv(folder / "trials.csv", index=False)
        _spoil(folder / "importances.csv", "key")
        (folder / "best.yaml").write_text(HOSTILE)
    _assert_harmless(_page(folder, tmp_path))


def _mean(row: pd.Series, name: str = "score", unit: str = "%") -> str:
    value, low, high = (row[f"{name}{end}"] * 100 + 0.0 for end in ("", "_low", "_high"))
    return f"{value:.1f} {unit} [{low:.1f}, {high:.1f}]".replace("-0.0", "0.0")


def test_prose_has_the_numbers_of_the_tables(folder: Path, tmp_path: Path):
    text = " ".join(_page(folder, tmp_path).text.split())
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    table = pd.read_csv(folder / "table.csv.gz", keep_default_na=False)
    series = summary.set_index(["method", "control", "budget"]).sort_index()
    assert f"The full network has {_mean(series.loc['full', '', 1.0])}." in text
    rows = summary[(summary["budget"] == 0.1) & summary["control"].isin(["", "own"])]
    rows = rows.sort_values("score", ascending=False)
    best, untrained = (
        rows.iloc[0],
        rows[(rows["retrain_samples"] == 0) & ~rows["method"].str.contains("retrain")].iloc[0],
    )
    assert best["method"] != untrained["method"]
    each = table[(table["method"] == best["method"]) & (table["budget"] == 0.1)]
    below = (each["score_full"] - each["score"]).to_numpy()
    low, high = mean_interval(below, each["seed"].tolist(), each["identity"].tolist())
    looks = Looks.of_run(json.loads((folder / "run.json").read_text()))
    name, other = (looks.look(row["method"], row["control"]).label for row in (best, untrained))
    distance = f"{abs(np.mean(below)) * 100:.1f} points ["
    assert f"Best of {len(rows)} methods that prune is {name}: {_mean(best)}, {distance}" in text
    side = "below" if np.mean(below) >= 0 else "above"
    ends = (low, high) if np.mean(below) >= 0 else (-high, -low)
    interval = f"[{ends[0] * 100:.1f}, {ends[1] * 100:.1f}]".replace("-0.0", "0.0")
    assert f"{interval} {side} the full network" in text
    assert f"the best is {other}: {_mean(untrained)}, " in text
    others = int((rows["score_high"].iloc[1:] >= best["score_low"]).sum())
    assert f"the intervals of {others} of the other {len(rows) - 1} reach into its own" in text
    before, after = (series.loc[method, "", 0.1]["score"] * 100 for method in ("l1_local", "l1_local+retrain"))
    assert f"L1, per layer gains most by training: retrained for everybody, it goes from {before:.1f} % to" in text
    assert f"to {after:.1f} %, by {after - before:.1f} points [" in text
    gains = pd.read_csv(folder / "gains.csv").set_index(["method", "budget", "against"])
    method = next(name for name in rows["method"] if (name, 0.1, "twin") in gains.index)
    own, everybody = (_mean(gains.loc[method, 0.1, against], "gain", "points") for against in ("twin", "population"))
    assert f"own less a twin's samples (of the same classes), is {own} (p" in text
    assert f", corrected), and over everybody's {everybody}." in text


def test_variants_are_called_as_their_experiment_calls_them(folder: Path, tmp_path: Path):
    run = json.loads((folder / "run.json").read_text())
    run["config"]["looks"] = {"ppp@persons": {"label": "masks of <one's> own"}}
    (folder / "run.json").write_text(json.dumps(run))
    assert "masks of <one's> own" in _page(folder, tmp_path).text
    assert "masks of <one's> own, `ppp@persons`" in accuracies_of([folder], 0.1)
    assert "masks of <one's> own" not in accuracies_of([RESULTS / "digits"], 0.1)
    del run["config"]["looks"]  # as in run.json of earlier versions
    (folder / "run.json").write_text(json.dumps(run))
    assert "PPP, own prototype (persons)" in _page(folder, tmp_path).text
    run["config"]["looks"] = {"ppp@persons": {"label": 7}}
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(UserError, match=r"looks\.ppp@persons\.label is 7: it is text"):
        report(folder, tmp_path / "report.html")


def test_without_the_table_of_persons_there_are_means_without_intervals(folder: Path, tmp_path: Path):
    (folder / "table.csv.gz").unlink()
    (folder / "gains.csv").unlink()
    (folder / "run.json").unlink()
    text = " ".join(_page(folder, tmp_path).text.split())
    assert re.search(r"\d\.\d points (below|above) the full network", text)
    assert "The personal gain" not in text
    assert text.startswith("some results - pppl report"), "named by the folder"


def test_tables_have_a_row_for_each_of_the_files(folder: Path, tmp_path: Path):
    page = _page(folder, tmp_path)
    rows = sum(len(pd.read_csv(path)) for path in folder.glob("*.csv") if path.stem != "table")
    rows += pd.read_csv(folder / "table.csv.gz")["identity"].nunique()  # in the gallery of persons
    heads = len(page.named("table"))
    assert len(page.named("tr")) == rows + heads
    sortable = [attributes for attributes in page.named("th") if attributes["aria-sort"] == "none"]
    assert len(sortable) == len(page.named("th")) > 0


def test_tasks_tell_scores_and_bytes(tmp_path: Path):
    text = " ".join(_page(RESULTS / "minilm", tmp_path).text.split())
    summary = pd.read_csv(RESULTS / "minilm" / "summary.csv", keep_default_na=False, na_values={"minus_full": [""]})
    average = summary[summary["task"] == "average"].set_index("method")
    assert f"Full fine-tuning has {_mean(average.loc['full'], 'score')}" in text
    stored = average.loc["diff", "task_bytes"] / 1000
    assert f"diff pruning with {_mean(average.loc['diff'], 'score')}" in text
    assert f"below full fine-tuning, in {stored:,.0f} kB a task" in text


def test_sweeps_tell_the_best_trial_and_what_matters(tmp_path: Path):
    text = " ".join(_page(RESULTS / "digits_ppp", tmp_path).text.split())
    trials = pd.read_csv(RESULTS / "digits_ppp" / "trials.csv")
    best = trials[trials["best"]].iloc[0]
    assert f"Trial {best['trial']} is the best: accuracy {_mean(best)}" in text
    assert f"ppp.target_rate = {best['ppp.target_rate']:.4g}" in text
    shares = pd.read_csv(RESULTS / "digits_ppp" / "importances.csv")
    assert f"{shares['key'][0]} {_mean(shares.iloc[0], 'importance')}" in text
    assert f"{trials['feasible'].sum()} of the 100 that finished keep to the constraints" in text
    assert "# The best of 100 trials of the sweep digits_ppp" in text


def test_trials_that_ended_early_have_no_accuracy(tmp_path: Path):
    text = " ".join(_page(RESULTS / "arabic_ppp", tmp_path).text.split())
    ended = (pd.read_csv(RESULTS / "arabic_ppp" / "trials.csv")["state"] != "complete").sum()
    assert f"32 trials on validation persons, {ended} of which ended early" in text
    assert "nan" not in text.lower().split()


def test_secrets_and_environments_stay_out(folder: Path, tmp_path: Path):
    run = json.loads((folder / "run.json").read_text())
    run |= {"environment": {"HOME": "hidden-1"}, "argv": ["hidden-2"]}
    run["hardware"] |= {"hostname": "hidden-3"}
    run["config"] |= {"storage": "postgresql://user:hidden-4@host/base", "wandb": {"api_key": "hidden-5"}}
    (folder / "run.json").write_text(json.dumps(run))
    page = report(folder, tmp_path / "report.html").read_text()
    assert "postgresql://host/base" in page
    assert not re.findall(r"hidden-\d", page)
    assert str(tmp_path) not in page, "no path of this machine"


def test_the_file_is_beside_the_tables_and_the_same_each_time(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(folder)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == folder / "report.html"
    first = path.read_bytes()
    assert main(["report", str(folder)]) == 0
    assert path.read_bytes() == first
    assert len(first) < 1_000_000


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("summary.csv", "cannot read .*summary.csv: No such file or directory; name a folder that `pppl compare`"),
        (
            "column",
            "summary.csv is corrupted .it has no column 'score_low'",
        ),
        ("number", "column 'score' holds something that is no number"),
        ("empty", "column 'score' holds something that is no number"),
        ("ragged", r"row \d+ has \d+ cells, the header 30"),
        ("binary", "summary.csv is corrupted"),
        ("rows", "summary.csv has no rows"),
        ("gains", "gains.csv is corrupted .it has no column 'gain_high'"),
        ("figure", "gates.png is not a PNG file; `pppl figures .*` draws it again"),
    ],
)
def test_what_is_missing_or_corrupted_is_named_and_a_report_stays(folder: Path, spoilt: str, message: str):
    report(folder)
    before = (folder / "report.html").read_bytes()
    path = folder / "summary.csv"
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    if spoilt == "summary.csv":
        path.unlink()
    elif spoilt == "column":
        frame.drop(columns="score_low").to_csv(path, index=False)
    elif spoilt in ("number", "empty"):
        frame.loc[1, "score"] = {"number": "much", "empty": ""}[spoilt]
        frame.to_csv(path, index=False)
    elif spoilt == "ragged":
        path.write_text(path.read_text()[:-40])
    elif spoilt == "binary":
        path.write_bytes(b"\x00\xff" * 100)
    elif spoilt == "rows":
        frame.iloc[:0].to_csv(path, index=False)
    elif spoilt == "gains":
        pd.read_csv(folder / "gains.csv").drop(columns="gain_high").to_csv(folder / "gains.csv", index=False)
    else:
        (folder / "figures" / "gates.png").write_bytes(b"<svg onload='alert(1)'/>")
    with pytest.raises(UserError, match=message):
        report(folder)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize("out", ["elsewhere", "report.pdf", "some results"])
def test_out_is_an_html_file(folder: Path, tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(folder), "--out", str(tmp_path / out)]) == 2
    assert "name a file that ends in .html" in capsys.readouterr().err


def test_reports_need_no_torch(folder: Path, tmp_path: Path):
    code = (
        "import sys, pathlib; from pppl.report import report\n"
        f"report(pathlib.Path({str(folder)!r}), pathlib.Path({str(tmp_path / 'report.html')!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
