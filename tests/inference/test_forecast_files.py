"""Tables of histories in, tables of forecasts out.

The model of conftest.py: the mean of the last four steps + 100 x series + hour / 100 + covariates.
"""

import csv
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import DataError
from recsys.inference import Forecaster
from recsys.inference.batch import forecast as batch_forecasts
from recsys.inference.batch import history_blocks
from recsys.inference.batch.forecast import ForecastResult, forecast_file
from recsys.inference.batch.input_table import Dialect

HEAD = "series_id,timestamp,y\n"


def run(forecaster: Forecaster, folder: Path, text: str) -> tuple[ForecastResult, list[Any]]:
    """Forecasts a CSV; (series, timestamp, point forecast) of each row."""
    (folder / "h.csv").write_text(text, encoding="utf-8")
    result = forecast_file(forecaster, folder / "h.csv", folder / "o.csv")
    return result, found(folder / "o.csv")


def found(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        kinds = [str(field.type) for field in table.schema]
        assert kinds == ["string", "timestamp[ms]", "float", "float", "float"]
        rows = table.to_pylist()
        return [
            (row["series_id"], row["timestamp"].isoformat(), round(row["0.5"], 3)) for row in rows
        ]
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["series_id", "timestamp", "0.1", "0.5", "0.9"]
    return [(row["series_id"], row["timestamp"], round(float(row["0.5"]), 3)) for row in rows]


def test_forecast_begins_after_the_last_y(plain: Forecaster, tmp_path: Path) -> None:
    text = (
        HEAD + '7,2024-01-01T00:00,2\n7,2024-01-01 01:00:00,4\n"a,b",2024-01-05,1\n'
        '"a,b",2024-01-05T01,\nnew,2024-01-01T22,8\n'
    )
    result, rows = run(plain, tmp_path, text)
    assert (result.series, result.rows, result.counts.rows) == (3, 9, 5)
    assert rows[:4] == [
        ("7", "2024-01-01T02:00:00", 103.02),
        ("7", "2024-01-01T03:00:00", 103.03),
        ("7", "2024-01-01T04:00:00", 103.04),
        ("a,b", "2024-01-05T01:00:00", 301.01),
    ]
    assert rows[-2:] == [
        ("new", "2024-01-02T00:00:00", 408.0),
        ("new", "2024-01-02T01:00:00", 408.01),
    ]


def test_gaps_and_missing_y_are_not_zero_and_are_counted(plain: Forecaster, tmp_path: Path) -> None:
    text = (
        HEAD
        + "007,2024-01-01T00,90\n007,2024-01-01T01,2\n007,2024-01-01T03,\n007,2024-01-01T04,4\n"
    )
    result, rows = run(plain, tmp_path, text)
    # Of the last four steps 2 and 4 are known; 90 is older, 02:00 has no row.
    assert rows[0] == ("007", "2024-01-01T05:00:00", 3.05)
    assert result.counts.missing_steps == 1


def test_rows_of_a_series_may_be_in_any_order(plain: Forecaster, tmp_path: Path) -> None:
    text = (
        HEAD + "7,2024-01-01T04,4\n7,2024-01-01T03,2\n7,2024-01-01T00,9\n"
        "Zoë,2024-01-01T01,6\n007,2024-01-01T01,6\n"
    )
    _, rows = run(plain, tmp_path, text)
    assert [row[2] for row in rows[::3]] == [103.05, 206.02, 6.02]


def test_windows_hold_every_value_in_its_place_and_no_more_than_is_read(
    ahead: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        ahead,
        "forecast",
        lambda *windows: asked.append(windows) or np.zeros((len(windows[0]), 3, 3), np.float32),
    )
    values = [("a", hour, hour or "", hour / 10) for hour in range(6)] + [("b", 9, 7, "")]
    ahead_of_a = [("a", hour, "", hour / 10) for hour in (6, 7)]
    lines = [
        f"{series},2024-01-01T0{hour},{y},{price},"
        for series, hour, y, price in [*values[:6], *ahead_of_a, values[6]]
    ]
    run(ahead, tmp_path, "series_id,timestamp,y,price,promo\n" + "\n".join(lines) + "\n")
    (series, history, start, covariates) = asked[0]
    assert series == ["a"]
    assert history.tolist() == [[2, 3, 4, 5]]
    assert start.tolist() == [1_704_067_200 + 2 * 3600]
    want = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, np.nan]
    np.testing.assert_allclose(covariates[0, :, 0], want, rtol=1e-6)
    assert np.isnan(covariates[:, :, 1]).all()
    (series, history, start, covariates) = asked[1]
    assert (series, history.tolist(), covariates.shape) == (["b"], [[7]], (1, 4, 2))


def test_covariates_ahead_stand_in_rows_after_the_last_y(ahead: Forecaster, tmp_path: Path) -> None:
    text = (
        "promo,y,timestamp,price,series_id\n9,5,2024-01-01T00,9,007\n"
        ".5,,2024-01-01T01,.25,007\n,,2024-01-01T02,,007\n0,,2024-01-01T03,1,007\n"
        "7,,2024-01-01T04,7,007\n1,3,2024-01-01T00,1,7\n"
    )
    result, rows = run(ahead, tmp_path, text)
    assert [row[2] for row in rows] == [5.76, 5.02, 6.03, 103.01, 103.02, 103.03]
    assert (result.counts.unknown_covariates, result.counts.beyond) == (2 + 6, 1)


def test_series_without_any_y_are_left_out_and_named(plain: Forecaster, tmp_path: Path) -> None:
    text = HEAD + "a,2024-01-01T00,\na,2024-01-01T01,\n7,2024-01-01T00,1\nb,2024-01-01,nan\n"
    result, rows = run(plain, tmp_path, text)
    assert {row[0] for row in rows} == {"7"}
    assert (result.series, result.counts.series) == (1, 3)
    assert result.counts.without_value == ["a", "b"]


def test_offsets_are_converted_to_the_clock_of_the_bundle(
    plain: Forecaster, tmp_path: Path
) -> None:
    text = HEAD + "7,2024-01-01T23:00Z,1\n7,2024-01-02T01:00+01:00,3\nZoë,2024-07-01T00:00Z,5\n"
    _, rows = run(plain, tmp_path, text)
    # Berlin is one hour ahead in winter, two in summer.
    assert rows[0] == ("7", "2024-01-02T02:00:00", 102.02)
    assert rows[3] == ("Zoë", "2024-07-01T03:00:00", 205.03)


def test_an_hour_that_the_clock_showed_twice_is_added_up(plain: Forecaster, tmp_path: Path) -> None:
    # In Berlin, 02:00 to 03:00 came twice on 2024-10-27, and not at all on 2024-03-31.
    text = HEAD + "".join(f"007,2024-10-27T0{hour}:00Z,{hour + 1}\n" for hour in range(3))
    result, rows = run(plain, tmp_path, text)
    # 1 and 2 were sold from 02:00 to 03:00, then 3: the mean of 3 and 3.
    assert rows[0] == ("007", "2024-10-27T04:00:00", 3.04)
    assert result.counts.added_up == 1
    result, rows = run(plain, tmp_path, HEAD + "007,2024-03-31T00:00Z,1\n007,2024-03-31T01:00Z,2\n")
    assert rows[0] == ("007", "2024-03-31T04:00:00", 1.54)
    assert result.counts.missing_steps == 1


@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ms", "UTC"), pa.string()]
)
@pytest.mark.parametrize("ids", [pa.string(), pa.dictionary(pa.int32(), pa.large_string())])
def test_parquet_columns_of_every_kind_are_read(
    ahead: Forecaster, tmp_path: Path, kind: pa.DataType, ids: pa.DataType
) -> None:
    moments = [datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 11), datetime(2024, 1, 1, 10)]
    texts = pa.array([moment.isoformat() for moment in moments])
    table = pa.table(
        {
            "series_id": pa.array(["7", "7", "Zoë"]).cast(ids),
            "timestamp": texts if kind == pa.string() else pa.array(moments, kind),
            "y": pa.array([2, None, 6], pa.int64()),
            "price": pa.array([None, 0.25, None], pa.float32()),
            "promo": pa.array([True, False, None]),
        }
    )
    pq.write_table(table, tmp_path / "h.parquet")
    forecast_file(ahead, tmp_path / "h.parquet", tmp_path / "o.parquet")
    rows = found(tmp_path / "o.parquet")
    hour = 12 if getattr(kind, "tz", None) else 11
    assert rows[0] == ("7", f"2024-01-01T{hour}:00:00", round(102.25 + hour / 100, 3))
    assert rows[3][2] == round(206 + hour / 100, 3)


def test_dates_and_integer_ids_are_read(plain: Forecaster, tmp_path: Path) -> None:
    days = pa.array([date(2024, 1, 1), date(2024, 1, 2)])
    table = pa.table({"series_id": [7, 8], "timestamp": days, "y": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "h.parquet")
    forecast_file(plain, tmp_path / "h.parquet", tmp_path / "o.csv")
    rows = found(tmp_path / "o.csv")
    assert [rows[0], rows[3]] == [
        ("7", "2024-01-01T01:00:00", 101.01),
        ("8", "2024-01-02T01:00:00", 402.01),
    ]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 1000])
def test_chunks_and_blocks_change_nothing(
    ahead: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, rows: int
) -> None:
    generator = np.random.default_rng(0)
    lengths = [1, 9, 1, 2, 3, 1, 1, 20]
    table = {
        "series_id": [f"s{n}" for n, length in enumerate(lengths) for _ in range(length)],
        "timestamp": [
            np.datetime64("2024-01-01T00", "s") + np.timedelta64(3600 * (n + step), "s")
            for n, length in enumerate(lengths)
            for step in range(length)
        ],
        "y": generator.poisson(9, sum(lengths)).astype(float),
        "price": generator.random(sum(lengths)),
        "promo": generator.random(sum(lengths)),
    }
    # The last two rows of the longest series tell covariates ahead.
    table["y"][-2:] = np.nan
    path, output = tmp_path / f"h{ending}", tmp_path / "o.csv"
    if ending == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([table, *zip(*table.values(), strict=True)])
    else:
        pq.write_table(pa.table(table), path)
    forecast_file(ahead, path, output)
    want = output.read_text()
    monkeypatch.setattr(batch_forecasts, "_CHUNK_ROWS", rows)
    monkeypatch.setattr(history_blocks, "_BLOCK_SERIES", 2)
    seen: list[int] = []
    result = forecast_file(ahead, path, output, lambda done, total: seen.append(done))
    assert output.read_text() == want
    assert (result.series, result.counts.rows, seen[-1]) == (8, sum(lengths), 8)
    assert len(seen) >= 4
    # Each series as if it were alone.
    start = np.array([table["timestamp"][-20]])
    covariates = np.full((1, 18 + 3, 2), np.nan)
    covariates[0, :-1] = np.stack([table["price"][-20:], table["promo"][-20:]], axis=1)
    alone = ahead.forecast(["s7"], table["y"][None, -20:-2], start, covariates)
    assert [row[2] for row in found(output)[-3:]] == pytest.approx(alone[0, :, 1], abs=1e-3)


def test_steps_begin_where_the_bundle_says_or_where_each_series_does(
    plain: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = HEAD + "7,2024-01-01T00:30,1\n8,2024-01-01T00:00,1\n8,2024-01-01T01:00,1\n"
    monkeypatch.setitem(plain.manifest, "step_offset", 1800)
    with pytest.raises(DataError, match="line 3: .* begins at 2023-12-31 23:30:00"):
        run(plain, tmp_path, half)
    monkeypatch.setitem(plain.manifest, "step_offset", None)
    assert run(plain, tmp_path, half)[0].series == 2
    with pytest.raises(DataError, match="line 5: .* off the grid"):
        run(plain, tmp_path, half + "8,2024-01-01T02:30,1\n")


def test_line_numbers_count_blank_lines_and_line_breaks(plain: Forecaster, tmp_path: Path) -> None:
    text = HEAD + '\n"a\nb",2024-01-01,1\n\n7,2024-01-01,one\n'
    (tmp_path / "h.csv").write_text(text)
    for multiline, sentence in (
        (True, "line 6: y is 'one', which is not a number"),
        (False, "line 3: the cell that begins with 'a' ends in line 4"),
    ):
        dialect = Dialect(multiline=multiline)
        with pytest.raises(DataError, match=sentence):
            forecast_file(plain, tmp_path / "h.csv", tmp_path / "o.csv", dialect=dialect)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "h.csv is empty: it needs a header"),
        (HEAD, "has a header but no histories"),
        (HEAD + "7,2024-01-01,\n", "has no y at all"),
        ("series_id,y\n7,1\n", r"column 'timestamp' is not in .*\(it has 'series_id', 'y'\)"),
        ("series_id,timestamp,y,y\n7,2024-01-01,1,2\n", "has 2 columns called 'y'"),
        (HEAD + "7,2024-01-01\n", "line 2: 2 cells under 3 columns"),
        (HEAD + "7,2024-01-01,1\n,2024-01-01,1\n", "line 3: the series_id is empty"),
        (HEAD + "7,2024-01-01,1\n7,01/02/2024,1\n", "line 3: the timestamp is '01/02/2024'"),
        (HEAD + "7,2024-01-01,1\n7,2199-01-01,1\n", "line 3: a timestamp in the future, with a y"),
        (HEAD + "7,2024-01-01T00Z,1\n7,2024-01-02T00,1\n", "1 of 2 timestamps carry an offset"),
        (HEAD + "7,01/02/2024,1\n", 'set timestamp_format to "%d/%m/%Y" or "%m/%d/%Y"'),
        (HEAD + '7,2024-01-01,1\n7,2024-01-02,"2\n', "line 3: the cell .* '2' is never closed"),
        (
            HEAD + "7,2024-01-01T00:30,1\n",
            "line 2: the timestamp 2024-01-01 00:30:00 .*off the gri",
        ),
        (HEAD + "7,2024-01-01,1\n7,2024-01-01T00,2\n", "line 3: .*'7' has 2024-01-01 00:00:00 twi"),
        (
            HEAD + "7,2024-01-01,1\n8,2024-01-01,1\n7,2024-01-02,1\n",
            "line 4: the series '7' continues",
        ),
        (
            HEAD + "7,2024-01-01,1\n7,2024-01-01T01,inf\n",
            "line 3: y is 'inf', which is not a number",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_named_and_leave_nothing(
    plain: Forecaster, tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "h.csv").write_text(text)
    (tmp_path / "o.csv").write_text("of yesterday")
    with pytest.raises(DataError, match=sentence) as caught:
        forecast_file(plain, tmp_path / "h.csv", tmp_path / "o.csv")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "o.csv").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.csv", "o.csv"]


def test_series_that_comes_back_in_another_chunk_is_named(
    plain: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_forecasts, "_CHUNK_ROWS", 2)
    lines = "".join(f"s{number},2024-01-01,1\n" for number in (1, 2, 3, 4, 5, 2))
    with pytest.raises(DataError, match="line 7: the series 's2' continues after another"):
        run(plain, tmp_path, HEAD + lines)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"series_id": [[1]]}, "series_id is of type list<.*, and has to be"),
        ({"series_id": pa.array([None], pa.string())}, "row 1: the series_id is empty"),
        ({"series_id": [""]}, "row 1: the series_id is empty"),
        ({"timestamp": [1]}, "holds numbers; set timestamp_unit to s, ms"),
        ({"timestamp": pa.array([None], pa.timestamp("s"))}, "row 1: the timestamp is empty"),
        ({"timestamp": ["yesterday"]}, "row 1: the timestamp is 'yesterday'"),
        ({"y": ["one"]}, "row 1: y is 'one', which is not a number"),
    ],
)
def test_parquet_that_cannot_be_used_is_named(
    plain: Forecaster, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    content = {"series_id": ["7"], "timestamp": [datetime(2024, 1, 1)], "y": [1.0]}
    pq.write_table(pa.table(content | change), tmp_path / "h.parquet")
    with pytest.raises(DataError, match=sentence):
        forecast_file(plain, tmp_path / "h.parquet", tmp_path / "o.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["h.parquet"]
