"""From transactions to series of sales: rows are grouped, then summed step by step.

Axes: N rows of the table; S series and M steps of all series together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.attributes import AttributeTable, attribute_names, join_attributes
from recsys.data.events import EventTable
from recsys.data.ids import encode_ids, names_of_items
from recsys.data.panel import SalesPanel, complete_panel
from recsys.data.report import OnBadRows, PanelReport, RowFilter, data_row, past_times, tomorrow
from recsys.data.timestamps import SECONDS_A_DAY, require_timezone, wall_clock
from recsys.errors import ConfigError, DataError
from recsys.ranges import Count, Season, require_declared
from recsys.steps import STEP_SECONDS, Step, month_number, month_start
from recsys.tables.cells import POINT, Numerals, to_numbers
from recsys.tables.times import TimeSettings, TimeUnit

Measure = Literal["quantity", "value", "lines"]
Returns = Literal["drop", "net"]
# zero steps after which a series has left the shop, unless `data.retire_after` says otherwise
RETIRE_AFTER = {"hour": 672, "day": 84, "week": 26, "month": 12}
# 1970-01-01 was a Thursday: weeks begin three days before it
MONDAY = -3 * SECONDS_A_DAY


@dataclass(frozen=True)
class Resampling:
    """What a series, a step and a sale are, as the configuration states them.

    Attributes:
        series: columns whose values together name a series.
        measure: what is summed: quantity, value (quantity x price, or price alone where there is no
            quantity) or lines.
        step: hour, day, week (from Monday) or month, on the shop's clock.
        timezone: IANA zone of the shop's clock.
        naive_timezone: zone that times without an offset were read from; None: `timezone`.
        timestamp_unit, timestamp_format, numerals: as in `recsys.data.cleaning.Cleaning`.
        retire_after: zero steps kept after a last sale; None: 672 hours, 84 days, 26 weeks, 12
            months.
        keep_partial: keep the first and the last step of the table though the table may begin or
            end inside them.
        returns: "drop" leaves out rows of a negative quantity, "net" subtracts them where they were
            booked; both count them.
        on_bad_rows: "drop" counts and leaves out, "error" stops.
        seasonality: steps after which sales repeat; None: 24 hours, 7 days, 52 weeks, 12 months.
    """

    series: tuple[str, ...]
    measure: Measure = "quantity"
    step: Step = "day"
    timezone: str = "UTC"
    naive_timezone: str | None = None
    timestamp_unit: TimeUnit | None = None
    retire_after: Count | None = None
    keep_partial: bool = False
    returns: Returns = "drop"
    on_bad_rows: OnBadRows = "drop"
    timestamp_format: str | None = None
    numerals: Numerals = POINT
    seasonality: Season | None = None

    def __post_init__(self) -> None:
        require_declared(self, "data")
        require_timezone(self.timezone)
        if not self.series:
            raise ConfigError("data.series is empty: name the columns whose values make a series")

    @property
    def life(self) -> int:
        """Zero steps after a last sale."""
        return RETIRE_AFTER[self.step] if self.retire_after is None else self.retire_after


def panel_from_events(
    events: EventTable,
    report: PanelReport,
    settings: Resampling,
    *,
    users: AttributeTable | None = None,
    items: AttributeTable | None = None,
    left_out: Mapping[str, np.ndarray] | None = None,
    series_names: Mapping[str, str] | None = None,
) -> SalesPanel:
    """Sums events into series, which columns of the events, users or items name; events of users or
    items without such an attribute are left out and counted.

    Args:
        events: everything that happened; quantity and price are read where they are mapped.
        report, settings, left_out, series_names: as in `panel_from_transactions`; names of items
            are those of the source unless they are given.
        users, items: tables of attributes.
    """
    columns = dict(events.columns)
    attributes = [
        (key, table, section, set(attribute_names(table, key, section)))
        for key, table, section in (
            ("user_id", users, "data.users"),
            ("item_id", items, "data.items"),
        )
    ]
    own = set(events.source.names) | {key for key, name in columns.items() if name is not None}
    joined = {
        name: each
        for name in settings.series
        for each in attributes
        if name not in own and name in each[3]
    }
    here = [name for name in settings.series if name not in joined]
    for _, given, section, has in attributes:
        if given is not None and isinstance(given.path, str) and not has & set(settings.series):
            raise ConfigError(
                f"{section}.path={given.path} has no effect: none of its columns"
                f" ({', '.join(sorted(has))}) is in data.series ({', '.join(settings.series)});"
                " leave it out, or group by one of them"
            )
    keys = [each[0] for each in joined.values()]
    by_item = list(settings.series) == ["item_id"]
    named = ["name"] if by_item and columns.get("name") is not None else []
    for name in ("timestamp", *here, *keys):
        columns[name] = columns.get(name) or name
    needed = ["timestamp", *here, *keys, "quantity", "price", *named]
    mapped = replace(events, columns={name: columns.get(name) for name in needed})
    table = mapped.read(list(dict.fromkeys(needed)), ("timestamp", *here, *keys))
    if named and series_names is None:
        series_names = names_of_items(table)
    left_out = dict(left_out or {})
    for name, (key, source, section, _) in joined.items():
        ids = encode_ids(table.column(key))
        found, _ = join_attributes(source, key, ids.categories.to_numpy(object), section)
        values = found.raw(name).take(pa.array(ids.codes, mask=ids.codes < 0))
        left_out[f"no {name}"] = values.is_null().to_numpy(zero_copy_only=False)
        table = table.append_column(name, values)
    return panel_from_transactions(
        table,
        report,
        settings,
        left_out=left_out,
        series_names=series_names,
        place=events.source.place,
    )


def panel_from_transactions(
    table: pa.Table,
    report: PanelReport,
    settings: Resampling,
    *,
    left_out: Mapping[str, np.ndarray] | None = None,
    series_names: Mapping[str, str] | None = None,
    place: Callable[[int], str] = data_row,
) -> SalesPanel:
    """Sums transactions into series.

    A series lives from its first sale to the last step of the table, but no longer than
    `retire_after` steps without a sale; inside its life, a step without a row is a zero.

    Args:
        table: timestamp, the columns of `settings.series` and, as the measure needs, quantity and
            price.
        report: filled in as a side effect.
        settings: what is a series, a step and a sale.
        left_out: reason to mask (N,) of rows that the source's own rules exclude.
        series_names: series id to a name for people.
        place: what errors call a row.

    Raises:
        DataError: nothing is left, or a row is bad and `on_bad_rows` is "error".
        ConfigError: the table lacks a column that the settings need.
    """
    _require_columns(table, settings, report.source)
    report.rows_in, report.step, report.timezone = table.num_rows, settings.step, settings.timezone
    rows = RowFilter(report, settings.on_bad_rows, place)
    for reason, mask in (left_out or {}).items():
        rows.leave_out(mask, reason)
    ids = {name: encode_ids(table.column(name)) for name in settings.series}
    for name, column in ids.items():
        rows.bad(np.asarray(column.codes == -1), f"no {name}")
    naive = settings.naive_timezone or settings.timezone
    times = TimeSettings(settings.timestamp_unit, settings.timestamp_format)
    instant = past_times(table, rows, naive, times).instant
    amount, is_return = _amounts(table, rows, settings)

    seconds = wall_clock(instant, settings.timezone)
    readable = instant.notna().to_numpy() & (instant <= tomorrow()).to_numpy(dtype=bool)
    step = _step_number(seconds, settings.step)
    if readable.any():
        first, last = _whole_steps(seconds[readable], settings)
        rows.leave_out(
            (step < first) | (step > last), f"a time in the partial first or last {settings.step}"
        )
        number = (first - int(step[readable].min())) + (int(step[readable].max()) - last)
        report.decide("partial steps at the ends of the table, left out", number)
    rows.require_any()

    kept = rows.keep
    code, keys = _series_codes(ids, kept)
    panel = _sum(code, keys, step[kept], amount[kept], is_return[kept], last, report, settings)
    return replace(panel, series_names=dict(series_names or {}))


def _require_columns(table: pa.Table, settings: Resampling, source: str) -> None:
    needed = {"quantity": ("quantity",), "value": ("price",), "lines": ()}[settings.measure]
    for name in ("timestamp", *needed):
        if name not in table.column_names:
            raise ConfigError(
                f"data.measure={settings.measure} needs the column {name}"
                f" of {source}: set data.columns.{name}"
                + ("" if name == "timestamp" else ", or data.measure=lines to count rows")
            )
    if settings.returns == "net" and "quantity" not in table.column_names:
        raise ConfigError(
            f"data.returns=net has no effect on {source}, which has no column of quantities: set"
            " data.columns.quantity to its name, or leave data.returns out"
        )
    for name in settings.series:
        if name not in table.column_names:
            known = sorted(set(table.column_names) - {"timestamp", "quantity", "price"})
            raise ConfigError(
                f"data.series names {name!r}, which is not a column of {source} as it is read (it"
                f" has {', '.join(known)}); set data.columns.{name} to its name there"
            )


def _amounts(
    table: pa.Table, rows: RowFilter, settings: Resampling
) -> tuple[np.ndarray, np.ndarray]:
    """What a row adds to its step, float64 (N,), and which rows are returns, bool (N,)."""
    amount = np.ones(table.num_rows)
    is_return = np.zeros(table.num_rows, dtype=bool)
    if "quantity" in table.column_names:
        cells = table.column("quantity")
        quantity = to_numbers(cells, settings.numerals)
        rows.bad(~np.isfinite(quantity), "a quantity that is not a number", cells)
        rows.bad(quantity == 0, "a quantity of 0", cells)
        is_return = quantity < 0
        if settings.returns == "drop":
            rows.leave_out(is_return, "a return (a quantity below 0)")
        amount = np.sign(quantity) if settings.measure == "lines" else quantity
    if "price" in table.column_names:
        cells = table.column("price")
        price = to_numbers(cells, settings.numerals)
        rows.bad(~np.isfinite(price), "a price that is not a number", cells)
        rows.bad(price < 0, "a price below 0", cells)
        if settings.measure == "value":
            amount = amount * price
    return amount, is_return


def _step_number(seconds: np.ndarray, step: str) -> np.ndarray:
    if step == "month":
        return month_number(seconds)
    return (seconds - (MONDAY if step == "week" else 0)) // STEP_SECONDS[step]


def _step_start(number: np.ndarray | int, step: str) -> np.ndarray:
    if step == "month":
        return month_start(np.asarray(number))
    return np.asarray(number) * STEP_SECONDS[step] + (MONDAY if step == "week" else 0)


def _whole_steps(seconds: np.ndarray, settings: Resampling) -> tuple[int, int]:
    """Numbers of the first and the last step that the table covers as a whole.

    A table says where it begins and ends only by its rows: a step at its edge is whole where the
    rows reach the step's edge as exactly as times are written (dates, hours, minutes or seconds;
    weeks and months are judged by their days).
    """
    begin, end = int(seconds.min()), int(seconds.max())
    first, last = (int(_step_number(np.array(edge), settings.step)) for edge in (begin, end))
    if settings.keep_partial:
        return first, last
    resolution = next(r for r in (SECONDS_A_DAY, 3600, 60, 1) if not (seconds % r).any())
    if settings.step in ("week", "month"):
        resolution = SECONDS_A_DAY
    if begin // resolution * resolution > _step_start(first, settings.step):
        first += 1
    if (end // resolution + 1) * resolution < _step_start(last + 1, settings.step):
        last -= 1
    return first, last


def _series_codes(
    ids: Mapping[str, pd.Categorical], keep: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Number of every kept row's series, in the order of their keys, and the keys, each (S,)."""
    code = np.zeros(int(keep.sum()), dtype=np.int64)
    for column in ids.values():
        code = code * len(column.categories) + column.codes[keep]
    present, dense = np.unique(code, return_inverse=True)
    keys: dict[str, np.ndarray] = {}
    for name, column in reversed(list(ids.items())):
        present, place = np.divmod(present, len(column.categories))
        keys[name] = column.categories.to_numpy(dtype=object)[place]
    return dense, {name: keys[name] for name in ids}


def _sum(
    code: np.ndarray,
    keys: dict[str, np.ndarray],
    step: np.ndarray,
    amount: np.ndarray,
    is_return: np.ndarray,
    last_step: int,
    report: PanelReport,
    settings: Resampling,
) -> SalesPanel:
    """Rows (kept,) to series."""
    size = len(next(iter(keys.values())))
    begin, sold_last = np.full(size, last_step + 1), np.full(size, np.iinfo(np.int64).min // 2)
    np.minimum.at(begin, code[~is_return], step[~is_return])
    np.maximum.at(sold_last, code[~is_return], step[~is_return])
    end = np.minimum(sold_last + settings.life, last_step) + 1
    length = np.maximum(end - begin, 0)
    outside = (step < begin[code]) | (step >= end[code])
    if outside.any():
        report.dropped["a return outside the life of its series"] = int(outside.sum())
        code, step, amount = code[~outside], step[~outside], amount[~outside]
        is_return = is_return[~outside]
    report.decide("returns subtracted", int(is_return.sum()))

    indptr = np.concatenate([[0], np.cumsum(length)])
    place = indptr[code] + step - begin[code]
    y = np.bincount(place, weights=amount, minlength=indptr[-1])
    rows = np.bincount(place, minlength=indptr[-1])
    number = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], length)
    if settings.step == "hour":
        skipped, twice = clock_changes(number, settings.timezone)
        y[skipped & (rows == 0)] = np.nan
        report.decide("hours that the clock skips, missing", int((skipped & (rows == 0)).sum()))
        report.decide("hours that the clock shows twice, summed", int(twice.sum()))
        rows[skipped] += 1  # they are no zeros
    report.decide("steps without a sale, filled with zero", int((rows == 0).sum()))
    report.decide("steps below zero", int((y < 0).sum()))
    report.rows = len(code)
    ended = (end <= last_step) & (length > 0)
    report.decide(
        f"series that ended: {settings.life} steps without a sale before the table did",
        int(ended.sum()),
    )
    panel = SalesPanel(
        series_ids=_joined(keys, report.source),
        start=_step_start(begin, settings.step),
        indptr=indptr,
        y=y.astype(np.float32),
        covariates=np.zeros((len(y), 0), dtype=np.float32),
        covariate_names=(),
        step=settings.step,
        timezone=settings.timezone,
        report=report,
        retire_after=settings.life,
        seasonality=settings.seasonality,
        keys=keys,
    )
    return complete_panel(panel)


def _joined(keys: Mapping[str, np.ndarray], source: str) -> np.ndarray:
    """Ids of series, (S,): the values of their keys, joined by " / "."""
    columns = list(keys.values())
    ids = columns[0]
    for column in columns[1:]:
        ids = ids + " / " + column
    repeated = pd.Series(ids).duplicated()
    if repeated.any():
        raise DataError(
            f"{source}: two series would both be called {ids[int(np.flatnonzero(repeated)[0])]!r};"
            f" take ' / ' out of the values of {', '.join(keys)}, which is put between them"
        )
    return ids


def clock_changes(hour: np.ndarray, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    """Which hours (M,), counted from 1970, the wall clock skips and which it shows twice."""
    first = int(hour.min())
    every = np.arange(first, int(hour.max()) + 1)
    clock = pd.DatetimeIndex(every.astype("datetime64[h]").astype("datetime64[s]"))
    shown = clock.tz_localize(
        timezone, ambiguous=np.ones(len(clock), dtype=bool), nonexistent="NaT"
    )
    once = clock.tz_localize(timezone, ambiguous="NaT", nonexistent="shift_forward")
    skipped, twice = np.asarray(shown.isna()), np.asarray(once.isna())
    return skipped[hour - first], twice[hour - first]
