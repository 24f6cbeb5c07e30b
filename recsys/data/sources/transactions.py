"""A table of transactions of your own: as a dataset, or summed to series of sales."""

from collections.abc import Mapping, Sequence

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, Duplicates, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.events import EventTable
from recsys.data.ids import names_of_items
from recsys.data.impressions import impression_masks
from recsys.data.panel import SalesPanel
from recsys.data.report import DataReport, OnBadRows, PanelReport
from recsys.data.resampling import Measure, Resampling, Returns, panel_from_events
from recsys.data.schema import Kind, names_of
from recsys.data.tables import ID_COLUMNS, Location, TableSource, release_memory
from recsys.ranges import Count, Season
from recsys.steps import Step
from recsys.tables.cells import Numerals
from recsys.tables.written_times import TimeUnit

# roles that are read and checked at once
READ = ("user_id", "item_id", "timestamp", "quantity", "price", "rating", "name")


def transactions(
    path: Location,
    columns: Mapping[str, str | None],
    separator: str | None = None,
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    min_rating: float | None = None,
    on_bad_rows: OnBadRows = "drop",
    duplicates: Duplicates = "keep",
    kinds: Mapping[str, Kind] | None = None,
    ignore: Sequence[str] = (),
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
    timestamp_format: str | None = None,
    encoding: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    multiline: bool = False,
    bought: Sequence[str] = (),
    shown: Sequence[str] = (),
) -> Dataset:
    """A user's own table: CSV, Parquet, any SQLAlchemy URL, or a table in memory.

    Args:
        path: file, URL, DataFrame or Arrow table.
        columns: canonical name (user_id, item_id, timestamp, quantity, price, rating, basket_id,
            event_type, name) to the table's name, for user_id and item_id their own where none is
            given; None: no such column. Any other name renames a column of the context.
        separator, table, encoding, multiline: as in `recsys.data.tables.TableSource`.
        decimal, thousands: as in `recsys.tables.cells.Numerals`.
        timezone, timestamp_unit, timestamp_format, min_rating, on_bad_rows, duplicates: as in
            `recsys.data.cleaning.Cleaning`.
        kinds, ignore: as in `recsys.data.events.EventTable`.
        users, items: tables of attributes.
        bought: event types that are purchases; empty: all that are not shown.
        shown: event types that are impressions: they are no purchases, and a model that ranks by
            what was chosen from what was shown learns from them. Empty: there are none.
    """
    columns = {name: name for name in ID_COLUMNS} | dict(columns)
    source = TableSource(path, separator, table, encoding=encoding, multiline=multiline)
    numerals = Numerals(decimal, thousands)
    events = EventTable(source, columns, kinds or {}, names_of(ignore, "ignore"), numerals)
    events.require_numerals()
    bought, shown = names_of(bought, "data.bought"), names_of(shown, "data.shown")
    wanted = (*READ, "event_type") if bought or shown else READ
    read = events.read(wanted, encode_ids=True)
    left_out = impression_masks(
        read.column("event_type") if "event_type" in read.column_names else None, bought, shown
    )
    if left_out:
        read = read.drop_columns(["event_type"])
    names: dict[str, str] = {}
    if "name" in read.column_names:
        names = names_of_items(read)
        read = read.drop_columns(["name"])
    cleaning = Cleaning(
        on_bad_rows,
        duplicates,
        timezone,
        None,
        timestamp_unit,
        min_rating,
        timestamp_format,
        numerals,
    )
    cleaned = clean_transactions(
        read,
        DataReport(events.source.label),
        cleaning,
        left_out=left_out,
        item_names=names,
        events=events,
        users=users,
        items=items,
    )
    del read
    release_memory(cleaned.report.rows)
    return cleaned


def transactions_sales(
    path: Location,
    columns: Mapping[str, str | None],
    series: Sequence[str],
    measure: Measure = "quantity",
    step: Step = "day",
    separator: str | None = None,
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    retire_after: Count | None = None,
    keep_partial: bool = False,
    returns: Returns = "drop",
    on_bad_rows: OnBadRows = "drop",
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
    timestamp_format: str | None = None,
    encoding: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    multiline: bool = False,
    seasonality: Season | None = None,
) -> SalesPanel:
    """A table of transactions of your own, summed to series: CSV, Parquet or any SQLAlchemy URL.

    Args:
        path: file, URL, DataFrame or Arrow table.
        columns: canonical name (timestamp, quantity, price, name and whatever `series` lists) to
            the table's name; None: no such column.
        series: columns of the events, users or items whose values together name a series.
        measure, step, timezone, timestamp_unit, timestamp_format, retire_after, keep_partial,
            returns, on_bad_rows, seasonality: as in `recsys.data.resampling.Resampling`.
        separator, table, encoding, multiline: as in `recsys.data.tables.TableSource`.
        decimal, thousands: as in `recsys.tables.cells.Numerals`.
        users, items: tables of attributes; `columns` has to map their id.
    """
    settings = Resampling(
        names_of(series, "series"),
        measure,
        step,
        timezone,
        None,
        timestamp_unit,
        retire_after,
        keep_partial,
        returns,
        on_bad_rows,
        timestamp_format,
        Numerals(decimal, thousands),
        seasonality,
    )
    source = TableSource(path, separator, table, encoding=encoding, multiline=multiline)
    events = EventTable(source, columns, numerals=settings.numerals)
    events.require_numerals(("quantity", "price"))
    return panel_from_events(
        events, PanelReport(events.source.label), settings, users=users, items=items
    )
