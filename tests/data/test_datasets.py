"""Known data sets in tiny files of their layouts."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data.dataset import Dataset
from recsys.data.sources.movielens import movielens_100k
from recsys.data.sources.online_retail import online_retail
from recsys.data.sources.transactions import transactions
from recsys.errors import DataError

# invoice, code, description, quantity, date, price, customer
SALES = [
    ("536365", "85123A", "WHITE HANGING HEART", 6, "2010-12-01 08:26:00", 2.55, 17850),
    ("536365", "22423", None, 1, "2010-12-01 08:26:00", 12.75, 17850),
    ("536366", "22423", "REGENCY CAKESTAND ", 2, "2010-12-02 00:10:00", 12.75, 13047),
    ("536366", "16161P", "WRAP", 1, "2010-12-02 00:10:00", 0.0, 13047),
    ("C536379", "22423", "REGENCY CAKESTAND", -1, "2010-12-03 09:41:00", 12.75, 17850),
    ("C536380", "D", "Discount", -1, "2010-12-03 09:41:00", 27.5, None),
    ("536414", "22139", "56", 56, "2010-12-01 11:52:00", 0.0, None),
    ("536370", "POST", "POSTAGE", 3, "2010-12-01 08:45:00", 18.0, 12583),
    ("536371", "M", "Manual", 1, "2010-12-01 08:45:00", 18.0, 12583),
    ("536372", "22086", "CHAIN", -5, "2010-12-01 08:45:00", 2.0, 12583),
]
DROPPED = {
    "a cancelled invoice": 2,
    "no customer": 1,
    "a stock code that is no product": 2,
    "a quantity of 0 or less": 1,
}
PUBLISHED = [
    "Invoice",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "Price",
    "Customer ID",
]
REPACKED = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
]


def sales(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(SALES, columns=names).assign(Country="United Kingdom")


def assert_the_four_sales_are_left(read: Dataset, source: str) -> None:
    assert read.report.source == source
    assert read.report.rows_in == len(SALES)
    assert read.report.dropped == DROPPED
    assert [read.user_ids[code] for code in read.user] == ["17850", "17850", "13047", "13047"]
    assert [read.item_ids[code] for code in read.item] == ["85123A", "22423", "22423", "16161P"]
    assert read.user_ids.tolist() == ["13047", "17850"]
    assert read.item_names["22423"] == "Regency cakestand"
    assert read.item_names["85123A"] == "White hanging heart"
    assert read.timestamp is not None
    assert read.timestamp[0] == pd.Timestamp("2010-12-01T08:26:00Z").timestamp()


def test_online_retail_reads_the_repacked_parquet(tmp_path: Path) -> None:
    frame = sales(REPACKED).assign(InvoiceDate=lambda f: pd.to_datetime(f["InvoiceDate"]))
    frame["CustomerID"] = frame["CustomerID"].astype("Int32")
    frame.to_parquet(tmp_path / "online_retail_ii.parquet")
    read = online_retail(str(tmp_path / "online_retail_ii.parquet"))
    assert_the_four_sales_are_left(read, "online_retail_ii.parquet")


@pytest.mark.parametrize("customer", ["Int64", "float64"])
def test_online_retail_reads_the_published_names_as_csv(tmp_path: Path, customer: str) -> None:
    frame = sales(PUBLISHED)
    frame["Customer ID"] = frame["Customer ID"].astype(
        customer
    )  # as float64, 17850 is written 17850.0
    frame.to_csv(tmp_path / "online_retail_ii.csv", index=False)
    read = online_retail(str(tmp_path / "online_retail_ii.csv"))
    assert_the_four_sales_are_left(read, "online_retail_ii.csv")


def write_workbook(path: Path) -> None:
    """Both sheets have the sales of 2 December; within a sheet nothing is repeated."""
    frame = sales(PUBLISHED).assign(InvoiceDate=lambda f: pd.to_datetime(f["InvoiceDate"]))
    with pd.ExcelWriter(path) as book:
        frame.iloc[:4].to_excel(book, sheet_name="Year 2009-2010", index=False)
        frame.iloc[2:].to_excel(book, sheet_name="Year 2010-2011", index=False)


def test_online_retail_reads_the_published_workbook(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    write_workbook(tmp_path / "online_retail_II.xlsx")
    read = online_retail(str(tmp_path / "online_retail_II.xlsx"))
    assert_the_four_sales_are_left(read, "online_retail_II.xlsx")


def test_rows_that_both_sheets_share_are_kept_once_and_repeats_inside_a_sheet_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = sales(PUBLISHED).assign(InvoiceDate=lambda f: pd.to_datetime(f["InvoiceDate"]))
    frame["Customer ID"] = frame["Customer ID"].astype("Int64")
    first, second = frame.iloc[[0, 0, 1, 2]], frame.iloc[[2, 3]]
    monkeypatch.setattr(pd, "read_excel", lambda *_, **__: {"2009": first, "2010": second})
    (tmp_path / "online_retail_II.xlsx").touch()
    read = online_retail(str(tmp_path / "online_retail_II.xlsx"))
    assert [read.item_ids[code] for code in read.item] == [
        "85123A",
        "85123A",
        "22423",
        "22423",
        "16161P",
    ]


def test_workbook_without_a_reader_of_workbooks_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("Missing optional dependency 'openpyxl'")

    monkeypatch.setattr(pd, "read_excel", refuse)
    (tmp_path / "online_retail_II.xlsx").touch()
    with pytest.raises(DataError, match="pip install openpyxl"):
        online_retail(str(tmp_path / "online_retail_II.xlsx"))


def test_online_retail_in_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "retail.ods").write_bytes(b"\x00\x01")
    with pytest.raises(DataError, match=r"retail\.ods has the ending '\.ods': use \.csv, \.tsv"):
        online_retail(str(tmp_path / "retail.ods"))


def test_online_retail_with_another_table_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Invoice,StockCode\n1,2\n")
    with pytest.raises(
        DataError, match=r"column 'Customer ID' is not in a\.csv \(it has 'Invoice', 'StockCode'\)"
    ):
        online_retail(str(tmp_path / "a.csv"))


RATINGS = [
    (196, 242, 3, 881250949),
    (186, 302, 5, 891717742),
    (22, 377, 1, 878887116),
    (196, 302, 4, 881250950),
]


def assert_ratings_are_purchases(read: Dataset) -> None:
    assert read.user_ids.tolist() == ["22", "186", "196"]
    assert [read.item_ids[code] for code in read.item] == ["242", "302", "377", "302"]
    assert read.timestamp is not None
    assert read.timestamp.tolist() == [row[3] for row in RATINGS]
    assert read.report.dropped == {}


def test_movielens_reads_the_published_u_data(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    assert_ratings_are_purchases(movielens_100k(str(tmp_path / "u.data")))


def test_movielens_reads_the_repacked_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(RATINGS, columns=["user_id", "item_id", "rating", "timestamp"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s")
    frame.to_parquet(tmp_path / "interactions.parquet")
    assert_ratings_are_purchases(movielens_100k(str(tmp_path / "interactions.parquet")))


def test_movielens_counts_what_is_rated_below_the_threshold(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    read = movielens_100k(str(tmp_path / "u.data"), min_rating=4)
    assert read.report.dropped == {"a rating below 4": 2}
    assert read.user_ids.tolist() == ["186", "196"]


def test_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1::2::3::4\n1::2\t3\n")
    with pytest.raises(
        DataError, match=r"u\.data is not the published u\.data of four tab-separated columns"
    ):
        movielens_100k(str(tmp_path / "u.data"))


def test_data_set_that_is_not_there_says_where_to_get_and_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    with pytest.raises(
        DataError, match=r"archive\.ics\.uci\.edu.*online_retail_II\.xlsx.*RECSYS_DATA"
    ):
        online_retail()
    with pytest.raises(DataError, match=r"grouplens\.org.*u\.data.*RECSYS_DATA"):
        movielens_100k()
    with pytest.raises(DataError, match=r"data\.path: x\.parquet does not exist"):
        online_retail("x.parquet")


def test_data_set_is_found_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    (tmp_path / "movielens_100k").mkdir()
    (tmp_path / "movielens_100k" / "u.data").write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in RATINGS)
    )
    assert_ratings_are_purchases(movielens_100k())


@pytest.mark.parametrize("kind", ["int", "float with a null", "string"])
def test_names_are_found_under_the_ids_whatever_type_those_have(tmp_path: Path, kind: str) -> None:
    ids = {"int": [7, 8, 7], "float with a null": [7.0, 8.0, 7.0, None], "string": ["7", "8", "7"]}[
        kind
    ]
    names = ["tea", "", "black tea", "?"][: len(ids)]
    table = pa.table({"u": ["a", "b", "c", "d"][: len(ids)], "i": ids, "label": names})
    pq.write_table(table, tmp_path / "sales.parquet")
    read = transactions(
        str(tmp_path / "sales.parquet"), {"user_id": "u", "item_id": "i", "name": "label"}
    )
    # the last name given; an empty one says nothing
    assert read.item_names == {"7": "black tea"}
