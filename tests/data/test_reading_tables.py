"""CSV, Parquet and SQL say the same, and what cannot be read is told in one sentence."""

import gzip
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from recsys.data import tables
from recsys.data.dataset import Dataset
from recsys.data.sources.transactions import transactions
from recsys.data.tables import TableSource, read_table
from recsys.errors import ConfigError, DataError
from recsys.tables.database import DatabaseTable

COLUMNS = {
    "user_id": "customer",
    "item_id": "product",
    "timestamp": "time",
    "quantity": "pieces",
    "price": None,
}
USERS = ["007", "7", "NA", " a b", "ü", "漢", "🛒", "007"]
ITEMS = ["x,1", 'say "hi"', "null", "nan", "0010", "-0", "line\u2028break", "x,1"]
TIMES = [f"2024-03-0{day} 23:30:0{day}" for day in range(1, 9)]
FRAME = pd.DataFrame(
    {"customer": USERS, "product": ITEMS, "time": TIMES, "pieces": range(1, 9), "unused": "z"}
)


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The same content as a file of each kind and as a table in SQLite."""
    FRAME.to_csv(tmp_path / "sales.csv", index=False)
    FRAME.to_csv(tmp_path / "sales.csv.gz", index=False)
    FRAME.to_csv(tmp_path / "sales.tsv", index=False, sep="\t")
    FRAME.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    typed = FRAME.assign(time=pd.to_datetime(FRAME["time"]))
    typed.to_parquet(tmp_path / "sales.parquet")
    (tmp_path / "parts").mkdir()
    typed.iloc[:3].to_parquet(tmp_path / "parts" / "0.parquet")
    typed.iloc[3:].to_parquet(tmp_path / "parts" / "1.parquet")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        FRAME.to_sql("sales", connection, index=False)
    connection.close()
    paths = {
        name: {"path": str(tmp_path / name)}
        for name in ("sales.csv.gz", "sales.tsv", "sales.parquet", "parts")
    }
    paths["semicolon.csv"] = {"path": str(tmp_path / "semicolon.csv"), "separator": ";"}
    paths["sqlite"] = {"path": f"sqlite:///{tmp_path}/shop.db", "table": "sales"}
    return {"csv": {"path": str(tmp_path / "sales.csv")}} | paths


def values(read: Dataset) -> dict[str, object]:
    """What two readings of the same content have in common."""
    assert read.timestamp is not None
    assert read.day is not None
    return {
        "user": [read.user_ids[code] for code in read.user],
        "item": [read.item_ids[code] for code in read.item],
        "user_ids": read.user_ids.tolist(),
        "item_ids": read.item_ids.tolist(),
        "timestamp": read.timestamp.tolist(),
        "day": read.day.tolist(),
        "fingerprint": read.report.fingerprint,
    }


def test_csv_parquet_and_sqlite_give_the_same_transactions(
    sources: dict[str, dict[str, str]],
) -> None:
    read = {
        name: values(transactions(columns=COLUMNS, timezone="America/New_York", **s))
        for name, s in sources.items()
    }
    assert read["csv"]["user"] == USERS
    assert read["csv"]["item"] == ITEMS
    first = pd.Timestamp("2024-03-02T04:30:01Z").timestamp()
    assert read["csv"]["timestamp"][0] == first  # type: ignore[index]
    for name in read:
        assert read[name] == read["csv"], name


@pytest.mark.parametrize("name", ["sales.csv", "sales.parquet"])
def test_ids_come_as_a_dictionary_where_asked_for(
    sources: dict[str, dict[str, str]], name: str
) -> None:
    path = next(source["path"] for source in sources.values() if source["path"].endswith(name))
    columns = {"user_id": "customer", "item_id": "product", "quantity": "pieces"}
    plain, encoded = (read_table(path, columns, encode_ids=encode) for encode in (False, True))
    for column in columns:
        is_encoded = pa.types.is_dictionary(encoded.column(column).type)
        assert is_encoded == (column != "quantity")
        assert encoded.column(column).to_pylist() == plain.column(column).to_pylist()


def test_only_the_mapped_columns_are_read_under_their_canonical_names(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "sales.csv", index=False)
    assert read_table(tmp_path / "sales.csv", COLUMNS).column_names == [
        "user_id",
        "item_id",
        "timestamp",
        "quantity",
    ]


def test_one_column_may_serve_two_purposes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,i\n1,2\n")
    read = read_table(tmp_path / "a.csv", {"user_id": "u", "item_id": "i", "name": "i"})
    assert read.to_pydict() == {"user_id": ["1"], "item_id": ["2"], "name": ["2"]}


def test_cells_of_a_csv_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,i\n007,NA\n1e3,true\n2024-01-01,\n")
    read = read_table(tmp_path / "a.csv", {"user_id": "u", "item_id": "i"})
    assert read.to_pydict() == {
        "user_id": ["007", "1e3", "2024-01-01"],
        "item_id": ["NA", "true", ""],
    }


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_bytes("﻿u,i\nü,2\n".encode())
    assert read_table(tmp_path / "excel.csv", {"user_id": "u", "item_id": "i"}).column(
        "user_id"
    ).to_pylist() == ["ü"]


def test_null_among_long_integers_of_a_database_does_not_round_them(tmp_path: Path) -> None:
    long = [9007199254740993, 9007199254740992]
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("create table t (u integer, i integer)")
        connection.executemany(
            "insert into t values (?, ?)", [(long[0], 1), (long[1], 2), (None, 3)]
        )
    connection.close()
    read = transactions(f"sqlite:///{tmp_path}/s.db", {"user_id": "u", "item_id": "i"}, table="t")
    assert read.user_ids.tolist() == sorted(str(number) for number in long)
    assert read.report.dropped == {"no user_id": 1}


def test_numbers_beside_text_in_one_column_of_sqlite_are_text(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("create table t (u, i)")
        connection.executemany("insert into t values (?, ?)", [(1, "a"), ("x", "b"), (None, "c")])
    connection.close()
    read = read_table(
        TableSource(f"sqlite:///{tmp_path}/s.db", table="t"), {"user_id": "u", "item_id": "i"}
    )
    assert read.column("user_id").to_pylist() == ["1", "x", None]


def test_ids_have_their_own_names_where_none_are_given():
    frame = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "day": [1, 2]})
    assert transactions(frame, {}).user_ids.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="column 'item_id' is not in a table in memory"):
        transactions(frame.drop(columns="item_id"), {})


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "sql", "folder"])
def test_missing_column_names_the_table_what_is_there_and_the_setting(
    tmp_path: Path, name: str
) -> None:
    frame = pd.DataFrame({"client": ["1"], "product": ["2"]})
    options: dict[str, str] = {}
    source, where = str(tmp_path / name), name
    if name == "a.csv":
        frame.to_csv(source, index=False)
    elif name == "a.parquet":
        frame.to_parquet(source)
    elif name == "folder":
        Path(source).mkdir()
        frame.to_parquet(Path(source, "0.parquet"))
    else:
        with sqlite3.connect(tmp_path / "s.db") as connection:
            frame.to_sql("sales", connection, index=False)
        connection.close()
        source, where, options = f"sqlite:///{tmp_path}/s.db", "table sales", {"table": "sales"}
    with pytest.raises(DataError) as caught:
        read_table(TableSource(source, **options), {"user_id": "customer", "item_id": "product"})
    assert str(caught.value) == (
        f"column 'customer' is not in {where} (it has 'client', 'product'); set"
        " data.columns.user_id"
    )


def test_missing_optional_column_says_that_it_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,i\n1,2\n")
    with pytest.raises(
        DataError, match=r"set data\.columns\.timestamp, or set data\.columns\.timestamp=null"
    ):
        read_table(tmp_path / "a.csv", {"user_id": "u", "item_id": "i", "timestamp": "time"})


def test_header_in_one_piece_asks_for_the_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u;i\n1;2\n")
    with pytest.raises(DataError, match=r"it has 'u;i'.*set data\.separator=semicolon\?"):
        read_table(tmp_path / "a.csv", {"user_id": "u", "item_id": "i"})


def test_id_column_mapped_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,i\n1,2\n")
    with pytest.raises(ConfigError, match=r"data\.columns\.user_id is null"):
        read_table(tmp_path / "a.csv", {"user_id": None, "item_id": "i"})


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,i,u\n1,2,3\n")
    with pytest.raises(DataError, match=r"a\.csv has 2 columns called 'u'; rename"):
        read_table(tmp_path / "a.csv", {"user_id": "u", "item_id": "i"})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "empty.csv",
            b"customer,product\n",
            r"empty\.csv has a header but no rows; point data\.path at",
        ),
        ("nothing.csv", b"", r"data\.path: nothing\.csv is empty: it needs a header"),
        (
            "ragged.csv",
            b"customer,product\n1,2,3\n",
            r"data\.path: ragged\.csv, line 2: 3 cells under 2 columns",
        ),
        (
            "latin.csv",
            b"customer,product\n\xfc,2\n",
            r"data\.path: latin\.csv, line 2 is not utf-8 text: set data\.encoding",
        ),
        ("fake.parquet", b"hello", r"data\.path: fake\.parquet cannot be read as a table"),
        (
            "cut.parquet",
            b"PAR1" + b"x" * 40 + b"PAR1",
            r"data\.path: cut\.parquet cannot be read as a table",
        ),
        (
            "book.xlsx",
            b"PK",
            r"data\.path: book\.xlsx has the ending '\.xlsx': use .* or a SQL URL",
        ),
    ],
)
def test_what_is_no_table_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        read_table(tmp_path / name, {"user_id": "customer", "item_id": "product"})
    assert "\n" not in str(caught.value)


def test_broken_archive_is_refused_by_name(tmp_path: Path) -> None:
    packed = gzip.compress(b"u,i\n" + np.random.default_rng(0).bytes(4000))
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"data\.path: cut\.csv\.gz cannot be read as a table"):
        read_table(tmp_path / "cut.csv.gz", {"user_id": "u", "item_id": "i"})


def test_empty_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"u": pa.array([], pa.string()), "i": pa.array([], pa.string())}),
        tmp_path / "e.parquet",
    )
    with pytest.raises(DataError, match=r"e\.parquet has a header but no rows"):
        read_table(tmp_path / "e.parquet", {"user_id": "u", "item_id": "i"})


def test_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "nowhere.csv", COLUMNS)
    assert (
        str(caught.value)
        == f"data.path: {tmp_path}/nowhere.csv does not exist (looked in {tmp_path})"
    )


def test_table_that_is_not_in_the_database_is_named(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "s.db").execute("create table sales (x)").connection.close()
    with pytest.raises(DataError, match="there is no table 'nope' in the database"):
        read_table(TableSource(f"sqlite:///{tmp_path}/s.db", table="nope"), COLUMNS)


@pytest.fixture
def two_databases(tmp_path: Path) -> Iterator[str]:
    """URL of a database to which another one is attached as the schema shop."""
    for name, rows in (("own", FRAME.head(2)), ("shop", FRAME)):
        with sqlite3.connect(tmp_path / f"{name}.db") as connection:
            rows.to_sql("sales", connection, index=False)
        connection.close()

    def attach(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"attach '{tmp_path}/shop.db' as shop")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", attach)
    yield f"sqlite:///{tmp_path}/own.db"
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", attach)


@pytest.mark.parametrize(
    ("table", "rows"), [("sales", 2), ("main.sales", 2), ("shop.sales", len(FRAME))]
)
def test_a_table_may_be_named_with_its_schema(two_databases: str, table: str, rows: int) -> None:
    source = TableSource(two_databases, table=table)
    assert len(source.read(source.names)) == rows
    batches = DatabaseTable(two_databases, table).batches(source.names, 3, source.names[:1])
    assert sum(len(batch) for batch in batches) == rows


def test_a_table_whose_name_holds_a_point_is_found(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as connection:
        FRAME.to_sql("main.sales", connection, index=False)
        connection.execute("create view some as select * from 'main.sales' limit 1")
    connection.close()
    for table, rows in (("main.sales", len(FRAME)), ("main.main.sales", len(FRAME)), ("some", 1)):
        source = TableSource(f"sqlite:///{tmp_path}/s.db", table=table)
        assert len(source.read(source.names)) == rows


@pytest.mark.parametrize("table", ["main.nope", "nowhere.sales", "main.", ".sales", "."])
def test_a_schema_or_table_that_is_not_there_is_named(two_databases: str, table: str) -> None:
    with pytest.raises(DataError, match=rf"there is no table '{re.escape(table)}' in the database"):
        _ = TableSource(two_databases, table=table).names


def test_url_without_a_table_asks_for_one() -> None:
    with pytest.raises(DataError, match=r"name the table with data\.table=NAME"):
        read_table("sqlite:///s.db", COLUMNS)


def test_empty_table_of_a_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("create table t (u, i)")
    connection.close()
    with pytest.raises(DataError, match="table t has a header but no rows"):
        read_table(
            TableSource(f"sqlite:///{tmp_path}/s.db", table="t"), {"user_id": "u", "item_id": "i"}
        )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:s3cret@127.0.0.1:1/shop",
        "mysql+nodriver://bob:s3cret@127.0.0.1:1/shop",
        "foo://bob:s3cret@127.0.0.1/shop",
        "postgresql://bob:x@ss:s3cret@127.0.0.1/shop",  # an @ in the password that is not escaped
        "postgresql://127.0.0.1:s3cret/shop",
        "://bob:s3cret",
    ],
)
def test_password_of_a_url_stands_in_no_error(url: str) -> None:
    with pytest.raises(DataError, match=r"^data\.path: ") as caught:
        read_table(TableSource(url, table="sales"), COLUMNS)
    assert "s3cret" not in str(caught.value)


def test_password_of_a_url_stands_neither_in_the_report_nor_in_later_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://bob:s3cret@host/shop?password=s3cret"
    table = pa.table({"u": ["1", "2", ""], "i": ["1", "2", "3"]})
    columns = {"user_id": "u", "item_id": "i"}
    types = [(name, pa.string()) for name in table.column_names]
    monkeypatch.setattr(tables.TableSource, "types", types)
    monkeypatch.setattr(tables.TableSource, "read", lambda *_: table)
    assert transactions(url, columns, table="t").report.source == "host/shop"
    with pytest.raises(DataError, match="host/shop: 1 row") as caught:
        transactions(url, columns, table="t", on_bad_rows="error")
    assert "s3cret" not in str(caught.value)
    monkeypatch.setattr(tables.TableSource, "read", lambda *_: table.slice(0, 0))
    with pytest.raises(DataError) as caught:
        transactions(url, columns, table="t")
    assert "s3cret" not in str(caught.value)
