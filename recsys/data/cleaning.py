"""From a table of events to a `Dataset`: rows are checked, counted and coded.

Axes: N rows of the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.attributes import AttributeTable, join_attributes
from recsys.data.dataset import Dataset
from recsys.data.events import EventTable
from recsys.data.fingerprint import columns_fingerprint, fingerprint
from recsys.data.ids import encode_ids
from recsys.data.impressions import SHOWN, Impressions
from recsys.data.integer_keys import distinct_keys, present_codes
from recsys.data.report import DataReport, OnBadRows, RowFilter, data_row, past_times
from recsys.data.schema import Column
from recsys.data.tables import release_memory
from recsys.data.timestamps import SECONDS_A_DAY, require_timezone, wall_clock
from recsys.errors import ConfigError
from recsys.ranges import require_declared
from recsys.tables.cells import POINT, Numerals, to_numbers
from recsys.tables.times import TimeSettings, TimeUnit

Duplicates = Literal["keep", "drop"]


@dataclass(frozen=True)
class Cleaning:
    """Decisions about rows, as the configuration states them.

    Attributes:
        on_bad_rows: "drop" counts and leaves out rows with a null id, an unparsable or future time,
            a quantity or price that is not a number or not positive; "error" stops at the first
            kind.
        duplicates: "keep" or "drop" rows that repeat an earlier row in every column read.
        timezone: IANA zone of the shop's clock; days are its days.
        naive_timezone: zone that times without an offset were read from; None: `timezone`.
        timestamp_unit: where timestamps are numbers: s, ms, us, ns or D (days).
        min_rating: rows rated below it are left out; None: every row counts as a purchase.
        timestamp_format: of strftime, where timestamps are text in a form that is not known or may
            be two.
        numerals: how numbers are written in text.
    """

    on_bad_rows: OnBadRows = "drop"
    duplicates: Duplicates = "keep"
    timezone: str = "UTC"
    naive_timezone: str | None = None
    timestamp_unit: TimeUnit | None = None
    min_rating: float | None = None
    timestamp_format: str | None = None
    numerals: Numerals = POINT

    def __post_init__(self) -> None:
        require_declared(self, "data")
        require_timezone(self.timezone)


def clean_transactions(
    table: pa.Table,
    report: DataReport,
    cleaning: Cleaning,
    *,
    left_out: dict[str, np.ndarray] | None = None,
    item_names: Mapping[str, str] | None = None,
    events: EventTable | None = None,
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
) -> Dataset:
    """Checks a table of canonical columns and turns it into arrays.

    Args:
        table: user_id, item_id and any of timestamp, quantity, price, rating.
        report: filled in as a side effect.
        cleaning: what to do with which rows.
        left_out: reason to mask (N,) of rows that the source's own rules exclude, applied before
            the general checks; those of `impressions.SHOWN` become the impressions.
        item_names: item id to a name for people, where the items have no names of their own.
        events: where the table was read from: its further columns become the context.
        users, items: tables of attributes.

    Raises:
        DataError: nothing is left, or `cleaning.on_bad_rows` is "error" and a row is bad.
    """
    report.rows_in, report.timezone = table.num_rows, cleaning.timezone
    of_user, of_item = encode_ids(table.column("user_id")), encode_ids(table.column("item_id"))
    _require_effect(table, cleaning)
    place = data_row if events is None else events.source.place
    rows = RowFilter(report, cleaning.on_bad_rows, place)
    for reason, mask in (left_out or {}).items():
        rows.leave_out(mask, reason)
    rows.bad(of_user.codes == -1, "no user_id")
    rows.bad(of_item.codes == -1, "no item_id")
    times = _check_values(table, rows, cleaning)
    repeated = _repeated_rows(table, of_user, of_item, rows.keep)
    report.duplicate_rows = int(repeated.sum())
    if cleaning.duplicates == "drop":
        rows.leave_out(repeated, "a repeated row")
    rows.require_any()

    keep = rows.keep
    user, user_ids = _used(of_user, keep)
    item, item_ids = _used(of_item, keep)
    timestamp = day = found = None
    if (left_out or {}).get(SHOWN, keep[:0]).any():
        codes = (of_user, user_ids), (of_item, item_ids)
        found = _impressions((left_out or {})[SHOWN], keep, codes, times, cleaning.timezone)
    if times is not None:
        timestamp, day = _on_the_clock(times[keep], cleaning.timezone, report)
        del times
        release_memory(len(keep))
    pairs = len(distinct_keys(user.astype(np.int64) * len(item_ids) + item))
    report.rows, report.users, report.items = len(user), len(user_ids), len(item_ids)
    report.density = pairs / (len(user_ids) * len(item_ids))
    report.fingerprint = fingerprint(user, item, timestamp, user_ids, item_ids)
    quantity = None
    if "quantity" in table.column_names:
        units = to_numbers(table.column("quantity"), cleaning.numerals)
        quantity = units[keep].astype(np.float32)
    dataset = Dataset(user, item, timestamp, day, user_ids, item_ids, report, quantity=quantity)
    if events is not None:
        further, impressions = events.further(table), None
        if found is not None:
            impressions = replace(found[0], context=further.take(found[1]))
        ignored = {"events": tuple(events.ignore)}
        dataset = replace(
            dataset,
            context=further.take(keep),
            roles=events.roles,
            ignored=ignored,
            impressions=impressions,
        )
    return with_attributes(dataset, users, items, item_names)


def _impressions(
    shown: np.ndarray,
    keep: np.ndarray,
    codes: tuple[tuple[pd.Categorical, np.ndarray], ...],
    times: pd.Series | None,
    timezone: str,
) -> tuple[Impressions, np.ndarray]:
    """Impressions of users and items that have a purchase, and their rows, ascending. One without
    a time, where events have times, says nothing and is none.

    Args:
        shown, keep: rows that are impressions, and purchases, bool (N,).
        codes: of users and of items: every id of the table, and those of the dataset.
        times, timezone: of the events.
    """
    found = []
    for ids, kept in codes:
        to_dense = pd.Index(kept).get_indexer(pd.Index(ids.categories.to_numpy(dtype=object)))
        found.append(np.append(to_dense, -1)[ids.codes].astype(np.int32))
    user, item = found
    rows = shown & (user >= 0) & (item >= 0)
    if times is not None:
        rows &= times.notna().to_numpy()
    where = np.flatnonzero(rows)
    timestamp = day = None
    if times is not None:
        timestamp = wall_clock(times[rows], "UTC")
        day = (wall_clock(times[rows], timezone) // SECONDS_A_DAY).astype(np.int32)
    events_before = np.cumsum(keep)[where]
    return Impressions(user[rows], item[rows], timestamp, day, events_before), where


def with_attributes(
    dataset: Dataset,
    users: AttributeTable | None,
    items: AttributeTable | None,
    item_names: Mapping[str, str] | None = None,
) -> Dataset:
    """The dataset with attributes of its users and items, which its report then lists."""
    of_users, user_counts = join_attributes(users, "user_id", dataset.user_ids, "data.users")
    of_items, item_counts = join_attributes(items, "item_id", dataset.item_ids, "data.items")
    if item_names and of_items.with_role("name") is None:
        names = np.empty(len(dataset.item_ids), dtype=object)
        names[:] = [item_names.get(item) for item in dataset.item_ids]
        of_items = of_items.with_column(Column("name", "text", names, role="name"))
    ignored = dict(dataset.ignored)
    ignored["users"] = tuple(users.ignore) if users is not None else ()
    ignored["items"] = tuple(items.ignore) if items is not None else ()
    dataset = replace(dataset, users=of_users, items=of_items, ignored=ignored)
    counts = {"users": user_counts, "items": item_counts}
    dataset.report.attributes = {table: found for table, found in counts.items() if found}
    dataset.report.column_fingerprints = {
        "events": fingerprint(dataset.quantity, *_arrays(dataset.impressions)),
        "users": columns_fingerprint(of_users.values()),
        "items": columns_fingerprint(of_items.values()),
    }
    dataset.report.schema = dataset.schema
    return dataset


def _arrays(impressions: Impressions | None) -> tuple[np.ndarray | None, ...]:
    if impressions is None:
        return ()
    return impressions.user, impressions.item, impressions.timestamp


def _on_the_clock(
    times: pd.Series, timezone: str, report: DataReport
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 UTC, int64 (N,), and days on the shop's clock, int32 (N,); the report
    learns the first and the last.
    """
    edges = (edge.tz_convert(timezone).isoformat() for edge in (times.min(), times.max()))
    report.first, report.last = edges
    day = wall_clock(times, timezone) // SECONDS_A_DAY
    return wall_clock(times, "UTC"), day.astype(np.int32)


def _check_values(table: pa.Table, rows: RowFilter, cleaning: Cleaning) -> pd.Series | None:
    """Checks the optional columns; timestamps, or None where there are none."""
    if "quantity" in table.column_names:
        cells = table.column("quantity")
        quantity = to_numbers(cells, cleaning.numerals)
        rows.bad(np.isnan(quantity), "a quantity that is not a number", cells)
        rows.bad(quantity <= 0, "a quantity of 0 or less", cells)
    if "price" in table.column_names:
        cells = table.column("price")
        price = to_numbers(cells, cleaning.numerals)
        rows.bad(np.isnan(price), "a price that is not a number", cells)
        rows.bad(price < 0, "a price below 0", cells)  # 0 is a gift
    if "rating" in table.column_names and cleaning.min_rating is not None:
        cells = table.column("rating")
        rating = to_numbers(cells, cleaning.numerals)
        rows.bad(np.isnan(rating), "a rating that is not a number", cells)
        rows.leave_out(rating < cleaning.min_rating, f"a rating below {cleaning.min_rating:g}")
    if "timestamp" not in table.column_names:
        return None
    naive = cleaning.naive_timezone or cleaning.timezone
    times = TimeSettings(cleaning.timestamp_unit, cleaning.timestamp_format)
    return past_times(table, rows, naive, times).instant


def _require_effect(table: pa.Table, cleaning: Cleaning) -> None:
    """Raises ConfigError where a setting is about a column that is not read."""
    about = {
        "min_rating": "rating",
        "timestamp_unit": "timestamp",
        "timestamp_format": "timestamp",
        "timezone": "timestamp",
    }
    for setting, column in about.items():
        value, usual = getattr(cleaning, setting), getattr(Cleaning, setting)
        if value != usual and column not in table.column_names:
            raise ConfigError(
                f"data.{setting}={value} has no effect without a column of {column}s: set"
                f" data.columns.{column} to its name, or leave data.{setting} out"
            )


def _repeated_rows(
    table: pa.Table, users: pd.Categorical, items: pd.Categorical, keep: np.ndarray
) -> np.ndarray:
    """True for rows to keep that repeat an earlier one of them in every column, bool (N,)."""
    others = [name for name in table.column_names if name not in ("user_id", "item_id")]
    mixed = users.codes.astype(np.int64)
    mixed *= len(items.categories)
    mixed += items.codes
    for name in others:
        mixed *= 0x1E3779B97F4A7C15  # odd, so that no bit is lost
        mixed += _bits(table.column(name))
    # most rows are told from all others by this number; the few that are not are compared
    ascending = mixed[keep]
    ascending.sort()
    shared = distinct_keys(ascending[1:][ascending[1:] == ascending[:-1]])
    suspects = np.zeros(len(mixed), dtype=bool)
    if len(shared):
        nearest = np.searchsorted(shared, mixed).clip(max=len(shared) - 1)
        suspects = keep & (shared[nearest] == mixed)
    rows = np.flatnonzero(suspects)
    frame = pd.DataFrame({"user": users.codes[rows], "item": items.codes[rows]})
    for name in others:
        frame[name] = table.column(name).take(rows).to_pandas()
    suspects[rows] = frame.duplicated().to_numpy()
    return suspects


def _bits(column: pa.ChunkedArray) -> np.ndarray:
    """A number for every value, the same for equal ones: int64 (N,)."""
    if pa.types.is_floating(column.type):
        values = column.to_numpy().astype(np.float64) + 0.0  # -0.0 equals 0.0
        return np.where(np.isnan(values), np.nan, values).view(np.int64)
    if pa.types.is_signed_integer(column.type) or pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).fill_null(-1).to_numpy()
    codes = column.combine_chunks().dictionary_encode().indices
    return codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _used(ids: pd.Categorical, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (kept rows,) and ids of those that still occur; the order of the ids stays."""
    codes = ids.codes[keep]
    used = present_codes(codes, len(ids.categories))
    dense = np.empty(len(ids.categories), dtype=np.int32)
    dense[used] = np.arange(len(used), dtype=np.int32)
    return dense[codes], ids.categories.to_numpy(dtype=object)[used]
