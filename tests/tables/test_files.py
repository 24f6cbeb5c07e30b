"""Tables on disk: whole and in batches they are the same, and their text is checked to its end."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import DataError
from recsys.tables.files import TableFile, open_file
from recsys.tables.text import TextFormat


def opened(path: Path, **settings: object) -> TableFile:
    return open_file(path, TextFormat(**settings), path.name)  # type: ignore[arg-type]


def both(path: Path, names: list[str], **settings: object) -> list[dict[str, object]]:
    """Rows, after a look that batches hold the same."""
    file = opened(path, **settings)
    rows: list[dict[str, object]] = file.read(names).to_pylist()
    assert [row for batch in file.batches(names, 2) for row in batch.to_pylist()] == rows
    return rows


def test_folder_of_parquet_is_one_table_with_the_names_of_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    table = pa.table({"a": ["x", "y", "z"], "store": [7, 8, 8], "n": [1, 2, 3]})
    pq.write_to_dataset(table, folder, partition_cols=["store"])
    (folder / "store=9").mkdir()
    pq.write_table(pa.table({"a": ["w"]}), folder / "store=9" / "0.parquet")  # without n
    (folder / "_SUCCESS").touch()
    assert both(folder, ["n", "store", "a"]) == [
        {"n": 1, "store": 7, "a": "x"},
        {"n": 2, "store": 8, "a": "y"},
        {"n": 3, "store": 8, "a": "z"},
        {"n": None, "store": 9, "a": "w"},
    ]
    assert opened(folder).num_rows == 4


def test_parts_of_a_folder_may_store_numbers_in_other_types(tmp_path: Path) -> None:
    for part, kind in enumerate((pa.int64(), pa.int32(), pa.int8())):
        pq.write_table(pa.table({"n": pa.array([part], kind)}), tmp_path / f"{part}.parquet")
    assert both(tmp_path, ["n"]) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_batches_hold_no_more_rows_than_asked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": range(10)}), tmp_path / "own.parquet", row_group_size=7)
    (tmp_path / "own.csv").write_text("n\n" + "1\n" * 10)
    for name in ("own.parquet", "own.csv"):
        lengths = [len(batch) for batch in opened(tmp_path / name).batches(["n"], 3)]
        assert (max(lengths), sum(lengths)) == (3, 10)


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
@pytest.mark.parametrize(
    ("last", "cell"), [('8,"two', "two"), ('8,two "" 5", "', None), ('"8,two', "8,two")]
)
def test_quote_that_is_open_in_the_last_line_is_an_error(
    tmp_path: Path, last: str, cell: str | None, end: str
) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(f"a,b\n7,one\n{last}{end}".encode())
    if cell is None:  # quotes inside a cell are letters, the last one begins a cell that is empty
        path.write_bytes(f'a,b,c\n7,one,x\n8,5" pipe,"{end}'.encode())
        cell = ""
    sentence = rf"own\.csv, line 3: the cell that begins with '{cell}' (is never closed|ends)"
    for read in (lambda: opened(path).read(["a"]), lambda: list(opened(path).batches(["a"], 9))):
        with pytest.raises(DataError, match=sentence):
            read()


def test_quotes_inside_a_cell_are_letters(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('a,b\n7,5" pipe\n8,"say ""hi"""\n')
    assert [row["b"] for row in both(path, ["b"])] == ['5" pipe', 'say "hi"']


def test_blanks_around_names_are_no_part_of_them_unless_they_tell_two_apart(
    tmp_path: Path,
) -> None:
    pq.write_table(pa.table({" a": ["1"], "b ": ["2"]}), tmp_path / "own.parquet")
    assert both(tmp_path / "own.parquet", ["b", "a"]) == [{"b": "2", "a": "1"}]
    (tmp_path / "own.csv").write_text("a, a,b \n1,2,3\n")
    assert both(tmp_path / "own.csv", ["b", " a"]) == [{"b": "3", " a": "2"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp1252", "shift_jis"])
def test_every_encoding_is_read_whole_and_in_batches(tmp_path: Path, encoding: str) -> None:
    word = "日本" if encoding in ("shift_jis", "utf-16") else "Zoë"
    with (tmp_path / "own.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([["a", "b"], *[[word, str(row)] for row in range(5)]])
    rows = both(tmp_path / "own.csv", ["a", "b"], encoding=encoding)
    assert rows == [{"a": word, "b": str(row)} for row in range(5)]


def test_cells_of_several_lines_are_read_where_they_are_meant(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text('a,b\n"x\ny",1\nz,"2\n3"\n')
    rows = both(tmp_path / "own.csv", ["a", "b"], multiline=True)
    assert rows == [{"a": "x\ny", "b": "1"}, {"a": "z", "b": "2\n3"}]
    assert opened(tmp_path / "own.csv").place(1) == "line 5"
    with pytest.raises(DataError, match=r"line 2: the cell that begins with 'x' ends in line 3"):
        opened(tmp_path / "own.csv").read(["a"])
