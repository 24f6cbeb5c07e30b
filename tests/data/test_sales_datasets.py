"""Known data sets as series, in tiny files of their layouts, and tables of one's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.sources.complete_journey import complete_journey_sales
from recsys.data.sources.m4_hourly import m4_hourly
from recsys.data.sources.online_retail import online_retail_sales
from recsys.data.sources.sales import sales
from recsys.data.sources.transactions import transactions_sales
from recsys.errors import ConfigError, DataError


def series(panel: SalesPanel) -> dict[str, list[float]]:
    edges = zip(panel.series_ids, panel.indptr[:-1], panel.indptr[1:], strict=True)
    return {name: panel.y[a:b].tolist() for name, a, b in edges}


# household, store, product, quantity, value, UTC; the first and the last are at the table's ends
LINES = [
    (1, 7, 11, 1, 1.0, "2017-01-01 12:00:00"),
    (1, 7, 11, 2, 2.0, "2017-01-03 04:59:59"),  # 2 January in New York
    (1, 7, 11, 0, 0.5, "2017-01-02 15:00:00"),
    (2, 8, 12, 1, 4.0, "2017-01-04 15:00:00"),
    (2, 8, 13, 9, 9.0, "2017-01-04 15:00:00"),  # no category
    (1, 8, 14, 3, 5.0, "2017-01-03 15:00:00"),
    (1, 7, 11, 1, 1.0, "2017-01-05 15:00:00"),
]


@pytest.fixture
def grocer(package_groceries: Callable[[Mapping[str, pd.DataFrame]], None]) -> None:
    names = ["household_id", "store_id", "product_id", "quantity", "sales_value"]
    lines = pd.DataFrame(LINES, columns=[*names, "transaction_timestamp"])
    lines["transaction_timestamp"] = pd.to_datetime(lines["transaction_timestamp"])
    lines["week"] = [1, 2, 2, 2, 2, 2, 2]
    products = pd.DataFrame(
        {
            "product_id": [14, 11, 12, 13],
            "product_category": ["JAM", "TEA", "TEA", None],
            "product_type": ["PLUM", "BLACK TEA", None, None],
            "department": ["DRY", "DRY", "DRY", "MISC"],
            "package_size": ["1 LB", "40 CT", None, None],
        }
    )
    people = pd.DataFrame({"household_id": [1], "income": ["high"]})
    data = {
        "transactions": lines,
        "products": products,
        "demographics": people,
        "campaign_descriptions": pd.DataFrame(
            {
                "campaign_id": [1],
                "campaign_type": ["Type B"],
                "start_date": pd.to_datetime(["2017-01-02"]),
                "end_date": pd.to_datetime(["2017-01-02"]),
            }
        ),
        "coupons": pd.DataFrame({"product_id": [14], "campaign_id": [1], "coupon_upc": [1]}),
    }
    data["promotions"] = pd.DataFrame(
        {
            "product_id": [11],
            "store_id": [7],
            "display_location": ["0"],
            "mailer_location": ["D"],
            "week": [2],
        }
    )
    package_groceries(data)


@pytest.mark.usefixtures("grocer")
def test_grocery_sales_are_lines_a_day_by_category() -> None:
    panel = complete_journey_sales()
    assert series(panel) == {"JAM": [1, 0], "TEA": [2, 0, 1]}
    assert panel.report.first == "2017-01-02T00:00:00"
    assert panel.report.last == "2017-01-04T00:00:00"
    assert panel.report.dropped == {
        "no product_category": 1,
        "a time in the partial first or last day": 2,
    }
    assert panel.timezone == "America/New_York"
    assert panel.covariate_names == ("mailer_cover", "mailer_inside", "display", "coupon")
    # of tea 3/4 is product 11; store 7 is the only one that the promotions tell of
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], *[[0.8, 0, 0, 0]] * 3]
    np.testing.assert_allclose(panel.covariates, expected, rtol=1e-6)


@pytest.mark.usefixtures("grocer")
def test_grocery_series_are_made_of_the_columns_asked_for() -> None:
    panel = complete_journey_sales(["product_category", "store_id"], covariates=[])
    assert series(panel) == {"JAM / 8": [1, 0], "TEA / 7": [2, 0, 0], "TEA / 8": [1]}
    assert panel.covariates.shape == (6, 0)
    segment = complete_journey_sales(["income"], measure="value", covariates=[])
    assert series(segment) == {"high": [2.5, 5, 0]}
    assert segment.report.dropped["no income"] == 2
    items = complete_journey_sales(["item_id"], measure="quantity", covariates=[])
    assert series(items) == {"11": [2, 0, 0], "12": [1], "13": [9], "14": [3, 0]}
    assert items.report.dropped["a quantity of 0"] == 1
    assert items.series_names["11"] == "Black Tea 40 CT"
    with pytest.raises(ConfigError, match="data.series: 'colour' is not one of item_id, "):
        complete_journey_sales(["colour"])


# invoice, code, quantity, date, price, customer; from Wednesday to the Wednesday five weeks later
RETAIL = [
    ("536365", "85123A", 6, "2010-12-01 08:26:00", 2.55, 17850),
    ("536366", "85123A", 2, "2010-12-06 10:00:00", 2.55, None),
    ("536367", "85123A", 5, "2010-12-07 10:00:00", 2.55, 17850),
    ("C53638", "85123A", -1, "2010-12-14 10:00:00", 2.55, 17850),
    ("536368", "85123A", 900, "2010-12-08 10:01:00", 1.0, 12346),
    ("C53639", "85123A", -900, "2010-12-08 10:17:00", 1.0, 12346),
    ("536369", "85123A", 30, "2010-12-15 10:01:00", 1.0, 12346),
    ("C53640", "85123A", -30, "2010-12-16 10:02:00", 1.0, 12346),
    ("536370", "22423", 56, "2010-12-08 11:52:00", 0.0, None),
    ("536371", "22423", -7, "2010-12-08 11:52:00", 0.0, None),
    ("536372", "22423", 3, "2010-12-09 11:52:00", 0.0, 13047),
    ("536373", "POST", 1, "2010-12-09 11:52:00", 18.0, 13047),
    ("536374", "22423", 4, "2011-01-05 11:52:00", 1.0, 13047),
]


RETAIL_COLUMNS = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]


@pytest.fixture
def retailer(tmp_path: Path) -> str:
    frame = pd.DataFrame(RETAIL, columns=RETAIL_COLUMNS).assign(Description="WHITE HEART")
    frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"])
    frame["CustomerID"] = frame["CustomerID"].astype("Int32")
    frame.to_parquet(tmp_path / "online_retail_ii.parquet")
    return str(tmp_path / "online_retail_ii.parquet")


def test_online_retail_is_summed_to_weeks_with_the_sales_of_unknown_customers(
    retailer: str,
) -> None:
    panel = online_retail_sales(retailer)
    assert panel.report.first == "2010-12-06T00:00:00"
    # one order was cancelled within the hour, the other a minute later than a day
    assert series(panel) == {"22423": [3, 0, 0, 0], "85123A": [7, 30, 0, 0]}
    assert panel.report.dropped == {
        "a stock code that is no product": 1,
        "a correction of the stock (no customer and no price)": 2,
        "an order that was cancelled within 24 hours": 2,
        "a cancelled invoice": 2,
        "a time in the partial first or last week": 2,
    }
    assert panel.series_names["22423"] == "White heart"
    assert panel.timezone == "Europe/London"


def test_online_retail_subtracts_returns_where_asked(retailer: str) -> None:
    panel = online_retail_sales(retailer, returns="net")
    assert series(panel)["85123A"] == [7, -1, 0, 0]
    assert panel.report.decisions["returns subtracted"] == 2


def test_every_order_counts_where_cancelling_is_not_looked_at(retailer: str) -> None:
    panel = online_retail_sales(retailer, cancelled_within=0)
    assert series(panel)["85123A"] == [907, 30, 0, 0]
    assert panel.report.dropped["a cancelled invoice"] == 3
    longer = online_retail_sales(retailer, cancelled_within=25)
    assert series(longer)["85123A"] == [7, 0, 0, 0]


def test_cancellation_of_another_customer_item_or_quantity_undoes_no_order(tmp_path: Path) -> None:
    order = ("1", "85123A", 9, "2010-12-08 10:00:00", 1.0, 1)
    others = [
        ("C2", "85123A", -9, "2010-12-08 10:05:00", 1.0, 2),
        ("C3", "22423", -9, "2010-12-08 10:05:00", 1.0, 1),
        ("C4", "85123A", -8, "2010-12-08 10:05:00", 1.0, 1),
        ("C5", "85123A", -9, "2010-12-08 09:55:00", 1.0, 1),
        ("C6", "85123A", -9, "2010-12-08 10:05:00", 1.0, None),
        ("7", "85123A", 9, "2010-12-08 10:05:00", 1.0, None),
    ]
    frame = pd.DataFrame([order, *others], columns=RETAIL_COLUMNS).assign(Description="HEART")
    frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"])
    frame["CustomerID"] = frame["CustomerID"].astype("Int32")
    frame.to_parquet(tmp_path / "r.parquet")
    panel = online_retail_sales(str(tmp_path / "r.parquet"), keep_partial=True)
    assert series(panel) == {"85123A": [18]}
    assert "an order that was cancelled within 24 hours" not in panel.report.dropped


def test_cancellations_that_follow_each_other_undo_no_order(tmp_path: Path) -> None:
    rows = [("1", "85123A", 50, "2010-12-08 10:00:00", 1.0, 1)]
    rows += [(f"C{n}", "85123A", -9, f"2010-12-08 1{n}:00:00", 1.0, 1) for n in (1, 2)]
    frame = pd.DataFrame(rows, columns=RETAIL_COLUMNS).assign(Description="HEART")
    frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"])
    frame.to_parquet(tmp_path / "r.parquet")
    panel = online_retail_sales(str(tmp_path / "r.parquet"), keep_partial=True, returns="net")
    assert series(panel) == {"85123A": [32]}


def test_m4_joins_train_and_test_of_every_series(tmp_path: Path) -> None:
    hours = pd.date_range("2015-07-01", periods=4, freq="h")
    for part, at in (("train", slice(0, 3)), ("test", slice(3, 4))):
        frames = [
            pd.DataFrame({"series_id": name, "timestamp": hours[at], "y": np.arange(4.0)[at] + add})
            for name, add in (("H2", 10), ("H1", 1))
        ]
        pd.concat(frames).to_parquet(tmp_path / f"{part}.parquet")
    panel = m4_hourly(str(tmp_path))
    assert series(panel) == {"H1": [1, 2, 3, 4], "H2": [10, 11, 12, 13]}
    assert panel.step == "hour"


def test_m4_is_read_as_published_too(tmp_path: Path) -> None:
    (tmp_path / "Hourly-train.csv").write_text('"V1","V2","V3","V4"\nH1,1,2,3\nH2,10,11,\n')
    (tmp_path / "Hourly-test.csv").write_text('"V1","V2","V3"\nH1,4,5\nH2,12,13\n')
    panel = m4_hourly(str(tmp_path))
    assert series(panel) == {"H1": [1, 2, 3, 4, 5], "H2": [10, 11, 12, 13]}


def test_m4_that_is_not_there_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"m4_hourly.*train\.parquet does not exist.*Mcompetitions"):
        m4_hourly()
    with pytest.raises(DataError, match=r"data\.path"):
        m4_hourly(str(tmp_path))


def test_sales_table_is_read_under_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "sku;day;units;promo\n007;2024-01-01;2;0\n007;2024-01-02;3;1\n007;2024-01-03;;1\n"
    )
    columns = {"series_id": "sku", "timestamp": "day", "y": "units", "promotion": "promo"}
    panel = sales(str(tmp_path / "s.csv"), "day", columns, covariates=["promotion"], separator=";")
    assert panel.series_ids.tolist() == ["007"]
    np.testing.assert_array_equal(panel.y, [2, 3, np.nan])
    assert panel.covariates[:, 0].tolist() == [0, 1, 1]
    assert panel.report.source == "s.csv"
    with pytest.raises(DataError, match=r"column 'y' is not in s\.csv.*set data\.columns\.y$"):
        sales(str(tmp_path / "s.csv"), "day", columns | {"y": "y"}, separator=";")
    with pytest.raises(ConfigError, match=r"data\.columns\.y is null"):
        sales(str(tmp_path / "s.csv"), "day", columns | {"y": None}, separator=";")


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., SalesPanel]:
    (tmp_path / "shop.csv").write_text(
        "sku,store,when,qty,each,label\n"
        "007,north,2024-01-01,2,1.5,tea\n"
        "007,south,2024-01-02,1,1.5,green tea\n"
        "8,north,2024-01-03,-1,9,jam\n"
        "8,north,2024-01-02,4,9,jam\n"
    )

    def read(series: list[str], **settings: Any) -> SalesPanel:
        columns = {"item_id": "sku", "timestamp": "when", "quantity": "qty", "price": "each"}
        columns |= settings.pop("columns", {})
        return transactions_sales(str(tmp_path / "shop.csv"), columns, series, **settings)

    return read


def test_transactions_of_your_own_become_series(shop: Callable[..., SalesPanel]) -> None:
    panel = shop(["item_id"], columns={"name": "label"})
    assert series(panel) == {"8": [4, 0], "007": [2, 1, 0]}
    assert panel.series_names == {"8": "jam", "007": "green tea"}
    assert panel.report.dropped == {"a return (a quantity below 0)": 1}


def test_series_may_be_any_columns_of_the_table(shop: Callable[..., SalesPanel]) -> None:
    panel = shop(["store", "item_id"], measure="value", returns="net")
    assert series(panel) == {
        "north / 007": [3, 0, 0],
        "north / 8": [36, -9],
        "south / 007": [1.5, 0],
    }
    with pytest.raises(DataError, match=r"column 'town' is not in shop\.csv"):
        shop(["town"])


def test_rows_can_be_counted_without_quantities(shop: Callable[..., SalesPanel]) -> None:
    panel = shop(["store"], columns={"quantity": None, "price": None}, measure="lines")
    assert series(panel) == {"north": [1, 1, 1], "south": [1, 0]}
    with pytest.raises(ConfigError, match=r"set data\.columns\.quantity, or data\.measure=lines"):
        shop(["store"], columns={"quantity": None})


def test_source_of_a_url_tells_no_password(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    frame = pd.DataFrame({"s": ["a"], "timestamp": ["2024-01-01"], "y": [1.0]})
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        frame.to_sql("sold", connection, index=False)
    engine.dispose()
    panel = sales(url + "?timeout=5", "day", {"series_id": "s"}, table="sold")
    assert "timeout" not in panel.report.source
    assert series(panel) == {"a": [1]}
