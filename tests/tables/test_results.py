import errno
import os
import re
from pathlib import Path

import pytest

from pppl.system.errors import UserError
from pppl.tables.journal import COLUMNS, Journal, Row, key_of

NOW = {"a": "now", "b": "now"}
BEFORE = {"a": "before", "b": "before"}


def _rows(identity: str) -> list[Row]:
    return [dict.fromkeys(COLUMNS, 0.5) | {"identity": identity, "method": method} for method in ("a", "b")]


def test_rows_come_back_as_they_were(tmp_path: Path):
    journal = Journal(tmp_path, NOW)
    journal.append(_rows("x"))
    journal.append(_rows("y"))
    again = Journal(tmp_path, NOW)
    assert list(again.rows.values()) == [*_rows("x"), *_rows("y")]
    assert again.has(key_of(row) for row in _rows("x"))
    assert not again.has(key_of(row) for row in _rows("z"))


def test_rows_of_another_configuration_are_stale(tmp_path: Path):
    Journal(tmp_path, BEFORE).append(_rows("x"))
    assert Journal(tmp_path, NOW).rows == {}
    assert len(Journal(tmp_path, BEFORE).rows) == 2, "and yet they are not lost"


def test_only_the_rows_of_what_changed_are_stale(tmp_path: Path):
    Journal(tmp_path, NOW).append(_rows("x"))
    assert [row["method"] for row in Journal(tmp_path, {"a": "now", "b": "later"}).rows.values()] == ["a"]


@pytest.mark.parametrize("cut", [2, 20, 200])
def test_a_line_cut_short_costs_that_line_only(tmp_path: Path, cut: int):
    journal = Journal(tmp_path, NOW)
    journal.append(_rows("x"))
    whole = journal.path.read_bytes()
    journal.append(_rows("y"))
    journal.path.write_bytes(journal.path.read_bytes()[: len(whole) + cut])
    torn = Journal(tmp_path, NOW)
    assert [row["identity"] for row in torn.rows.values()] == ["x", "x"]
    assert torn.broken == 1
    torn.append(_rows("y"))
    assert [row["identity"] for row in Journal(tmp_path, NOW).rows.values()] == ["x", "x", "y", "y"]


def test_two_writers_lose_nothing(tmp_path: Path):
    one, two = Journal(tmp_path, NOW), Journal(tmp_path, NOW)
    one.append(_rows("x"))
    two.append(_rows("y"))
    one.append(_rows("z"))
    assert {row["identity"] for row in Journal(tmp_path, NOW).rows.values()} == {"x", "y", "z"}


def test_a_line_that_another_writer_was_killed_in_costs_nobody_elses_row(tmp_path: Path):
    one, two = Journal(tmp_path, NOW), Journal(tmp_path, NOW)
    one.append(_rows("x"))
    with two.path.open("ab") as file:
        file.write(b'{"fingerprint": "now", "meth')  # killed in the middle of a write
    one.append(_rows("y"))
    again = Journal(tmp_path, NOW)
    assert {row["identity"] for row in again.rows.values()} == {"x", "y"}
    assert again.broken == 1


def test_what_was_read_is_not_read_again(tmp_path: Path):
    one, two = Journal(tmp_path, NOW), Journal(tmp_path, NOW)
    one.append(_rows("x"))
    two.read()
    whole = one.path.read_bytes()
    one.append(_rows("y"))
    one.path.write_bytes(b" " * len(whole) + one.path.read_bytes()[len(whole) :])
    two.read()
    assert {row["identity"] for row in two.rows.values()} == {"x", "y"}


def test_a_line_that_is_no_row_is_left_out(tmp_path: Path):
    journal = Journal(tmp_path, NOW)
    journal.append(_rows("x"))
    strange = '{"fingerprint": "now", "identity": []}', "[1]", "null", '{"fingerprint": "now"}', "\x00\xff"
    with journal.path.open("a", encoding="latin-1") as file:
        file.write("\n".join(strange) + "\n")
    again = Journal(tmp_path, NOW)
    assert len(again.rows) == 2
    assert again.broken == len(strange)


def test_a_folder_in_the_journals_place_is_named(tmp_path: Path):
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*journal\.jsonl"):
        Journal(tmp_path, NOW)


def test_a_full_disk_is_no_half_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path, NOW)
    write, room = os.write, [30]

    def limited(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return write(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", limited)
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.EDQUOT))) as caught:
        journal.append(_rows("x"))
    assert caught.value.filename == str(journal.path)
    monkeypatch.undo()
    again = Journal(tmp_path, NOW)
    assert (len(again.rows), again.broken) == (0, 1)


@pytest.mark.parametrize("text", ["one line of mine", '{"a": 1}\n{"a": 2}\n', "\n\nnotes\n", '["fingerprint"]\n'])
def test_a_journal_of_somebody_else_is_not_added_to(text: str, tmp_path: Path):
    (tmp_path / "journal.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"journal\.jsonl is no journal of pppl"):
        Journal(tmp_path, NOW)
    assert (tmp_path / "journal.jsonl").read_text() == text


@pytest.mark.parametrize("text", ["", "\n", '{"finger', '\n{"fingerprint": "now", "ident', "\0\0\0"])
def test_what_a_kill_left_of_a_journal_is_gone_on_with(text: str, tmp_path: Path):
    (tmp_path / "journal.jsonl").write_text(text)
    journal = Journal(tmp_path, NOW)
    journal.append(_rows("x"))
    assert Journal(tmp_path, NOW).rows == journal.rows != {}


def test_a_journal_has_the_mode_that_the_umask_gives(tmp_path: Path):
    before = os.umask(0o002)
    try:
        Journal(tmp_path, NOW).append(_rows("x"))
    finally:
        os.umask(before)
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o664
