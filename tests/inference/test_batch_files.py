"""Files of users in, files of recommendations out."""

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import DataError
from recsys.inference import Recommender
from recsys.inference.batch import recommend as batch
from recsys.inference.batch.recommend import recommend_file
from recsys.inference.commands import recommend_command
from recsys.tables import files as table_files

USERS = ["007", "NA", "nobody", "Zoë Müller", "名前", 'a,"b"', " 7"]


def write_csv(path: Path, rows: list[list[str]], **options: Any) -> Path:
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
        csv.writer(file, **options).writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def wanted(recommender: Recommender, users: list[str], **options: Any) -> list[tuple[Any, ...]]:
    items, scores = recommender.recommend(users, **options)
    return [
        (user, rank + 1, items[row, rank], float(scores[row, rank]))
        for row, user in enumerate(users)
        for rank in range(items.shape[1])
        if items[row, rank]
    ]


def found(path: Path) -> list[tuple[Any, ...]]:
    if path.suffix == ".csv":
        return [
            (row["user_id"], int(row["rank"]), row["item_id"], float(row["score"]))
            for row in read_csv(path)
        ]
    table = pq.read_table(path)
    assert [str(field.type) for field in table.schema] == ["string", "int32", "string", "float"]
    return [tuple(row[name] for name in table.column_names) for row in table.to_pylist()]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("starting", [".csv", ".parquet"])
def test_ids_stay_what_they_are_in_both_kinds_of_file(
    by_user: Recommender, tmp_path: Path, starting: str, ending: str
) -> None:
    users = tmp_path / f"users{starting}"
    if starting == ".csv":
        write_csv(users, [["age", "user_id"], *(["1", user] for user in USERS)])
    else:
        pq.write_table(pa.table({"age": [1] * len(USERS), "user_id": USERS}), users)
    output = tmp_path / "deep" / "er" / f"output{ending}"
    result = recommend_file(by_user, users, output, k=3)
    assert (result.users, result.rows) == (len(USERS), 3 * len(USERS))
    assert found(output) == wanted(by_user, USERS, k=3)
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_empty_places_are_not_written(by_user: Recommender, tmp_path: Path, ending: str) -> None:
    users = write_csv(tmp_path / "users.csv", [["user_id"], ["u 5"], ["007"], ["7"]])
    output = tmp_path / f"output{ending}"
    # "u 5" bought all 10 items, "007" two of them, "7" one.
    assert recommend_file(by_user, users, output, k=99, exclude="seen").rows == 0 + 8 + 9
    assert found(output) == wanted(by_user, ["u 5", "007", "7"], k=99, exclude="seen")


@pytest.mark.parametrize("starting", [".csv", ".parquet"])
def test_history_column_speaks_for_models_that_read_it(
    by_history: Recommender, tmp_path: Path, starting: str
) -> None:
    users = ["007", "007", "nobody", "nobody"]
    history = [["NA", "a,b"], None, ['say "hi"'], []]
    path = tmp_path / f"users{starting}"
    if starting == ".csv":
        cells = [json.dumps(items) if items is not None else "" for items in history]
        write_csv(path, [["user_id", "history"], *map(list, zip(users, cells, strict=True))])
    else:
        pq.write_table(pa.table({"user_id": users, "history": history}), path)
    output = tmp_path / "output.csv"
    assert not recommend_file(by_history, path, output, k=2).popular_only
    assert found(output) == wanted(by_history, users, k=2, history=history)
    assert [row["item_id"] for row in read_csv(output)][:4] == ["a,b", "NA", "milk", "12"]


def test_models_of_ids_do_not_even_read_the_history(by_user: Recommender, tmp_path: Path) -> None:
    users = write_csv(tmp_path / "users.csv", [["user_id", "history"], ["7", "no list"]])
    assert recommend_file(by_user, users, tmp_path / "output.csv").rows == 10


def test_result_tells_that_nobody_had_a_history(bundles: Path, tmp_path: Path) -> None:
    users = write_csv(tmp_path / "users.csv", [["user_id"], ["7"]])
    recommender = Recommender(bundles / "by_history_unseen")
    assert recommend_file(recommender, users, tmp_path / "output.csv").popular_only


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_strings_of_every_kind_are_ids(
    by_user: Recommender, tmp_path: Path, kind: pa.DataType
) -> None:
    users = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": pa.array(USERS).cast(kind)}), users)
    recommend_file(by_user, users, tmp_path / "output.csv", k=1)
    assert found(tmp_path / "output.csv") == wanted(by_user, USERS, k=1)


def test_parquet_integers_are_their_digits(by_user: Recommender, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [7, 8]}), tmp_path / "users.parquet")
    recommend_file(by_user, tmp_path / "users.parquet", tmp_path / "output.csv", k=1)
    assert found(tmp_path / "output.csv") == wanted(by_user, ["7", "8"], k=1)


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_large_files_pass_in_chunks(
    by_user: Recommender, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = (USERS * 40)[:250]
    path, output = tmp_path / f"users{kind}", tmp_path / f"output{kind}"
    if kind == ".csv":
        write_csv(path, [["user_id"], *([user] for user in users)])
    else:
        pq.write_table(pa.table({"user_id": users}), path)
    monkeypatch.setattr(batch, "_CHUNK_OUTPUT", 200)
    seen: list[tuple[int, int | None]] = []
    chunks: list[int] = []
    ask = by_user.recommend

    def count(users: list[str], *rest: Any, **named: Any) -> Any:
        chunks.append(len(users))
        return ask(users, *rest, **named)

    monkeypatch.setattr(by_user, "recommend", count)
    recommend_file(by_user, path, output, k=2, progress=lambda *done: seen.append(done))
    assert chunks == [1, 100, 100, 50]  # first an unknown user, to know the fallback
    total = None if kind == ".csv" else 250
    assert seen == [(100, total), (200, total), (250, total)]
    monkeypatch.undo()
    assert found(output) == wanted(by_user, users, k=2)


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig"])
def test_csv_of_spreadsheets_is_read(by_user: Recommender, tmp_path: Path, mark: str) -> None:
    path = write_csv(tmp_path / "u.CSV", [["user_id"], ["7"], [], ["NA"]], encoding=mark)
    recommend_file(by_user, path, tmp_path / "output.csv", k=1)
    assert found(tmp_path / "output.csv") == wanted(by_user, ["7", "NA"], k=1)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("u.csv", None, "u.csv does not exist"),
        ("u.parquet", None, "u.parquet does not exist"),
        ("u.xlsx", b"", "has the ending '.xlsx': use .csv, .tsv, .txt"),
        ("u", b"", "has the ending ''"),
        ("u.csv", b"", "u.csv is empty: it needs a header"),
        ("u.csv", b"user_id\n", "has a header but no users"),
        (
            "u.csv",
            b"customer,age\n1,2\n",
            r"column 'user_id' is not in .*u\.csv \(it has 'customer', 'age'\)",
        ),
        ("u.csv", b"user_id;age\n1;2\n", r"\(it has 'user_id;age'\).* set separator=semicolon\?"),
        ("u.csv", b"user_id,age\n1\n", "line 2: 1 cells under 2 columns"),
        ("u.csv", b"user_id,age\n1,2\n,3\n", "line 3: the user_id is empty"),
        ("u.csv", b"user_id\n\xff\xfe\n", "line 2 is not utf-8 text: set encoding to"),
        ("u.csv", b'user_id,history\n1,"[1]"\n', "line 2: the history is not a list of strings"),
        ("u.csv", b"user_id,history\n1,a b\n", "line 2: the history is not a list of strings"),
        ("u.parquet", b"PAR1 or not", "u.parquet cannot be read as a table"),
        (
            "u.parquet",
            pa.table({"id": ["a"], "n": [1]}),
            r"column 'user_id' is not in .*\(it has 'id', 'n'\)",
        ),
        (
            "u.parquet",
            pa.table({"user_id": [["a"]]}),
            "user_id is of type list<.*, and has to be text or a whole number",
        ),
        ("u.parquet", pa.table({"user_id": ["a", None]}), "row 2: the user_id is empty"),
        (
            "u.parquet",
            pa.table({"user_id": pa.array([], pa.string())}),
            "has a header but no users",
        ),
        (
            "u.parquet",
            pa.table({"user_id": ["a"], "history": ["b c"]}),
            "row 1: the history is not a list of strings",
        ),
        (
            "u.parquet",
            pa.table({"user_id": ["a"], "history": [["b", None]]}),
            "row 1: the history is not a list of strings",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named_and_leave_nothing(
    by_history: Recommender, tmp_path: Path, name: str, content: bytes | pa.Table, sentence: str
) -> None:
    path, output = tmp_path / name, tmp_path / "out" / "output.csv"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    with pytest.raises(DataError, match=sentence) as caught:
        recommend_file(by_history, path, output)
    assert "\n" not in str(caught.value)
    assert not output.parent.exists() or not list(output.parent.iterdir())


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_error_half_way_keeps_the_former_output(
    by_user: Recommender, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = write_csv(tmp_path / "users.csv", [["user_id", "x"], *[["7", ""]] * 300, ["short"]])
    output = tmp_path / f"output{ending}"
    output.write_bytes(b"of yesterday")
    monkeypatch.setattr(batch, "_CHUNK_USERS", 100)
    with pytest.raises(DataError, match="line 302"):
        recommend_file(by_user, users, output)
    assert output.read_bytes() == b"of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "users.csv"]


def test_outputs_that_cannot_be_written_are_named(by_user: Recommender, tmp_path: Path) -> None:
    users = write_csv(tmp_path / "users.csv", [["user_id"], ["7"]])
    for output, sentence in (
        (tmp_path / "users.csv", "is the users file itself"),
        (tmp_path, "is a folder: name a file in it"),
        (tmp_path / "o.json", "has the ending '.json'"),
        (users / "o.csv", "cannot be written"),
    ):
        with pytest.raises(DataError, match=sentence):
            recommend_file(by_user, users, output)
    assert read_csv(users) == [{"user_id": "7"}]


def test_without_pyarrow_the_command_says_what_to_install(
    bundles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in list(sys.modules):
        if name.startswith(("pyarrow", "recsys.tables", "recsys.inference.batch")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    users = write_csv(tmp_path / "users.csv", [["user_id"], ["7"]])
    arguments = [f"bundle={bundles / 'by_user'}", f"users={users}", f"output={tmp_path}/o.csv"]
    assert recommend_command(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install '.[tables]'" in error


@pytest.mark.parametrize("name", ["u.tsv", "u.csv.gz", "u.tsv.gz"])
def test_tab_separated_and_compressed_tables_are_read_and_written(
    by_user: Recommender, tmp_path: Path, name: str
) -> None:
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt", encoding="utf-8", newline="") as file:
        rows = [["n", "user_id"], ["1", "007"], ["2", "NA"]]
        csv.writer(file, delimiter="\t" if ".tsv" in name else ",").writerows(rows)
    output = tmp_path / f"output-{name}"
    recommend_file(by_user, tmp_path / name, output, k=1)
    again = tmp_path / "again.csv"
    recommend_file(by_user, output, again, k=1)
    assert found(again) == wanted(by_user, ["007", "NA"], k=1)


def test_cells_larger_than_usual_and_rows_beyond_a_block_are_read(
    by_history: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "_CSV_BLOCK", 2**12)
    cell = json.dumps(["milk"] * 300)
    rows = [["user_id", "history"], *[["7", cell]] * 20, ["8", "7"]]
    with pytest.raises(DataError, match="line 22: the history is not a list of strings"):
        recommend_file(
            by_history, write_csv(tmp_path / "u.csv", rows), tmp_path / "o.csv", exclude="seen"
        )


def test_a_column_tells_what_answers_come_from_where_it_is_asked_for(
    bundles: Path, tmp_path: Path
) -> None:
    users, output = tmp_path / "users.csv", tmp_path / "output.csv"
    write_csv(users, [["user_id"], ["007"], ["nobody"]])
    settings = [f"bundle={bundles / 'by_user'}", f"users={users}", f"output={output}", "k=2"]
    assert recommend_command([*settings, "answered_from=true"]) == 0
    told = [(row["user_id"], row["answered_from"]) for row in read_csv(output)]
    assert told == [("007", "purchases")] * 2 + [("nobody", "popularity")] * 2
    assert recommend_command(settings) == 0
    assert "answered_from" not in read_csv(output)[0]
