"""What a batch takes for the dialect of its table: what is set, else what training read."""

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import ConfigError, DataError
from recsys.inference import Forecaster, Recommender
from recsys.inference.batch import forecast as batch_forecasts
from recsys.inference.batch.columns import lists
from recsys.inference.batch.forecast import forecast_file
from recsys.inference.batch.input_table import Dialect, InputTable, open_input
from recsys.inference.batch.recommend import recommend_file
from recsys.inference.commands import forecast_command, recommend_command

EUROPEAN = {"separator": ";", "decimal": ",", "thousands": ".", "encoding": "latin-1"}


def opened(folder: Path, text: str, trained: dict[str, Any], encoding: str = "utf-8") -> InputTable:
    (folder / "own.csv").write_bytes(text.encode(encoding))
    manifest = {"config": {"data": trained}}
    return open_input(folder / "own.csv", Dialect(), manifest, "users")


def dialect(table: InputTable) -> tuple[str | None, str | None, str]:
    text = table.table.format  # type: ignore[union-attr]
    return text.separator, text.encoding, table.numerals.decimal


def test_text_that_looks_like_that_of_training_is_read_as_it(tmp_path: Path) -> None:
    same = opened(tmp_path, "user_id;spend\nZoë;1.234,5\n", EUROPEAN, "latin-1")
    assert dialect(same) == (";", "latin-1", ",")
    batch = next(same.batches(["user_id", "spend"], 10))
    assert batch.to_pydict() == {"user_id": ["Zoë"], "spend": ["1.234,5"]}


def test_text_that_does_not_is_read_as_any_other(tmp_path: Path) -> None:
    # commas and UTF-8: 1.234 is no thousand here
    assert dialect(opened(tmp_path, "user_id,spend\nZoë,1.234\n", EUROPEAN)) == (None, None, ".")


def test_settings_stand_above_the_training_table(tmp_path: Path) -> None:
    opened(tmp_path, "user_id|spend\n7|1.5\n", EUROPEAN)
    manifest = {"config": {"data": EUROPEAN}}
    given = Dialect(separator="|", decimal=".")
    table = open_input(tmp_path / "own.csv", given, manifest, "users")
    assert (dialect(table), table.numerals.thousands) == (("|", None, "."), None)


def test_columns_are_called_as_they_are_set_else_as_in_training(
    by_user: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    columns = {"user_id": "customer", "timestamp": "sold_at", "y": "a", "channel": "user_id"}
    trained = {"config": {"data": {"columns": columns}}}
    monkeypatch.setitem(by_user.manifest, "config", trained["config"])
    out, user, other = tmp_path / "o.csv", "007", "7"

    def read(header: str, **columns: str) -> list[str]:
        (tmp_path / "own.csv").write_text(f"{header}\n{user},{other}\n")
        recommend_file(by_user, tmp_path / "own.csv", out, 1, dialect=Dialect(columns=columns))
        return [line.split(",")[0].strip('"') for line in out.read_text().splitlines()[1:]]

    assert read("customer,buyer") == [user]  # as in training
    assert read("user_id,customer") == [user]  # what the bundle calls it comes first
    assert read("user_id,buyer", user_id="buyer") == [other]
    assert read("customer,buyer", user_id="buyer") == [other]
    with pytest.raises(DataError, match=r"'user_id' is not in .*set columns\.user_id to the col"):
        read("a,b")
    with pytest.raises(DataError, match=r"'lost' is not in .*it has 'a', 'b'"):
        read("a,b", user_id="lost")
    with pytest.raises(ConfigError, match=r"columns\.y=b has no effect: this bundle reads user_id"):
        read("user_id,b", y="b")
    command = [f"bundle={by_user._opened[0]}", f"users={tmp_path}/own.csv", f"output={out}"]
    (tmp_path / "own.csv").write_text(f"who\n{user}\n")
    assert recommend_command([*command, "columns.user_id=who", "separator=comma"]) == 0
    assert recommend_command(command) == 2
    assert "set columns.user_id to the column that holds it" in capsys.readouterr().err


def test_histories_may_have_foreign_columns(ahead: Forecaster, tmp_path: Path) -> None:
    head = "series_id,timestamp,y,price,promo"
    rows = "7,2024-01-01T00,1,2,1\n7,2024-01-01T01,1,2,0\n"
    (tmp_path / "h.csv").write_text(f"{head}\n{rows}")
    forecast_file(ahead, tmp_path / "h.csv", tmp_path / "o.csv")
    expected = (tmp_path / "o.csv").read_text()
    (tmp_path / "h.csv").write_text(f"shop;when;sold;cost;ad\n{rows.replace(',', ';')}")
    names = {"series_id": "shop", "timestamp": "when", "y": "sold", "price": "cost", "promo": "ad"}
    dialect = Dialect(separator="semicolon", columns=names)
    forecast_file(ahead, tmp_path / "h.csv", tmp_path / "o.csv", dialect=dialect)
    assert (tmp_path / "o.csv").read_text() == expected
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table t (shop text, 'when' text, sold real, cost real, ad int)")
        lines = [row.split(",") for row in rows.splitlines()]
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", lines[::-1])
    connection.close()
    dialect = Dialect(table="t", columns=names)
    url = f"sqlite:///{tmp_path}/shop.db"
    forecast_file(ahead, url, tmp_path / "o.csv", dialect=dialect)
    assert (tmp_path / "o.csv").read_text() == expected


def test_signs_of_numbers_say_where_a_batch_has_no_numbers_in_text(
    plain: Forecaster, tmp_path: Path
) -> None:
    table = pa.table({"series_id": ["7"], "timestamp": ["2024-01-01T00"], "y": [1.0]})
    pq.write_table(table, tmp_path / "h.parquet")
    with pytest.raises(ConfigError, match="decimal=',' has no effect on .*no numbers in text"):
        forecast_file(
            plain, tmp_path / "h.parquet", tmp_path / "o.csv", dialect=Dialect(decimal="comma")
        )


@pytest.mark.parametrize(
    "manifest",
    [{}, {"config": None, "data": "lost"}, {"config": {"data": {"timestamp_format": "%Q"}}}],
)
def test_bundles_that_say_nothing_of_training_are_read(tmp_path: Path, manifest: Any) -> None:
    (tmp_path / "own.csv").write_text("user_id\n7\n")
    table = open_input(tmp_path / "own.csv", Dialect(), manifest, "users")
    assert table.names == ["user_id"]


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("own.parquet", {"separator": ";"}, r"separator=';' has no effect on .*own\.parquet"),
        ("own.parquet", {"multiline": True}, r"multiline=True has no effect on .*own\.parquet"),
        ("own.csv", {"table": "t"}, r"table='t' has no effect on .*own\.csv, which is no SQL URL"),
        ("own.csv", {"separator": "::"}, "^separator='::': it has to be comma, semicolon"),
        ("own.csv", {"encoding": "utf-9"}, "^encoding='utf-9' is not known"),
        ("own.csv", {"encoding": "zlib"}, "^encoding='zlib' is not known"),
        (
            "own.csv",
            {"separator": "é"},
            "^separator='é': it has to be .* another character of ASCII",
        ),
        ("own.csv", {"decimal": "dot"}, "^decimal='dot': it has to be comma, point"),
        ("own.csv", {"thousands": "."}, "^thousands='.': .* not that of decimal"),
        ("own.csv", {"timestamp_format": "day"}, "^timestamp_format='day' is no format of dates"),
    ],
)
def test_settings_that_cannot_act_say_so(
    tmp_path: Path, name: str, given: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "own.csv").write_text("user_id\n7\n")
    pq.write_table(pa.table({"user_id": ["7"]}), tmp_path / "own.parquet")
    with pytest.raises(ConfigError, match=sentence):
        open_input(tmp_path / name, Dialect(**given), {"config": {"data": EUROPEAN}}, "users")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("user_id\n7\n8\n".encode("utf-16"), "is UTF-16: set encoding=utf-16"),
        (b"user_id\nZo\xeb\n", "line 2 is not utf-8 text: set encoding to latin-1"),
        (b"user_id\na;b;c\nd;e,f\n", "',' does not separate its cells: set separator=semicolon"),
        (b'user_id,n\n7,1\n8,"2\n', r"line 3: the cell that begins with '2' is never closed"),
        (b'user_id,n\n7,"1\n8,2\n', r"line 2: the cell that begins with '1' ends in line 3: .* set"
         r" multiline=true"),
        (b'user_id,n\n,"1\n8,2\n', r"line 2: the cell that begins with '1' ends in line 3"),
        (gzip.compress(b"user_id\n7\n", mtime=0)[:-9], "cannot be read as a table"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_said_with_its_line_and_setting(
    by_user: Recommender, tmp_path: Path, text: bytes, sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / ("own.csv.gz" if text[:2] == b"\x1f\x8b" else "own.csv")
    path.write_bytes(text)
    for trained in ({}, {"separator": ";"} if "separator" not in sentence else {}):
        monkeypatch.setitem(by_user.manifest, "config", {"data": trained})
        with pytest.raises(DataError, match=sentence) as caught:
            recommend_file(by_user, path, tmp_path / "o.csv")
        assert "\n" not in str(caught.value)


def test_day_that_may_be_the_month_is_decided_by_a_later_chunk(
    plain: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_forecasts, "_CHUNK_ROWS", 2)
    lines = [f"7,{hour:02}/02/2024 00:00,1" for hour in range(9, 15)]
    (tmp_path / "h.csv").write_text("\n".join(["series_id,timestamp,y", *lines]))
    result = forecast_file(plain, tmp_path / "h.csv", tmp_path / "o.csv")
    assert result.counts.missing_steps == 5 * 24 - 5  # five days later, not five months
    (tmp_path / "h.csv").write_text("\n".join(["series_id,timestamp,y", *lines[:4]]))
    with pytest.raises(DataError, match=r'h\.csv: .* set timestamp_format to "%d/%m/%Y %H:%M" or'):
        forecast_file(plain, tmp_path / "h.csv", tmp_path / "o.csv")
    monkeypatch.setitem(plain.manifest, "data", {"timestamp_form": "%d/%m/%Y %H:%M"})
    result = forecast_file(plain, tmp_path / "h.csv", tmp_path / "o.csv")
    assert result.counts.missing_steps == 3 * 24 - 3


def test_numbers_and_truth_are_not_mixed_across_chunks(
    ahead: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_forecasts, "_CHUNK_ROWS", 1)
    head = "series_id,timestamp,y,price,promo\n7,2024-01-01T00,1,,\n7,2024-01-01T01,1,,True\n"
    (tmp_path / "h.csv").write_text(f"{head}7,2024-01-01T02,1,,FALSE\n")
    forecast_file(ahead, tmp_path / "h.csv", tmp_path / "o.csv")
    (tmp_path / "h.csv").write_text(f"{head}7,2024-01-01T02,1,,2\n")
    with pytest.raises(DataError, match="line 4: promo is '2', which is not a number"):
        forecast_file(ahead, tmp_path / "h.csv", tmp_path / "o.csv")


def test_lists_of_whole_floats_are_ids_and_missing_lists_stay_missing() -> None:
    column = pa.array([[1.0, 20.0], None, [], [3.0]], pa.list_(pa.float64()))
    assert lists(column.slice(1), "history", "ids") == [None, [], ["3"]]
    assert lists(column, "history", "ids")[0] == ["1", "20"]


def test_database_is_read_in_the_order_of_series_and_time(
    plain: Forecaster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table sold (series_id text, timestamp text, y numeric)")
        rows = [("7", "2024-01-01 01:00", 3), ("007", "2024-01-01 00:00", 5),
                ("7", "2024-01-01 00:00", 1)]  # fmt: skip
        connection.executemany("insert into sold values (?, ?, ?)", rows)
    connection.close()
    url = f"sqlite:///{tmp_path}/shop.db"
    settings = [f"bundle={plain._opened[0]}", f"history={url}", f"output={tmp_path}/o.csv"]
    assert forecast_command([*settings, "table=sold"]) == 0
    assert [line.split(",")[3] for line in (tmp_path / "o.csv").read_text().splitlines()[1::3]] == [
        "5.01", "102.02",
    ]  # fmt: skip
    for given, sentence in (
        ([], "error: history is a SQL URL: name the table with table=NAME"),
        (["table=lost"], "error: history: there is no table 'lost' in the database"),
        (["table=sold", "separator=;"], "error: separator=';' has no effect on history"),
    ):
        assert forecast_command([*settings, *given]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("given", [{"decimal": ","}, {"thousands": ","}])
def test_signs_of_numbers_say_where_recommending_reads_no_numbers(
    by_user: Recommender, tmp_path: Path, given: Any
) -> None:
    (tmp_path / "own.csv").write_text("user_id\n7\n")
    name, value = next(iter(given.items()))
    with pytest.raises(ConfigError, match=f"{name}={value!r} has no effect on .*own.csv, of which"):
        recommend_file(by_user, tmp_path / "own.csv", tmp_path / "o.csv", dialect=Dialect(**given))


def test_settings_of_times_are_none_of_recommending(capsys: pytest.CaptureFixture[str]) -> None:
    assert recommend_command(["timestamp_unit=s"]) == 2
    assert "'timestamp_unit' is not a known setting" in capsys.readouterr().err
