"""CSV files of users: dialects, names that look like something else, and what is wrong in one line."""

import random
from pathlib import Path

import pandas as pd
import pytest

from pppl.config import TextColumns
from pppl.system.errors import UserError
from pppl.text.text_table import read_text_csv
from pppl.text.text_tasks import load_task

ROWS = [("Très bien; oui", "glad"), ("no, never", "sad"), ('a "word"', "NA"), ("007", "1e3")]


def _written(delimiter: str = ",", ends: str = "\n", head: tuple[str, str] = ("text", "label")) -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if any(each in text for each in f'{delimiter}"\r\n') else text

    return "".join(delimiter.join(map(cell, row)) + ends for row in [head, *ROWS])


def _read(content: bytes) -> list[tuple[str, str]]:
    return [(row["text"], row["label"]) for row in read_text_csv(Path("mine.csv"), content).rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_write_is_read(delimiter: str, encoding: str, ends: str):
    assert _read(_written(delimiter, ends).encode(encoding)) == ROWS


def test_heads_may_have_capitals_spaces_and_other_columns():
    assert _read(_written(head=(" Text ", "LABEL")).encode()) == ROWS
    file = read_text_csv(Path("mine.csv"), b"id;Label;text\n1;a;x\n2;b;y\n")
    assert [row["text"] for row in file.rows] == ["x", "y"]
    assert file.columns == ("text", "label")
    assert "semicolon" in file.how


def test_long_texts_and_line_ends_inside_quotes_are_texts():
    long = "word " * 60_000
    assert _read(f'text,label\n"{long}",a\n"one\ntwo",b\n'.encode()) == [(long, "a"), ("one\ntwo", "b")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text,label\n\u041f\u0440\u0438\u0432,a\n".encode("cp1251"), ["line 2", "0xcf", "UTF-8"]),
        ("text,label\nこんにちは,a\n".encode("shift_jis"), ["line 2", "UTF-8"]),
        (b"text,label,text\na,b,c\n", ["two columns 'text'"]),
        (b"body:mood\na:b\n", ["no column 'text'", "body:mood", "comma"]),
        (b'text,label\nx,y\n"open,a\nb,c\n', ["line 3", "never closed"]),
        (b'text,label\n"one\ntwo",a,b\n', ["line 2", "3, not 2"]),
        (b"text,label\na, \n", ["line 2", "label is empty"]),
        (b"", ["no column 'text'"]),
        (b"\xff\xfet\x00e", ["UTF-16"]),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(content: bytes, told: list[str]):
    with pytest.raises(UserError) as caught:
        read_text_csv(Path("mine.csv"), content)
    assert all(each in str(caught.value) for each in told), caught.value


def test_what_was_read_is_told_and_what_may_be_a_slip(tmp_path: Path):
    path = tmp_path / "moods.tsv"
    rows = [("good", "glad"), ("bad", "sad"), ("fine", "glad "), ("", "Sad")] * 10
    path.write_text("".join("\t".join(row) + "\n" for row in [("text", "label"), *rows]))
    task = load_task(str(path))
    assert task.labels == ("Sad", "glad", "glad ", "sad")
    told, *notes = task.about
    assert "40 texts, 4 classes; columns text, label; train 32, validation 4, test 4" in told
    assert "tab" in told
    assert sorted(("'glad'" in note, "'Sad'" in note, "10 of 40 texts are empty" in note) for note in notes) == [
        (False, False, True),
        (False, True, False),
        (True, False, False),
    ]


def test_columns_have_the_names_that_settings_give(tmp_path: Path):
    path = tmp_path / "intents.csv"
    path.write_text("text,category,set\n" + "card lost,Lost card,train\nhello,greeting,test\nhi,greeting,train\n" * 5)
    with pytest.raises(UserError) as caught:
        load_task(str(path))
    told = f"{path} has no column 'label': its columns are category, set, text (comma-separated, UTF-8); "
    assert str(caught.value) == told + "name the one that holds it in columns.label"
    task = load_task(str(path), TextColumns(label=" Category", split="set"))
    assert task.labels == ("Lost card", "greeting")
    assert len(task.test) == 5, "by the column set"
    with pytest.raises(UserError, match=r"columns.label: unknown column of .* 'categry': did you mean 'category'\?"):
        load_task(str(path), TextColumns(label="categry"))
    with pytest.raises(UserError, match="columns names 'text' twice"):
        TextColumns(label="text")


def test_texts_of_a_parquet_file(tmp_path: Path):
    pytest.importorskip("pyarrow")
    rows = [("good", "glad"), ("bad", "sad")] * 10
    path = tmp_path / "moods.parquet"
    pd.DataFrame(rows, columns=["utterance", "label"]).to_parquet(path)
    with pytest.raises(UserError, match=r"has no column 'text': its columns are label, utterance \(Parquet\)"):
        load_task(str(path))
    columns = TextColumns(text="utterance")
    task = load_task(str(path), columns)
    (tmp_path / "moods.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    same = load_task(str(tmp_path / "moods.csv"))
    assert (task.name, task.labels, task.train.texts) == (same.name, same.labels, same.train.texts)
    pd.DataFrame([*rows, ("x", None)], columns=["utterance", "label"]).to_parquet(path)
    with pytest.raises(UserError, match="row 20: the label is empty"):
        load_task(str(path), columns)


def test_five_hundred_mutations_end_in_texts_or_in_one_line():
    draw = random.Random(0)
    seeds = [_written(each).encode(encoding) for each in ",;\t" for encoding in ("utf-8", "utf-16", "cp1252")]
    pieces = [
        b'"',
        b"\0",
        b"\xff",
        b"\n",
        b"\r",
        b";",
        b",",
        b"\t",
        b"text",
        b"label",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"'",
    ]
    for _ in range(500):
        content = bytearray(draw.choice(seeds))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(content) + 1)
            content[at : at + draw.choice([0, 0, 1, 5, 40])] = draw.choice([*pieces, draw.randbytes(3), b""])
        told = ""
        try:
            rows = _read(bytes(content))
        except UserError as error:
            rows, told = [], str(error)
        assert "\n" not in told
        assert all(label.strip() for _, label in rows)
