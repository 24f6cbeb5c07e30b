"""One table is the same dataset however it is written; what cannot be told is one sentence."""

import gzip
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from recsys.data.attributes import AttributeTable
from recsys.data.dataset import Dataset
from recsys.data.ids import encode_ids
from recsys.data.panel import SalesPanel
from recsys.data.sources.presplit import presplit
from recsys.data.sources.sales import sales
from recsys.data.sources.transactions import transactions, transactions_sales
from recsys.data.splits.leave_last_out import LeaveLastOut
from recsys.errors import ConfigError, DataError
from recsys.tables.files import open_file
from recsys.tables.text import TextFormat

NAMES = {"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"}
DATES = ["2023-11-30", "2023-12-31", "2024-02-29", "2024-03-01"]


def dataset(path: Path | pa.Table | str, further: str = "item_id", **options: Any) -> Dataset:
    return transactions(path, NAMES | {further: further}, **options)


def with_times(times: list[Any] | pa.Array, **options: Any) -> Dataset:
    ids = [f"n{row}" for row in range(len(times))]
    return dataset(pa.table({"user_id": ids, "item_id": ids, "timestamp": times}), **options)


def days(read: Dataset) -> list[str]:
    assert read.day is not None
    return [str(np.datetime64(int(day), "D")) for day in read.day]


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (DATES, "ISO 8601"),
        ([each.replace("-", "/") for each in DATES], "ISO 8601"),
        ([f" {each} " for each in DATES], "ISO 8601"),
        ([each.replace("-", "") for each in DATES], "%Y%m%d"),
        ([int(each.replace("-", "")) for each in DATES], "%Y%m%d"),
        ([float(each.replace("-", "")) for each in DATES], "%Y%m%d"),
        ([int(each.replace("-", "") + "0815") for each in DATES], "%Y%m%d%H%M"),
        ([each.replace("-", "") + "081530" for each in DATES], "%Y%m%d%H%M%S"),
        (["30/11/2023", "31/12/2023", "29/02/2024", "01/03/2024"], "%d/%m/%Y"),
        (["11-30-2023", "12-31-2023", "2-29-2024", "3-1-2024"], "%m-%d-%Y"),
        (["30.11.2023", "31.12.2023", "29.2.2024", "1.3.2024"], "%d.%m.%Y"),
        (["11/30/2023 8:15 AM", "12/31/2023 9:00 PM", "2/29/2024 1:00 AM", "3/1/2024 1:00 AM"],
         "%m/%d/%Y %I:%M %p"),
        (["30 Nov 2023", "31 Dec 2023", "29 Feb 2024", "1 Mar 2024"], "%d %b %Y"),
        (["November 30, 2023", "December 31, 2023", "February 29, 2024", "March 1, 2024"],
         "%B %d, %Y"),
    ],
)  # fmt: skip
def test_dates_are_read_in_the_one_form_of_their_column(
    times: list[object] | pa.Array, form: str
) -> None:
    read = with_times(times)
    assert days(read) == DATES
    assert read.report.timestamp_form == form


@pytest.mark.parametrize(
    "times",
    [[str(day) for day in range(1, 2001)], list(range(1500, 2000)), ["2021", "2022", "soon"],
     ["19.5", "20.5"], ["", "7", "NA"]],
)  # fmt: skip
def test_numbers_are_no_years(times: list[object]) -> None:
    with pytest.raises(DataError, match=r"holds numbers; set data\.timestamp_unit"):
        with_times(times)


def test_the_unit_that_is_named_for_numbers_of_days_reads_them() -> None:
    assert days(with_times(["19691", "19722"], timestamp_unit="D")) == ["2023-11-30", "2023-12-31"]


def test_a_number_among_dates_is_unreadable() -> None:
    read = with_times([*DATES, "1941"])
    assert days(read) == DATES
    assert read.report.dropped == {"a timestamp that cannot be read": 1}


@pytest.mark.parametrize("times", [["01/02/2023", "03/04/2023"], ["30/11/2023", "11/30/2023"]])
def test_a_day_that_may_be_the_month_has_to_be_decided(times: list[object]) -> None:
    with pytest.raises(DataError, match=r'set data\.timestamp_format to "%d/%m/%Y" or "%m/%d/%Y"'):
        with_times(times)
    first = {form: days(with_times(times, timestamp_format=form))[0] for form in ("%d/%m/%Y",)}
    assert first["%d/%m/%Y"] in ("2023-02-01", "2023-11-30")


def test_nothing_readable_shows_the_first_cell_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("user_id,item_id,timestamp\n\na,x,Martinmas\nb,y,Easter\n")
    with pytest.raises(DataError, match=r"the first is line 3: 'Martinmas'; dates are read as"):
        dataset(path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz"])
@pytest.mark.parametrize("closed", [True, False])
def test_cell_of_several_lines_is_an_error_with_its_line(
    tmp_path: Path, ending: str, closed: bool
) -> None:
    mark = "\t" if ending == "tsv" else ","
    rows = [["user_id", "item_id", "timestamp"], ["a", "x", "2024-01-01"], ["b", '"5 inch', ""]]
    rows += [[f"c{row}", "z", "2024-01-02"] for row in range(5)]
    rows += [['d"' if closed else "d", "z", "2024-01-02"]]
    text = "\n".join(mark.join(row) for row in rows) + "\n"
    path = tmp_path / f"own.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    with pytest.raises(
        DataError, match=r"line 3: the cell that begins with '5 inch.*' ends in line"
    ):
        dataset(path)
    with pytest.raises(DataError, match="line 3: the cell that begins with '5 inch.*' ends"):
        list(open_file(path, TextFormat(), "own").batches(["user_id"], 100))


def test_cells_of_several_lines_are_read_where_they_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('user_id,item_id,timestamp\na,"x\ny",2024-01-01\nb,z,2024-01-02\n')
    assert dataset(path, multiline=True).item_ids.tolist() == ["x\ny", "z"]
    path.write_text('user_id,item_id,timestamp\na,"x,2024-01-01\nb,z,2024-01-02\n')
    with pytest.raises(DataError, match="line 2: a quote that is not closed"):
        dataset(path, multiline=True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_empty_lines_and_a_missing_last_line_end_are_no_rows(tmp_path: Path, end: str) -> None:
    path = tmp_path / "own.csv"
    lines = ["user_id,item_id,timestamp", "", 'a,"x, or y",2024-01-01', "", "b,z,2024-01-02"]
    path.write_bytes(end.join(lines).encode())
    assert len(dataset(path)) == 2
    path.write_bytes(end.join([*lines, "", "", ""]).encode())
    assert len(dataset(path)) == 2


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le"])
def test_other_encodings_are_read_where_they_are_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(
        "user_id,item_id,timestamp\né,Öl,2024-01-01\nb,z,2024-01-02\n".encode(encoding)
    )
    assert dataset(path, encoding=encoding).item_ids.tolist() == ["z", "Öl"]


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("latin-1", r"own\.csv, line 3 is not utf-8 text: set data\.encoding to latin-1"),
        ("utf-16", r"own\.csv is UTF-16: set data\.encoding=utf-16"),
    ],
)
def test_encoding_that_does_not_fit_names_the_line_and_the_setting(
    tmp_path: Path, encoding: str, sentence: str
) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes("user_id,item_id,timestamp\na,x,2024-01-01\nb,é,2024-01-01\n".encode(encoding))
    with pytest.raises(DataError, match=sentence):
        dataset(path)


def test_decimal_comma_and_thousands_are_read_where_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('user_id,item_id,timestamp,price,w\na,x,2024-01-01,"1.234,5","0,5"\n'
                    'b,y,2024-01-01,"2,50","1,5"\n')  # fmt: skip
    with pytest.raises(DataError, match=r"first is line 2: '1\.234,5'; set data\.decimal=comma"):
        dataset(path, "price")
    read = dataset(path, "price", decimal=",", thousands=".")
    assert read.context["price"].values.tolist() == [1234.5, 2.5]
    assert read.context["w"].values.tolist() == [0.5, 1.5]
    read = dataset(path, "price", decimal=",")
    assert read.report.dropped == {"a price that is not a number": 1}


def test_blanks_around_a_name_of_the_header_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("user_id , item_id, store\na,x,1\nb,y,2\n")
    for columns in ({}, {"item_id": "item_id"}, {"item_id": " item_id"}):
        read = transactions(path, columns)
        assert read.item_ids.tolist() == ["x", "y"]
        assert list(read.context) == ["store"]
    path.write_text("user_id,item_id, user_id\na,x,b\n")  # two names that blanks tell apart
    assert transactions(path, {}).user_ids.tolist() == ["a"]
    assert transactions(path, {"user_id": " user_id"}).user_ids.tolist() == ["b"]


def test_header_in_capitals_is_quoted_and_its_remedy_works(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("user_id,Item_ID\na,x\nb,y\n")
    with pytest.raises(
        DataError, match=r"it has 'user_id', 'Item_ID'\); set data.columns.item_id=Item_ID"
    ):
        transactions(path, {})
    assert len(transactions(path, {"item_id": "Item_ID"})) == 2


@pytest.mark.parametrize("separator", ["\\t", "\t", "tab", "|", ";"])
def test_separators_are_understood_by_sign_and_by_name(tmp_path: Path, separator: str) -> None:
    mark = separator if len(separator) == 1 else "\t"
    path = tmp_path / "own.txt"
    path.write_text("user_id,item_id,timestamp\na,x,2024-01-01\n".replace(",", mark))
    assert len(dataset(path, separator=separator)) == 1


@pytest.mark.parametrize(
    ("separator", "mark"),
    [("comma", ","), ("semicolon", ";"), ("pipe", "|"), ("tab", "\t"), ("space", " ")],
)
def test_separators_have_names_that_need_no_quotes(
    tmp_path: Path, separator: str, mark: str
) -> None:
    (tmp_path / "own.txt").write_text(f"user_id{mark}item_id\na{mark}x\n")
    assert len(transactions(tmp_path / "own.txt", {}, separator=separator)) == 1


@pytest.mark.parametrize("separator", ["||", "", '"', "\n"])
def test_separator_that_is_none_is_refused(tmp_path: Path, separator: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.separator="):
        dataset(tmp_path / "own.txt", separator=separator)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min_rating", 4), ("timestamp_unit", "s"), ("timestamp_format", "%Y"), ("separator", ";"),
     ("encoding", "latin-1"), ("multiline", True), ("table", "t"), ("timezone", "Europe/Paris")],
)  # fmt: skip
def test_setting_that_cannot_act_says_so(setting: str, value: object) -> None:
    table = pa.table({"user_id": ["a"], "item_id": ["x"]})
    with pytest.raises(ConfigError, match=rf"data\.{setting}=.* has no effect"):
        transactions(table, {}, **{setting: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("setting", "value"), [("decimal", ","), ("thousands", " ")])
def test_signs_of_numbers_in_text_say_where_there_are_none(setting: str, value: str) -> None:
    numbers = pa.table({"user_id": ["a"], "item_id": ["x"], "price": [1.5]})
    words = rf"{setting}='{value}' has no effect on .*no numbers in text"
    given: dict[str, Any] = {setting: value}
    with pytest.raises(ConfigError, match=rf"data\.{words}"):
        transactions(numbers, {"price": "price"}, **given)
    series = pa.table({"series_id": ["a"], "timestamp": ["2024-01-01"], "y": [1.5]})
    with pytest.raises(ConfigError, match=rf"data\.{words}"):
        sales(series, "day", **given)
    sold = series.rename_columns(["item_id", "timestamp", "quantity"])
    with pytest.raises(ConfigError, match=rf"data\.{words}"):
        transactions_sales(sold, {"quantity": "quantity"}, ["item_id"], **given)
    items = AttributeTable(pa.table({"item_id": ["x"], "weight": [1.5]}), **given)
    with pytest.raises(ConfigError, match=rf"data\.items\.{words}"):
        transactions(numbers, {}, items=items)
    text = pa.table({"user_id": ["a"], "item_id": ["x"], "price": ["1"]})
    assert len(transactions(text, {"price": "price"}, **given)) == 1


def test_net_returns_without_quantities_say_so() -> None:
    table = pa.table({"item_id": ["x"], "timestamp": ["2024-01-01"]})
    with pytest.raises(ConfigError, match=r"data\.returns=net has no effect on .*quantities"):
        transactions_sales(table, {}, ["item_id"], "lines", returns="net")


def test_attributes_that_no_series_is_made_of_say_so(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,colour\nx,red\n")
    items = AttributeTable(str(tmp_path / "items.csv"))
    table = pa.table({"item_id": ["x"], "timestamp": ["2024-01-01"]})
    with pytest.raises(ConfigError, match=r"data\.items\.path=.* has no effect: .*colour"):
        transactions_sales(table, {}, ["item_id"], "lines", items=items)


def test_a_column_that_no_series_reads_says_so() -> None:
    table = pa.table({"series_id": ["a"], "timestamp": ["2024-01-01"], "y": [1.5]})
    with pytest.raises(ConfigError, match=r"data\.columns\.promotion=ad has no effect"):
        sales(table, "day", {"promotion": "ad"})


def test_last_without_times_is_the_last_row_and_said(tmp_path: Path) -> None:
    table = pa.table({"user_id": list("aabab"), "item_id": list("xyzwv")})
    read = transactions(table, {})
    for seed in (1, 2, 3):
        with pytest.warns(UserWarning, match="no timestamps: the last purchase of a user is"):
            phases = LeaveLastOut()(read, seed)
        assert phases["test"].truth.tolist() == [3, 4]


def series(dates: list[str], y: list[object], **options: Any) -> SalesPanel:
    table = pa.table({"series_id": ["s"] * len(dates), "timestamp": dates, "y": y})
    return sales(table, "day", **options)


MARCH = [f"2023-03-{day:02d}" for day in range(1, 31)]


def test_sale_in_the_future_is_bad_in_both_readers() -> None:
    with pytest.raises(DataError, match=r"a timestamp in the future \(the first is data row 31"):
        series([*MARCH, "2190-05-05"], [1.0] * 31)
    read = series([*MARCH, "2190-05-05"], [1.0] * 31, on_bad_rows="drop")
    assert read.report.steps == 30


def read_dates(reader: str, dates: list[str]) -> None:
    if reader == "sales":
        series(dates, [1.0] * len(dates))
    elif reader == "transactions":
        with_times(dates)
    else:
        ones = [1] * len(dates)
        table = pa.table({"item_id": ones, "timestamp": dates, "quantity": ones})
        columns = {"timestamp": "timestamp", "quantity": "quantity"}
        transactions_sales(table, columns, ["item_id"])


@pytest.mark.parametrize("reader", ["sales", "transactions", "transactions_sales"])
def test_date_far_from_all_others_is_warned_of(reader: str) -> None:
    with pytest.warns(UserWarning, match=r"1 of 31 rows lie far.*row 1, timestamp '1905-01-01"):
        read_dates(reader, ["1905-01-01", *MARCH])


def test_dates_of_many_years_are_no_mistake() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_times([f"{year}-06-01" for year in range(1990, 2024)])


def test_covariates_of_true_and_false_are_one_and_zero(tmp_path: Path) -> None:
    rows = [f"s,{day},{row + 1},{row % 2 == 0}" for row, day in enumerate(MARCH)]
    (tmp_path / "own.csv").write_text("series_id,timestamp,y,promo\n" + "\n".join(rows) + "\n")
    read = sales(tmp_path / "own.csv", "day", covariates=["promo"])
    assert read.covariates[:4, 0].tolist() == [1, 0, 1, 0]


def test_what_is_forecast_is_no_covariate() -> None:
    with pytest.raises(ConfigError, match=r"data\.covariates names 'y'"):
        series(MARCH, [1.0] * 30, covariates=["y"])


def test_ids_of_users_twice_in_their_file_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,user_id,age\na,b,4\n")
    table = pa.table({"user_id": ["a"], "item_id": ["x"]})
    with pytest.raises(DataError, match="2 columns called 'user_id'"):
        transactions(table, {}, users=AttributeTable(tmp_path / "users.csv"))


@pytest.mark.parametrize(
    ("numbers", "ids"),
    [(["7.00", "12.00", None], ["7", "12"]), (["7.50", "12.00"], ["12", "7.50"])],
)
def test_whole_decimals_of_a_database_are_ids_of_digits(
    numbers: list[str | None], ids: list[str]
) -> None:
    values = pa.array([None if each is None else Decimal(each) for each in numbers])
    assert encode_ids(values).categories.tolist() == ids


def test_parts_of_a_published_split_may_have_another_separator(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv").write_text("user_id;item_id\na;x\nb;y\n")
    paths = [str(tmp_path / f"{part}.csv") for part in ("train", "test")]
    assert len(presplit(*paths, separator=";")) == 4


@pytest.mark.parametrize(
    "setting",
    [
        {"separator": ";"},
        {"encoding": "cp1252"},
        {"ignore": ["a"]},
        {"decimal": ","},
        {"columns": {"item_id": "article"}},
    ],
)
def test_setting_of_a_table_that_is_not_there_says_so(setting: dict[str, Any]) -> None:
    table = pa.table({"user_id": ["a"], "item_id": ["x"]})
    with pytest.raises(ConfigError, match=rf"data\.items\.{next(iter(setting))} has no effect"):
        transactions(table, {}, items=AttributeTable(**setting))


def test_cells_that_another_sign_separates_are_said_with_the_setting_that_reads_them(tmp_path):
    file = tmp_path / "kasse.csv"
    file.write_text("user_id;item_id;price\na;x;9,80\nb;y;1,20\n")
    with pytest.raises(
        DataError, match="',' does not separate its cells: set data.separator=semicolon"
    ):
        transactions(str(file), {"price": "price"})
    read = transactions(str(file), {"price": "price"}, separator="semicolon", decimal="comma")
    assert read.user_ids.tolist() == ["a", "b"]


@pytest.mark.parametrize("huge", ["inf", "-Infinity", "1e400", "5e38", float("inf"), 1e300])
@pytest.mark.parametrize("column", ["quantity", "price"])
def test_numbers_that_a_model_would_take_for_infinite_are_none(huge: object, column: str) -> None:
    ids = [f"n{row}" for row in range(4)]
    numbers = [2.0, 3.0, huge, 4.0] if isinstance(huge, float) else ["2", "3", huge, "4"]
    table = pa.table({"user_id": ids, "item_id": ids, "timestamp": DATES, column: numbers})
    with pytest.warns(UserWarning, match=f"1 of 4 rows are left out.* a {column} that"):
        read = dataset(table, column)
    assert read.report.dropped == {f"a {column} that is not a number": 1}
    series = pa.table({"series_id": ["a"] * 4, "timestamp": DATES, "y": numbers})
    with pytest.raises(DataError, match="1 row has a y that is not a number"):
        sales(series, step="day", gaps="zero")


def test_many_times_of_another_form_are_said_and_few_are_counted() -> None:
    times = [f"2024-01-{day:02d}" for day in range(1, 29)] * 10
    few = dataset_without_warnings([*times[:-2], "17.1.2024", "18.1.2024"])
    assert few.report.dropped == {"a timestamp that cannot be read": 2}
    said = "140 of 280 rows are left out.*'17.1.2024'.*the others are read as ISO 8601, and a"
    with pytest.warns(UserWarning, match=said):
        with_times([*times[:140], *["17.1.2024"] * 140])


def dataset_without_warnings(times: list[Any]) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return with_times(times)


ROWS = "user_id,item_id,timestamp\n" + "".join(
    f"u{day},i{day},2024-01-0{day}\n" for day in (1, 2, 3)
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(ROWS.encode(), mtime=0), "is compressed by gzip: let its name end with .gz"),
        (
            b"PK\x03\x04" + ROWS.encode(),
            "is a ZIP archive or an Excel workbook: unpack it",
        ),
        (b"PAR1" + ROWS.encode(), "is a Parquet file: let its name end with .parquet"),
        (ROWS.encode("utf-16-le"), "holds zero bytes.*: set data.encoding=utf-16-le"),
        (ROWS.encode("utf-16-be"), "holds zero bytes.*: set data.encoding=utf-16-be"),
        (ROWS.encode() * 300 + b"u\0,i1,2024-01-01\n", "holds a zero byte near line 1,200"),
        (ROWS.splitlines()[0].encode(), "has a header but no rows"),
        (b"", "is empty: it needs a header"),
    ],
    ids=["gzip", "zip", "parquet", "utf-16-le", "utf-16-be", "zero", "header", "empty"],
)
def test_what_is_no_table_of_text_is_said(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        dataset(path)
    if content.startswith(b"u\0"):
        assert days(dataset(path, encoding="utf-16-le")) == [
            "2024-01-01",
            "2024-01-02",
            "2024-01-03",
        ]


def test_one_name_where_a_list_belongs_is_not_read_letter_by_letter() -> None:
    events = pa.table({"user_id": ["a"], "item_id": ["b"], "timestamp": DATES[:1]})
    series = pa.table({"series_id": ["a"], "timestamp": DATES[:1], "y": [1]})
    for read in (
        lambda: sales(series, "day", covariates="promo"),
        lambda: transactions(events, NAMES, ignore="promo"),
        lambda: transactions_sales(events, NAMES, series="promo", step="day", measure="lines"),
    ):
        with pytest.raises(ConfigError, match=r"='promo': it has to be a list: \['promo'\]"):
            read()
