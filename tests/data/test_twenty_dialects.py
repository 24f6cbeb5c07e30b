"""One table, however it is written, is the same in training and in both batch commands.

Axes: S series, T days of each; the table has S x T rows.
"""

import csv
import gzip
import io
import json
import sqlite3
from bz2 import compress as bz2
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data.sources.sales import sales
from recsys.data.sources.transactions import transactions
from recsys.inference.batch.forecast import forecast_file
from recsys.inference.batch.input_table import Dialect
from recsys.inference.batch.recommend import recommend_file

DAYS = [date(2023, 11, 20) + timedelta(day) for day in range(30)]
Table = dict[str, list[Any]]


def table(ids: list[str], seed: int) -> Table:
    """A sales table and an event table in one: sales of series, and what a user paid for what."""
    generator = np.random.default_rng(seed)
    rows = len(ids) * len(DAYS)
    cents = generator.integers(0, 3_000_000, (2, rows)) / 100
    sold = [None if missing else value for missing, value in
            zip(generator.random(rows) < 0.1, cents[0].tolist(), strict=True)]  # fmt: skip
    sold[0 :: len(DAYS)], sold[len(DAYS) - 1 :: len(DAYS)] = [[1234.5] * len(ids)] * 2
    drawn = generator.choice(ids, (2, rows)).tolist()
    return {
        "series_id": [name for name in ids for _ in DAYS],
        "timestamp": DAYS * len(ids),
        "y": sold,
        "promo": (generator.random(rows) < 0.5).tolist(),
        "user_id": drawn[0],
        "item_id": drawn[1],
        "spend": cents[1].tolist(),
        "history": [[] if row % 7 == 0 else drawn[1][row : row + 2] for row in range(rows)],
    }


@dataclass(frozen=True)
class Text:
    """How a text file is written, and the settings that read it."""

    ending: str = "csv"
    mark: str = ","
    encoding: str = "utf-8"
    date: Callable[[date], str] = date.isoformat
    number: Callable[[float], str] = str
    empty: str = ""
    truth: tuple[str, str] = ("0", "1")
    pad: str = ""
    quoting: int = csv.QUOTE_MINIMAL
    end: str = "\n"
    pack: Callable[[bytes], bytes] = bytes
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, content: Table, folder: Path) -> str:
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter=self.mark, quoting=self.quoting, lineterminator=self.end
        )
        writer.writerow([f"{name}{self.pad}" for name in content])
        writer.writerows(zip(*map(self.cells, content, content.values()), strict=True))
        path = folder / f"own.{self.ending}"
        path.write_bytes(self.pack(text.getvalue().encode(self.encoding)))
        return str(path)

    def cells(self, name: str, values: list[Any]) -> list[str]:
        shown: dict[str, Callable[[Any], str]] = {
            "timestamp": lambda day: self.date(day) + self.pad,
            "y": lambda value: (self.empty if value is None else self.number(value)) + self.pad,
            "spend": lambda value: self.number(value) + self.pad,
            "promo": lambda value: self.truth[value] + self.pad,
            "history": lambda items: json.dumps(items, ensure_ascii=False) if items else self.pad,
        }
        return list(map(shown.get(name, str), values))


@dataclass(frozen=True)
class Typed:
    """Types of a Parquet file, of a folder of such, or of a table in SQLite."""

    change: Callable[[Table], dict[str, pa.Array]] = dict
    ending: str = "own.parquet"
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, content: Table, folder: Path) -> str:
        columns = pa.table(content | self.change(content))
        if self.ending == "own.db":
            return self.sql(columns, folder)
        if self.ending == "parts":
            (folder / "parts").mkdir()
            pq.write_table(columns.slice(0, 40), folder / "parts" / "0.parquet")
            pq.write_table(columns.slice(40), folder / "parts" / "1.parquet")
        else:
            pq.write_table(columns, folder / self.ending)
        return str(folder / self.ending)

    def sql(self, columns: pa.Table, folder: Path) -> str:
        types = {"y": "real", "spend": "numeric(10, 2)", "promo": "boolean", "timestamp": "date"}
        declared = ", ".join(f"{name} {types.get(name, '')}" for name in columns.column_names)
        rows = zip(
            *(columns.column(name).to_pylist() for name in columns.column_names), strict=True
        )
        with sqlite3.connect(folder / "own.db") as connection:
            connection.execute(f"create table own ({declared})")
            marks = ", ".join("?" * columns.num_columns)
            connection.executemany(f"insert into own values ({marks})", list(rows))
        connection.close()
        return f"sqlite:///{folder}/own.db"


def grouped(sign: str, decimal: str) -> Callable[[float], str]:
    return lambda value: f"{value:,.2f}".translate({ord(","): sign, ord("."): decimal})


def written(form: str) -> Callable[[date], str]:
    return lambda day: day.strftime(form)


def seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day).timestamp() - _EPOCH)


def as_numbers(own: Table, kind: type[int] | type[float]) -> dict[str, pa.Array]:
    """Ids and dates of digits as numbers."""
    return {
        "timestamp": pa.array([kind(day.strftime("%Y%m%d")) for day in own["timestamp"]]),
        **{name: pa.array(map(kind, own[name])) for name in ("series_id", "user_id", "item_id")},
        "history": pa.array([list(map(kind, items)) for items in own["history"]]),
    }


_EPOCH = datetime(1970, 1, 1).timestamp()
WORDS = ["007", "Zoë", "a,b;c", 'say "hi"', "NA"]
DIGITS = ["7", "12", "101"]
BROKEN = ["one\nof two lines", "plain"]
DIALECTS: dict[str, tuple[list[str], Text | Typed]] = {
    "plain": (WORDS, Text()),
    "byte-order mark": (WORDS, Text(encoding="utf-8-sig", truth=("False", "True"))),
    "latin-1": (WORDS, Text(encoding="latin-1", settings={"encoding": "latin-1"})),
    "cp1252, semicolons, one comma": (
        WORDS,
        Text(mark=";", encoding="cp1252", number=grouped("", ","),
             settings={"separator": ";", "encoding": "cp1252", "decimal": ","}),
    ),
    "utf-16, tabs": (
        WORDS,
        Text("txt", "\t", "utf-16", settings={"separator": "tab", "encoding": "utf-16"}),
    ),
    "tsv": (WORDS, Text("tsv", "\t", empty="NA")),
    "tsv.gz": (WORDS, Text("tsv.gz", "\t", pack=gzip.compress)),
    "CSV.GZ": (WORDS, Text("CSV.GZ", pack=gzip.compress, empty="null")),
    "csv.bz2": (WORDS, Text("csv.bz2", pack=bz2)),
    "pipes, quotes, carriage returns": (
        WORDS, Text("txt", "|", quoting=csv.QUOTE_ALL, end="\r\n", settings={"separator": "|"})
    ),
    "points between thousands": (
        WORDS,
        Text(mark=";", number=grouped(".", ","),
             settings={"separator": ";", "decimal": ",", "thousands": "."}),
    ),
    "commas between thousands": (
        WORDS, Text(number=grouped(",", "."), settings={"thousands": ","})
    ),
    "exponents": (WORDS, Text(number=lambda value: f"{value:.9e}", empty="<NA>")),
    "day/month/year": (WORDS, Text(date=written("%d/%m/%Y"))),
    "day.month.year": (WORDS, Text(date=written("%d.%m.%Y"), empty="N/A")),
    "month-day-year": (WORDS, Text(date=written("%m-%d-%Y %I:%M %p"))),
    "names of months": (WORDS, Text(date=written("%B %d, %Y"))),
    "slashes and blanks": (WORDS, Text(date=written("%Y/%m/%d"), pad="  ")),
    "weeks": (WORDS, Text(date=written("%G-W%V-%u"))),
    "compact": (WORDS, Text(date=written("%Y%m%d"))),
    "offsets": (WORDS, Text(date=written("%Y-%m-%d 00:00:00.000+00:00"))),
    "another format": (
        WORDS,
        Text(date=written("%d %B %y"), settings={"timestamp_format": "%d %B %y"}),
    ),
    "seconds": (
        WORDS, Text(date=lambda day: str(seconds(day)), settings={"timestamp_unit": "s"})
    ),
    "days": (
        WORDS, Text(date=lambda day: str(seconds(day) // 86_400), settings={"timestamp_unit": "D"})
    ),
    "several lines": (BROKEN, Text(settings={"multiline": True})),
    "parquet": (WORDS, Typed()),
    "parquet, timestamps, dictionaries": (
        WORDS,
        Typed(lambda own: {
            "timestamp": pa.array(own["timestamp"]).cast(pa.timestamp("ns", "UTC")),
            "series_id": pa.array(own["series_id"]).dictionary_encode(),
            "user_id": pa.array(own["user_id"], pa.large_string()),
        }),
    ),
    "parquet, text": (
        WORDS,
        Typed(lambda own: {
            "timestamp": pa.array([day.strftime("%d.%m.%Y") for day in own["timestamp"]]),
            "y": pa.array(["NA" if value is None else str(value) for value in own["y"]]),
            "spend": pa.array(own["spend"]).cast(pa.string()),
            "promo": pa.array(own["promo"]).cast(pa.string()),
        }),
    ),
    "parquet, whole numbers": (
        DIGITS,
        Typed(lambda own: as_numbers(own, int) | {"promo": pa.array(own["promo"]).cast(pa.int8())}),
    ),
    "parquet, floats": (
        DIGITS,
        Typed(lambda own: as_numbers(own, float) | {
            "y": pa.array([np.nan if value is None else value for value in own["y"]]),
        }),
    ),
    "parquet, decimals": (
        DIGITS,
        Typed(lambda own: {
            name: pa.array([Decimal(value) for value in own[name]], pa.decimal128(20, 2))
            for name in ("series_id", "user_id", "item_id")
        }),
    ),
    "parquet, milliseconds": (
        WORDS,
        Typed(
            lambda own: {"timestamp": pa.array([1000 * seconds(day) for day in own["timestamp"]])},
            settings={"timestamp_unit": "ms"},
        ),
    ),
    "folder": (WORDS, Typed(ending="parts")),
    "sql": (
        WORDS,
        Typed(lambda own: {
            "timestamp": pa.array([str(day) for day in own["timestamp"]]),
            "history": pa.array([json.dumps(items) for items in own["history"]]),
        }, "own.db", {"table": "own"}),
    ),
}  # fmt: skip


class Model:
    """A forecaster and a recommender that remember what they are asked."""

    quantiles, step, history_length, horizon = (0.5,), "day", 100, 1
    covariate_names, timezone, num_items, reads_history, holds_seen = (
        ("promo",),
        "UTC",
        1,
        True,
        False,
    )
    inputs = {"spend": SimpleNamespace(per_purchase=False, type="float32")}

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self.forecasts: list[Any] = []
        self.users: list[Any] = []

    def forecast(self, *asked: Any) -> Any:
        self.forecasts.append(asked)
        return np.zeros((len(asked[0]), 1, 1), np.float32)

    def knows(self, series: Any) -> None:
        return None

    def timestamps(self, start: Any, length: int) -> Any:
        return np.zeros((len(start), 1), "datetime64[s]")

    def recommend(self, users: Any, k: int, *given: Any, **named: Any) -> Any:
        if named.get("inputs"):
            self.users.append((users, given[1], named["inputs"]["spend"].tolist()))
        return np.full((len(users), 1), "x", dtype=object), np.ones((len(users), 1), np.float32)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", DIALECTS)
def test_one_table_is_the_same_in_every_dialect(name: str, seed: int, tmp_path: Path) -> None:
    ids, dialect = DIALECTS[name]
    content = table(ids, seed)
    location, settings = dialect.write(content, tmp_path), dialect.settings
    y = np.array(content["y"], dtype=np.float32).reshape(len(ids), len(DAYS))  # (S, T)
    promo = np.array(content["promo"], dtype=np.float32).reshape(y.shape)
    first = seconds(DAYS[0])

    panel = sales(location, "day", covariates=["promo"], **settings)
    order = [ids.index(each) for each in panel.series_ids]
    assert sorted(order) == list(range(len(ids)))
    np.testing.assert_array_equal(panel.y.reshape(y.shape), y[order])
    np.testing.assert_array_equal(panel.covariates.reshape(y.shape), promo[order])
    assert set(panel.start) == {first}

    events = transactions(location, {"timestamp": "timestamp", "price": "spend"}, **settings)
    assert events.timestamp is not None
    assert events.user_ids[events.user].tolist() == content["user_id"]
    assert events.item_ids[events.item].tolist() == content["item_id"]
    assert events.timestamp.tolist() == [seconds(day) for day in content["timestamp"]]
    np.testing.assert_allclose(events.context["price"].values, content["spend"], rtol=1e-6)

    trained = {
        "config": {"data": settings},
        "data": {"timestamp_form": panel.report.timestamp_form},
    }
    in_database = {"table": settings["table"]} if "table" in settings else {}
    for manifest, given in (({}, settings), (trained, in_database)):
        model: Any = Model(manifest)
        forecast_file(model, location, tmp_path / "o.csv", dialect=Dialect(**given))
        recommend_file(model, location, tmp_path / "o.csv", dialect=Dialect(**given))
        series, history, start, covariates = map(np.concatenate, zip(*model.forecasts, strict=True))
        users, items, spend = (list(chain(*each)) for each in zip(*model.users, strict=True))
        order = [ids.index(each) for each in series]
        assert sorted(order) == list(range(len(ids)))
        np.testing.assert_array_equal(history, y[order])
        np.testing.assert_array_equal(covariates[:, :-1, 0], promo[order])
        assert set(start) == {first}
        assert users == content["user_id"]
        assert [each or [] for each in items] == content["history"]
        assert spend == content["spend"]
