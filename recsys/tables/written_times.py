"""Times that text and numbers write, in a form that is known.

Axes: N rows, D distinct cells.
"""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.tables.cells import NUMBER, Distinct, decoded, is_missing, is_text, to_numbers, without

TimeUnit = Literal["s", "ms", "us", "ns", "D"]
# formats that are numbers, and their digits
COMPACT = {"%Y%m%d": 8, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}
_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = (
    int(np.datetime64(edge, "s").astype(np.int64)) for edge in ("0001-01-01", "9999-12-31")
)
NAT = np.datetime64("NaT", "s")
_GAP = "[-/. ]"
_DAY = (
    rf"(?P<year>\d{{4}})(?P<gap>{_GAP}?)(?P<month>\d{{1,2}})"
    rf"(?:(?P<again>{_GAP}?)(?P<day>\d{{1,2}}))?"
)
_WEEK = r"(?P<isoyear>\d{4})-?W(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?"
_ZONE = r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)"
_CLOCK = (
    r"(?:[T ](?P<hour>\d{1,2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,]\d{1,9})?)?)?"
    rf" ?{_ZONE}?)?"
)
# fmt: off
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)
# fmt: on
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _names(names: Sequence[str], length: int | None = None) -> str:
    return f"(?i:{'|'.join(name[:length] for name in names)})"


_DIRECTIVES = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<short>\d{2})",
    "G": r"(?P<isoyear>\d{4})",
    "m": r"(?P<month>1[0-2]|0?[1-9])",
    "d": r"(?P<day>3[01]|[12]\d|[0 ]?[1-9])",
    "j": r"(?P<ordinal>\d{1,3})",
    "V": r"(?P<week>\d{1,2})",
    "u": r"(?P<weekday>[1-7])",
    "H": r"(?P<hour>2[0-3]|[01]?\d)",
    "I": r"(?P<hour>1[0-2]|0?[1-9])",
    "M": r"(?P<minute>[0-5]?\d)",
    "S": r"(?P<second>[0-5]?\d)",
    "f": r"\d{1,9}",
    "p": r"(?P<noon>(?i:am|pm))",
    "z": _ZONE,
    "Z": r"(?P<zone>UTC|GMT|Z)",
    "b": f"(?P<name>{_names(_MONTHS, 3)})",
    "B": f"(?P<name>{_names(_MONTHS)})",
    "a": _names(_WEEKDAYS, 3),
    "A": _names(_WEEKDAYS),
    "%": "%",
}


# groups of directives that tell the year
YEARS = ("year", "short", "isoyear")


def time_pattern(form: str) -> str | None:
    """A regular expression for a format of strftime, None where it is none."""
    pattern, rest = "", form
    while rest:
        if rest[0] == "%":
            directive = _DIRECTIVES.get(rest[1:2])
            names = re.findall(r"\?P<(\w+)>", directive or "")
            if directive is None or any(f"(?P<{name}>" in pattern for name in names):
                return None
            pattern, rest = pattern + directive, rest[2:]
        else:
            pattern += r"\s+" if rest[0].isspace() else re.escape(rest[0])
            rest = rest[1:]
    return pattern


def iso_times(cells: Distinct) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """datetime64[s] (D,), NaT where a cell is not of ISO 8601 (a number is none), and which cells
    carry an offset.
    """
    # most tables write 2024-01-31 or 2024/01/31, which Arrow reads at once
    dashed = pc.replace_substring(cells.text, "/", "-")
    for zone in (None, "UTC"):
        try:
            read = dashed.cast(pa.timestamp("us", zone)).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            continue
        return read.astype("datetime64[s]"), np.full(len(read), zone is not None)
    found = pc.extract_regex(cells.text, f"^{_DAY}{_CLOCK}$")
    seconds, has_offset = _moments(found)
    gap, again, day, month = (
        _parts(found, name).to_numpy(zero_copy_only=False)
        for name in ("gap", "again", "day", "month")
    )
    sizes = np.char.str_len(day.astype(str)), np.char.str_len(month.astype(str))
    one_gap = (gap == again) | (day == "")
    compact = (sizes[0] == 2) & (sizes[1] == 2)
    seconds[~(one_gap & ((gap != "") | compact))] = NAT
    seconds[cells.matching(NUMBER)] = NAT
    if np.isnat(seconds[cells.filled]).any():
        weeks, of_weeks = _moments(pc.extract_regex(cells.text, f"^{_WEEK}{_CLOCK}$"))
        seconds, has_offset = np.where(np.isnat(seconds), weeks, seconds), has_offset | of_weeks
    return seconds, has_offset


def formatted_times(cells: Distinct, form: str) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """As `iso_times`, of a format of strftime."""
    return _moments(pc.extract_regex(cells.text, f"^{time_pattern(form)}$"))


def _parts(found: pa.StructArray, name: str) -> pa.Array:
    """What a group of a regular expression holds in each cell, "" where nothing (D,)."""
    return pc.struct_field(found, name).fill_null("")


def _moments(found: pa.StructArray) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """Times (D,) of the parts that a regular expression found, NaT where they are none, and which
    of them carry an offset.
    """
    present = {field.name for field in found.type}
    fits = found.is_valid().to_numpy(zero_copy_only=False)

    def part(name: str, default: int) -> NDArray[np.int64]:
        if name not in present:
            return np.full(len(found), default)
        texts = _parts(found, name)
        texts = pc.if_else(pc.equal(texts, ""), str(default), pc.utf8_trim_whitespace(texts))
        return texts.cast(pa.int64()).to_numpy(zero_copy_only=False)

    year, month, day = part("year", 1900), part("month", 1), part("day", 1)
    if "short" in present:
        short = part("short", 0)
        year = short + np.where(short < 69, 2000, 1900)
    if "name" in present:
        names = pc.utf8_slice_codeunits(pc.utf8_lower(_parts(found, "name")), 0, 3)
        month = pc.index_in(names, pa.array([each[:3] for each in _MONTHS])).fill_null(0)
        month = month.to_numpy(zero_copy_only=False).astype(np.int64) + 1
    hour, minute, second = (part(name, 0) for name in ("hour", "minute", "second"))
    if "noon" in present:
        is_after = pc.equal(pc.utf8_lower(_parts(found, "noon")), "pm")
        hour = hour % 12 + 12 * is_after.to_numpy(zero_copy_only=False)
    seconds = _moment(year, month, day, hour, minute, second, fits)
    if "ordinal" in present:
        later = (part("ordinal", 1) - 1).astype("timedelta64[D]")
        seconds = np.where(later.astype(np.int64) >= 0, seconds + later, NAT)
        seconds[seconds.astype("datetime64[Y]").astype(np.int64) + 1970 != year] = NAT
    if "isoyear" in present:
        year, week = part("isoyear", 1970), part("week", 1)
        january = _moment(year, month, np.full(len(year), 4), hour, minute, second, fits)
        days = january.astype("datetime64[D]").astype(np.int64)
        ahead = (week - 1) * 7 + part("weekday", 1) - 1 - (days + 3) % 7
        seconds = january + ahead.astype("timedelta64[D]")
        # the Thursday of a week lies in its year
        thursday = january + ((week - 1) * 7 + 3 - (days + 3) % 7).astype("timedelta64[D]")
        of_year = thursday.astype("datetime64[Y]").astype(np.int64) + 1970 == year
        seconds[~of_year | (week < 1)] = NAT
    if "zone" not in present:
        return seconds, np.zeros(len(found), dtype=bool)
    zone = _parts(found, "zone")
    digits = pc.replace_substring_regex(zone, r"\D", "")
    padded = pc.utf8_rpad(digits, 4, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    offset = (padded // 100 * 3600 + padded % 100 * 60) * np.where(
        pc.starts_with(zone, "-").to_numpy(zero_copy_only=False), -1, 1
    )
    has_offset = pc.not_equal(zone, "").to_numpy(zero_copy_only=False)
    return seconds - offset.astype("timedelta64[s]"), has_offset


def _moment(
    year: NDArray[np.int64],
    month: NDArray[np.int64],
    day: NDArray[np.int64],
    hour: NDArray[np.int64],
    minute: NDArray[np.int64],
    second: NDArray[np.int64],
    fits: NDArray[np.bool_],
) -> NDArray[np.datetime64]:
    """Times (N,) of calendar and clock, NaT where there is no such day or it does not fit."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    fits = fits & (year >= 1) & (year < 10_000) & (month >= 1) & (month <= 12) & (day >= 1)
    fits &= (days.astype("datetime64[M]") == months) & (hour < 24) & (minute < 60) & (second < 60)
    seconds = days.astype("datetime64[s]") + (hour * 3600 + minute * 60 + second)
    return np.where(fits, seconds, NAT)


def times_of_dates(column: pa.Array | pa.ChunkedArray) -> NDArray[np.datetime64]:
    """Times (N,) of dates and timestamps; parts of a second are left out."""
    column = decoded(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit))
    return column.to_numpy(zero_copy_only=False).astype("datetime64[s]")


def times_of_counts(column: pa.Array | pa.ChunkedArray, unit: TimeUnit) -> NDArray[np.datetime64]:
    """Times (N,) of numbers that count from 1970."""
    scale, size = _A_SECOND.get(unit, 1), 86_400 if unit == "D" else 1
    column = _whole(column)
    if pa.types.is_integer(column.type):
        fits = ~is_missing(column)
        counts = column.fill_null(0).to_numpy(zero_copy_only=False) // scale
        fits &= (counts >= _FIRST // size) & (counts <= _LAST // size)
        seconds = np.where(fits, counts, 0).astype(np.int64) * size
    else:
        numbers = np.floor(to_numbers(column) / scale * size)
        fits = (numbers >= _FIRST) & (numbers <= _LAST)
        seconds = np.where(fits, numbers, 0).astype(np.int64)
    return np.where(fits, seconds.astype("datetime64[s]"), NAT)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Text that holds whole numbers throughout as such: a float cannot hold all nanoseconds."""
    column = decoded(column)
    if is_text(column.type):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        try:
            return without(text, pa.array(is_missing(column))).cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    return column


def times_of_digits(values: NDArray[np.float64], form: str) -> NDArray[np.datetime64]:
    """Times (N,) that numbers write, NaT where they write none."""
    digits = COMPACT[form]
    fits = (values >= 10.0 ** (digits - 1)) & (values < 10.0**digits) & (values % 1 == 0)
    whole = np.where(fits, values, 0).astype(np.int64)
    date, clock = np.divmod(whole, 10 ** (digits - 8))
    clock *= 100 if digits == 12 else 1
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    fits &= (year >= 1900) & (year < 2200)
    return _moment(year, month, day, clock // 10_000, clock // 100 % 100, clock % 100, fits)


def digits_of(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whole numbers as text, null where they are none."""
    values = to_numbers(column)
    whole = np.isfinite(values) & (values % 1 == 0) & (np.abs(values) < 2.0**63)
    return pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole).cast(pa.string())
