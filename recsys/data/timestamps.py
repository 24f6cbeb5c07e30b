"""Points in time: dates, date strings and numbers, on the clock of a shop."""

import re
import zoneinfo
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys.errors import ConfigError, DataError

SECONDS_A_DAY = 86_400
TimeUnit = Literal["s", "ms", "us", "ns", "D"]
ISO = "ISO 8601"
# cells of a text file that stand for a missing number or date
BLANKS = ("", "na", "nan", "null", "none")


@dataclass(frozen=True)
class Times:
    """Points in time of a column.

    Attributes:
        instant: datetime64[s, UTC] (N,), NaT where a cell is empty or cannot be read.
        form: how the cells are written: "ISO 8601", a format of strftime, or what they count.
        has_offset: whether the cells say how far they are from UTC.
    """

    instant: pd.Series
    form: str
    has_offset: bool = False


def parse_timestamps(
    column: pd.Series, timezone: str, unit: TimeUnit | None = None, form: str | None = None
) -> pd.Series:
    """`Times.instant` of `read_timestamps`."""
    return read_timestamps(column, timezone, unit, form).instant


def read_timestamps(
    column: pd.Series, timezone: str, unit: TimeUnit | None = None, form: str | None = None
) -> Times:
    """Points in time of a column of dates, text or numbers, all of one form, which is decided from
    all cells: numbers are 20240131, 202401311805 or 20240131180500, or count with a unit; text is
    ISO 8601, or a day, month and year ("31/01/2024 18:05", "31.1.2024", "31 Jan 2024") whose order
    the cells leave no doubt about.

    Args:
        column: (N,).
        timezone: IANA name of the clock that times without an offset were read from.
        unit: "s", "ms", "us", "ns" or "D" where numbers count from 1970-01-01 UTC.
        form: a format of strftime, "%d/%m/%Y", where the cells are written in another form.

    Raises:
        DataError: numbers without a unit, dates with one, days and months that may be each other,
            or times of which only some carry an offset.
        ConfigError: an unknown time zone, a unit beside a format, or what is no format.
    """
    require_timezone(timezone)
    _require_form(unit, form)
    if pd.api.types.is_datetime64_any_dtype(column):
        if unit is not None or form is not None:
            setting = "timestamp_unit" if unit is not None else "timestamp_format"
            raise DataError(
                "the timestamp column holds dates, not"
                f" {'numbers' if unit is not None else 'text'}; leave"
                f" data.{setting}={unit or form} out"
            )
        return Times(_on_clock(column, timezone), "dates", column.dt.tz is not None)
    numeric = pd.api.types.is_numeric_dtype(column) and column.dtype != bool
    if form is not None:
        text = _digits(column) if numeric else column.astype("str").str.strip()
        return Times(_on_clock(_parsed(text, form), timezone), form, "%z" in form)
    if unit is not None:
        return _counted(column, unit)
    return _from_numbers(column, timezone) if numeric else _from_text(column, timezone)


_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAY_MONTH_YEAR = re.compile(
    r"(?P<one>\d{1,2}|[A-Za-z]{3,})(?P<gap>[/.\- ])(?P<two>\d{1,2}|[A-Za-z]{3,})"
    r"(?P<comma>,? ?|[/.\-])(?P<year>\d{4})"
    r"(?P<time>[ T]\d{1,2}:\d\d(?P<second>:\d\d)?(?P<noon> ?[AaPp][Mm])?)?"
)


def _require_form(unit: TimeUnit | None, form: str | None) -> None:
    if form is None:
        return
    if unit is not None:
        raise ConfigError(
            f"data.timestamp_format={form} is of text and data.timestamp_unit={unit} of numbers:"
            " set one of them"
        )
    try:
        written = pd.Timestamp("2001-02-03 04:05:06", tz="UTC").strftime(form)
        pd.to_datetime(pd.Series([written]), format=form)
    except ValueError:
        written = form
    if written == form:
        raise ConfigError(
            f"data.timestamp_format={form!r} is no format of dates: write it as %d/%m/%Y or"
            " %Y-%m-%d %H:%M:%S"
        )


def _digits(column: pd.Series) -> pd.Series:
    """Whole numbers as text."""
    whole = column.astype("float64")
    return whole.where(whole % 1 == 0).astype("Int64").astype("str")


def _parsed(text: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form)


def _counted(column: pd.Series, unit: TimeUnit) -> Times:
    """Times of numbers that count from 1970-01-01 UTC."""
    numbers: Any = pd.to_numeric(column, errors="coerce")
    if numbers.isna().all() and len(filled := _filled(column)):
        raise DataError(
            f"the timestamp column holds text such as {filled.iloc[0]!r}, not numbers; leave"
            f" data.timestamp_unit={unit} out"
        )
    known_unit: Any = unit
    instant = pd.to_datetime(numbers, unit=known_unit, errors="coerce", utc=True)
    return Times(instant.dt.as_unit("s"), f"numbers in {unit}", has_offset=True)


def _filled(column: pd.Series) -> pd.Series:
    """The cells that are not empty, as text."""
    text = column.dropna().astype("str").str.strip()
    return text[~text.str.lower().isin(BLANKS)]


def _from_numbers(numbers: pd.Series, timezone: str) -> Times:
    """Times of numbers that write a date: 20240131."""
    known = numbers.dropna()
    digits, dates = _compact_dates(numbers)
    if len(known) and 2 * int(dates.notna().sum()) <= len(known):
        raise DataError(
            f"the timestamp column holds numbers; set data.timestamp_unit to s, ms, us or ns (or D,"
            f" days) if they count from 1970, or data.timestamp_format if they are dates; the first"
            f" is {known.iloc[0]}"
        )
    return Times(_on_clock(dates, timezone), _COMPACT[digits])


def _compact_dates(numbers: pd.Series) -> tuple[int, pd.Series]:
    """Digits of most numbers, and the dates that they write, NaT where they are none."""
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    sizes = {
        digits: (values >= 10.0 ** (digits - 1)) & (values < 10.0**digits) for digits in _COMPACT
    }
    digits = max(sizes, key=lambda size: int(sizes[size].sum()))
    fits = sizes[digits] & (values % 1 == 0)
    whole = np.where(fits, values, 0).astype(np.int64)
    date, clock = np.divmod(whole, 10 ** (digits - 8))
    clock *= 100 if digits == 12 else 1
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    fits &= (year >= 1900) & (year < 2200) & (month >= 1) & (month <= 12) & (day >= 1)
    fits &= (days.astype("datetime64[M]") == months) & (hour < 24) & (minute < 60) & (second < 60)
    seconds = days.astype("datetime64[s]") + (hour * 3600 + minute * 60 + second)
    seconds[~fits] = np.datetime64("NaT")
    return digits, pd.Series(seconds, index=numbers.index)


def _from_text(column: pd.Series, timezone: str) -> Times:
    """Times of text in ISO 8601, or in the form of day, month and year that reads more of it."""
    text = column.astype("str")
    parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    if (unread := parsed.isna()).any():
        text = text.mask(unread, text[unread].str.strip())
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    is_number = _numbers_among(text, parsed)
    if is_number.any():
        if 2 * int(is_number.sum()) > len(_filled(text)) or parsed[~is_number].isna().all():
            return _from_numbers(pd.to_numeric(text, errors="coerce"), timezone)
        parsed = parsed.mask(is_number)  # a number among dates is no date: 1941 is not the year
    readable = int(parsed.notna().sum())
    if 2 * readable < len(parsed) and len(filled := _filled(text)) > 2 * readable:
        found = _day_month_year(filled)
        if found is not None and int(found[1].notna().sum()) > readable:
            return Times(_on_clock(found[1].reindex(text.index), timezone), found[0])
    # +02:00, +0200, +02 or Z behind a time of day; a date alone also ends in -02
    has_offset = text.str.contains(r"[T ]\d\d.*(?:[+-]\d\d(?::?\d\d)?|Z)$", regex=True, na=False)
    unclear = has_offset[parsed.notna()]
    if unclear.any() and not unclear.all():
        raise DataError(
            f"{int(unclear.sum()):,} of {len(unclear):,} timestamps carry an offset from UTC"
            " and the others do not; write all of them with one, or none (then data.timezone"
            " says which clock they were read from)"
        )
    if not unclear.any():
        return Times(_on_clock(parsed.dt.tz_localize(None), timezone), ISO)
    return Times(_on_clock(parsed, timezone), ISO, has_offset=True)


def _numbers_among(text: pd.Series, parsed: pd.Series) -> pd.Series:
    """Which cells (N,) are numbers, among those that ISO 8601 may read as the first of a year."""
    seconds = parsed.to_numpy(dtype="datetime64[s]").astype(np.int64)
    doubtful = text[parsed.isna().to_numpy() | (seconds % SECONDS_A_DAY == 0)]
    distinct = pd.Series(doubtful.unique(), dtype="str")
    numbers = distinct[distinct.str.fullmatch(_NUMBER, na=False)]
    return text.isin(numbers) if len(numbers) else pd.Series(False, index=text.index)


def _day_month_year(cells: pd.Series) -> tuple[str, pd.Series] | None:
    """The form in which most cells (N,) are written, and their dates; None: no form that is known.

    Raises:
        DataError: the day may be the month.
    """
    shapes = cells.str.replace(r"\d+", "9", regex=True).str.replace(
        r"[A-Za-z]{3,}", "A", regex=True
    )
    usual = shapes.value_counts().index[0]
    example = str(cells[shapes == usual].iloc[0])
    form = _DAY_MONTH_YEAR.fullmatch(example)
    if form is None:
        return None
    clock = ""
    if form["time"]:
        hour = "%I" if form["noon"] else "%H"
        noon = f"{' ' if ' ' in (form['noon'] or '') else ''}%p" if form["noon"] else ""
        clock = f"{form['time'][0]}{hour}:%M{':%S' if form['second'] else ''}{noon}"
    gap, comma = form["gap"], form["comma"]
    if form["one"].isalpha() or form["two"].isalpha():
        names = [
            f"{name}{gap}%d" if form["one"].isalpha() else f"%d{gap}{name}" for name in ("%b", "%B")
        ]
        forms = [f"{each}{comma}%Y{clock}" for each in names]
        read = {each: _parsed(cells, each) for each in forms}
        best = max(read, key=lambda each: int(read[each].notna().sum()))
        return best, read[best]
    orders = ["%d{0}%m"] if gap == "." else ["%d{0}%m", "%m{0}%d"]
    forms = [f"{order.format(gap)}{comma}%Y{clock}" for order in orders]
    read = {each: _parsed(cells, each) for each in forms}
    either = np.logical_or.reduce([dates.notna().to_numpy() for dates in read.values()])
    whole = [each for each in forms if int(read[each].notna().sum()) == int(either.sum())]
    if len(whole) == 1:
        return whole[0], read[whole[0]]
    doubt = "may be day first or month first" if whole else "are written day first and month first"
    advice = " or ".join(f'"{each}"' for each in forms)
    raise DataError(
        f"the timestamps, such as {example!r}, {doubt}: set data.timestamp_format to {advice}"
        + ("" if whole else "; what is written otherwise then counts as unreadable")
    )


def _on_clock(parsed: pd.Series, timezone: str) -> pd.Series:
    """Instants of dates; those without an offset were read from the clock of a zone."""
    if parsed.dt.tz is None:
        # twice-existing hours are read as summer time, missing hours as the first instant after the
        # gap
        parsed = parsed.dt.tz_localize(
            timezone, ambiguous=np.ones(len(parsed), dtype=bool), nonexistent="shift_forward"
        )
    return parsed.dt.tz_convert("UTC").dt.as_unit("s")


def require_timezone(name: str) -> None:
    """Raises ConfigError where there is no such time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise ConfigError(
            f"data.timezone={name!r} is not a time zone; use an IANA name such as Europe/Paris"
        ) from error


def wall_clock(instant: pd.Series, timezone: str) -> np.ndarray:
    """Local seconds since 1970 as if UTC, int64 (N,); nonsense where there is no instant."""
    local = instant.dt.tz_convert(timezone).dt.tz_localize(None)
    return local.to_numpy(dtype="datetime64[s]").astype(np.int64)
