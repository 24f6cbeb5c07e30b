"""UCI Online Retail II: two years of a UK gift retailer (CC BY 4.0)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from recsys.data.cleaning import Cleaning, Duplicates, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.events import EventTable
from recsys.data.ids import encode_ids, names_of_items
from recsys.data.panel import SalesPanel
from recsys.data.report import DataReport, OnBadRows, PanelReport
from recsys.data.resampling import Measure, Resampling, Returns, panel_from_transactions
from recsys.data.schema import Columns, Field, names_of
from recsys.data.sources.files import find_file
from recsys.data.tables import TableSource
from recsys.data.timestamps import parse_timestamps
from recsys.errors import DataError
from recsys.ranges import Count, NonNegative, Season
from recsys.steps import Step


def online_retail(
    path: str | None = None, on_bad_rows: OnBadRows = "drop", duplicates: Duplicates = "keep"
) -> Dataset:
    """Two years of a UK gift retailer (UCI Online Retail II, CC BY 4.0): cancellations, anonymous
    sales and lines that are no product (postage, fees, samples) are left out and counted.

    Args:
        path: .parquet, .csv or the published .xlsx; None: online_retail_ii.* in the folder
            RECSYS_DATA.
    """
    events, table, left_out, names = _read(path)
    cleaning = Cleaning(on_bad_rows, duplicates, timezone="Europe/London")
    dataset = clean_transactions(
        table,
        DataReport(events.source.label),
        cleaning,
        left_out=left_out,
        item_names=names,
        events=events,
    )
    if "country" not in dataset.context:
        return dataset
    country = Field("country", "category", source="Country")
    users = Columns({"country": country}, lambda _: _country_of_users(dataset))
    dataset = replace(dataset, users=users)
    dataset.report.schema = dataset.schema
    return dataset


def _country_of_users(dataset: Dataset) -> pa.Array:
    """Country of the last line of every user, (U,)."""
    country = dataset.context["country"]
    code = np.full(len(dataset.user_ids), -1)
    code[dataset.user] = country.values  # of several lines, the last one stays
    return pa.array(country.categories).take(pa.array(code, mask=code < 0))


def online_retail_sales(
    path: str | None = None,
    series: Sequence[str] = ("item_id",),
    measure: Measure = "quantity",
    step: Step = "week",
    returns: Returns = "drop",
    cancelled_within: NonNegative = 24,
    retire_after: Count | None = None,
    keep_partial: bool = False,
    on_bad_rows: OnBadRows = "drop",
    seasonality: Season | None = None,
) -> SalesPanel:
    """Sales of a UK gift retailer (UCI Online Retail II, CC BY 4.0), those without a customer too.

    Lines that are no product and corrections of the stock (no customer, no price) are left out and
    counted.

    Args:
        path: as for `online_retail`.
        series: columns that make a series: item_id, user_id, country.
        measure: quantity, value (pounds) or lines.
        step: hour, day, week or month.
        returns: cancelled invoices: "drop" leaves them out, "net" subtracts them where they were
            booked.
        cancelled_within: hours; an order line that its customer cancels as a whole so soon is no
            sale, and neither is its cancellation a return. 0: all orders count.
        retire_after, keep_partial, on_bad_rows, seasonality: as in
            `recsys.data.resampling.Resampling`.
    """
    settings = Resampling(
        names_of(series, "series"),
        measure,
        step,
        timezone="Europe/London",
        retire_after=retire_after,
        keep_partial=keep_partial,
        returns=returns,
        on_bad_rows=on_bad_rows,
        seasonality=seasonality,
    )
    events, table, masks, names = _read(path)
    price = table.column("price").to_pandas().astype("float64").to_numpy()
    left_out = {
        "a stock code that is no product": masks["a stock code that is no product"],
        "a correction of the stock (no customer and no price)": masks["no customer"] & (price == 0),
    }
    if cancelled_within:
        undone = _undone(table, masks["a cancelled invoice"], cancelled_within * 3_600)
        left_out[f"an order that was cancelled within {cancelled_within:g} hours"] = undone
    if returns == "drop":
        left_out["a cancelled invoice"] = masks["a cancelled invoice"]
    for name in series:
        if name not in table.column_names:
            table = table.append_column(name, events.further(table).raw(name))
    return panel_from_transactions(
        table,
        PanelReport(events.source.label),
        settings,
        left_out=left_out,
        series_names=names if list(series) == ["item_id"] else None,
    )


def _read(path: str | None) -> tuple[EventTable, pa.Table, dict[str, np.ndarray], dict[str, str]]:
    """Reads Online Retail II, repacked or as published.

    Returns:
        The events; user_id, item_id, timestamp, quantity, price and basket_id; reason to mask of
        the rows that are no purchase of a known customer; item id to name.
    """
    file = find_file(
        path,
        ["online_retail_ii.parquet", "online_retail_ii.csv", "online_retail_II.xlsx"],
        "the xlsx from archive.ics.uci.edu/dataset/502/online+retail+ii",
    )
    source = TableSource(_read_workbook(file) if file.suffix == ".xlsx" else file, name=file.name)
    published = "Invoice" in source.names
    columns: dict[str, str | None] = {
        "user_id": "Customer ID" if published else "CustomerID",
        "item_id": "StockCode",
        "timestamp": "InvoiceDate",
        "quantity": "Quantity",
        "price": "Price" if published else "UnitPrice",
        "basket_id": "Invoice" if published else "InvoiceNo",
        "name": "Description",
    }
    roles = tuple(columns)
    if "Country" in source.names:
        columns["country"] = "Country"
    events = EventTable(source, columns)
    table = events.read(roles)
    if pa.types.is_string(table.column("user_id").type):
        # a CSV that pandas wrote says 13085.0, because some customers are missing
        customer = pc.replace_substring_regex(
            table.column("user_id"), pattern=r"\.0$", replacement=""
        )
        table = table.set_column(table.column_names.index("user_id"), "user_id", customer)
    code = table.column("item_id").cast(pa.string())
    invoice = table.column("basket_id").cast(pa.string())
    left_out = {
        "a cancelled invoice": _mask(pc.starts_with(invoice, pattern="C")),
        "no customer": encode_ids(table.column("user_id")).codes == -1,
        "a stock code that is no product": ~_mask(
            pc.match_substring_regex(code, r"^[0-9]{5}[A-Za-z]{0,2}$")
        ),
    }
    names = {item: name.capitalize() for item, name in names_of_items(table).items()}
    return events, table.drop_columns(["name"]), left_out, names


def _undone(table: pa.Table, cancelled: np.ndarray, within: float) -> np.ndarray:
    """Order lines that the same customer cancelled as a whole within so many seconds, and the lines
    that cancel them, bool (N,).
    """
    rows = pd.DataFrame(
        {
            "customer": encode_ids(table.column("user_id")).codes,
            "item": encode_ids(table.column("item_id")).codes,
            "quantity": pd.to_numeric(table.column("quantity").to_pandas()).abs(),
            "time": parse_timestamps(table.column("timestamp"), "UTC"),
            "cancelled": cancelled,
        }
    )
    same = ["customer", "item", "quantity"]
    rows = rows[rows["customer"] >= 0].sort_values([*same, "time", "cancelled"], kind="stable")
    after = rows.shift(-1)
    ordered = (
        (rows[same] == after[same]).all(axis=1)
        & ~rows["cancelled"]
        & after["cancelled"].eq(True)
        & ((after["time"] - rows["time"]).dt.total_seconds() <= within)
    )
    undone = np.zeros(table.num_rows, dtype=bool)
    place = np.flatnonzero(ordered.to_numpy())
    undone[rows.index[place]] = True
    undone[rows.index[place + 1]] = True
    return undone


def _read_workbook(file: Path) -> pa.Table:
    """Reads the published workbook: its two sheets share some days, whose rows are kept once."""
    try:
        sheets = pd.read_excel(
            file, sheet_name=None, dtype={"Invoice": str, "StockCode": str, "Customer ID": "Int64"}
        )
    except ImportError as error:
        raise DataError(
            f"{file.name} needs a reader of workbooks: pip install openpyxl, or save both sheets as"
            " one CSV"
        ) from error
    # number the repeats inside a sheet, so that only repeats across sheets are dropped
    numbered = [
        sheet.assign(repeat=sheet.groupby(list(sheet), dropna=False).cumcount())
        for sheet in sheets.values()
    ]
    rows = pd.concat(numbered, ignore_index=True).drop_duplicates().drop(columns="repeat")
    return pa.Table.from_pandas(rows, preserve_index=False)


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    return column.fill_null(False).to_numpy().astype(bool)
