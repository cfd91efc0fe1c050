"""Tables and journals of earlier versions are read, and replaced by today's."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from pppl.system.errors import UserError
from pppl.system.files import write_bytes
from pppl.tables.journal import COLUMNS, TABLE, Journal, key_of, read_table, write_table
from pppl.tables.schema import csv_text, existing, read_frame

_ROW = {
    **{"dataset": "digits", "backbone": "convnet", "persons": "2 classes", "seen": True, "method": "full"},
    **{"control": "", "budget": 1.0, "seed": 0, "identity": "0+8", "shots": 5, "accuracy": 0.9, "accuracy_full": 0.9},
    **{"macs": 10, "macs_fraction": 1.0, "params": 10, "params_fraction": 1.0, "artifact_bytes": 40},
    **{"retrain_samples": 0, "train_samples": 0, "queries": 88, "personalize_seconds": 0.1},
}


def test_an_earlier_table_has_scores_a_task_and_a_metric(tmp_path: Path):
    (tmp_path / "table.csv").write_text(csv_text(pd.DataFrame([_ROW])))
    frame = read_frame(tmp_path / TABLE)
    assert tuple(frame.columns) == COLUMNS
    row = read_table(tmp_path / TABLE)[0]
    assert (row["score"], row["score_full"], row["task"], row["metric"]) == (0.9, 0.9, "classification", "accuracy")
    (tmp_path / "trials.csv").write_text(
        "trial,state,accuracy,accuracy_low,accuracy_high,seconds\n0,complete,1,1,1,2\n"
    )
    assert [*read_frame(tmp_path / "trials.csv").columns[:4]] == ["trial", "state", "metric", "score"]


def test_a_line_of_an_earlier_journal_is_a_row_of_today(tmp_path: Path):
    stamp = {"settings": "a", "code": "b"}
    (tmp_path / "journal.jsonl").write_text("\n" + json.dumps({"fingerprint": stamp, **_ROW}) + "\n")
    journal = Journal(tmp_path, {"full": stamp})
    (row,) = journal.rows.values()
    assert {*row} == {*COLUMNS}
    assert row["score"] == 0.9
    assert key_of(row) in journal.rows
    assert not journal.broken


def test_rows_are_compressed_to_the_same_bytes_and_replace_the_plain_table(tmp_path: Path):
    write_bytes(tmp_path / "table.csv", csv_text(pd.DataFrame([_ROW])).encode())
    table = read_frame(existing(tmp_path / TABLE))
    write_table(tmp_path / TABLE, table)
    assert not (tmp_path / "table.csv").exists()
    written = (tmp_path / TABLE).read_bytes()
    assert written[3:8] == b"\0\0\0\0\0", "neither a name nor a time"
    assert gzip.decompress(written).decode() == csv_text(table)
    write_table(tmp_path / TABLE, table)
    assert (tmp_path / TABLE).read_bytes() == written
    pd.testing.assert_frame_equal(read_frame(tmp_path / TABLE), table)


def test_a_plain_table_of_somebody_else_stays(tmp_path: Path):
    (tmp_path / "table.csv").write_text("mine\n1\n")
    with pytest.raises(UserError, match=r"table\.csv was not written by pppl"):
        write_table(tmp_path / TABLE, pd.DataFrame([_ROW]))
    assert not (tmp_path / TABLE).exists()


@pytest.mark.parametrize(
    "content", [b"", b"dataset\n", b"\x1f\x8b\x08\0\0\0\0\0", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9]]
)
def test_a_spoilt_compressed_table_is_told_in_a_line(content: bytes, tmp_path: Path):
    (tmp_path / TABLE).write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*table.csv.gz") as told:
        read_table(tmp_path / TABLE)
    assert "\n" not in str(told.value)
