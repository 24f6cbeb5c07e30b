"""Points in time as tables write them: dates, text in one of many forms, and numbers.

A column has one form, which its cells decide.

Axes: N rows, D distinct cells.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ConfigError, DataError
from recsys.tables.cells import (
    NUMBER,
    Distinct,
    decoded,
    is_missing,
    is_numeric,
    is_text,
    to_numbers,
)

TimeUnit = Literal["s", "ms", "us", "ns", "D"]
ISO = "ISO 8601"
DATES = "dates"
_COMPACT = {"%Y%m%d": 8, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}
_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = (
    int(np.datetime64(edge, "s").astype(np.int64)) for edge in ("0001-01-01", "9999-12-31")
)
_DAY_MONTH_YEAR = re.compile(
    r"(?P<one>\d{1,2}|[A-Za-z]{3,})(?P<gap>[/.\- ])(?P<two>\d{1,2}|[A-Za-z]{3,})"
    r"(?P<comma>,? ?|[/.\-])(?P<year>\d{4})"
    r"(?P<time>[ T]\d{1,2}:\d\d(?P<second>:\d\d)?(?P<noon> ?[AaPp][Mm])?)?"
)


@dataclass(frozen=True)
class TimeSettings:
    """What is known of the times of a table before its cells are read.

    Attributes:
        unit: "s", "ms", "us", "ns" or "D" where numbers count from 1970-01-01 UTC.
        form: a format of strftime, "%d/%m/%Y", where the cells are written in another form.
        section: what stands before the names of these settings in errors.
        usual: of such tables; its form is taken where it fits, its unit where numbers need one,
            if nothing is set.
    """

    unit: TimeUnit | None = None
    form: str | None = None
    section: str = "data."
    usual: "TimeSettings | None" = None

    def __post_init__(self) -> None:
        if self.form is None:
            return
        if self.unit is not None:
            raise ConfigError(
                f"{self.section}timestamp_format={self.form} is of text and"
                f" {self.section}timestamp_unit={self.unit} of numbers: set one of them"
            )
        if not is_time_format(self.form):
            raise ConfigError(
                f"{self.section}timestamp_format={self.form!r} is no format of dates: write it as"
                " %d/%m/%Y or %Y-%m-%d %H:%M:%S"
            )

    @property
    def advice(self) -> str:
        """What to set where times cannot be read."""
        return (
            "; dates are read as 2024-01-31 18:05:00, 31/01/2024 18:05, 31.1.2024 or 20240131, and"
            f' otherwise as {self.section}timestamp_format says, such as "%d %B %y"'
        )


def is_time_format(form: str) -> bool:
    """Whether text is a format of strftime that can be read."""
    return "(?P<" in (_pattern(form) or "")


class TimeForm(NamedTuple):
    """How the cells of a column write times.

    Attributes:
        name: "dates", "ISO 8601", a format of strftime, or what numbers count.
        unit: of numbers that count.
        has_offset: whether the cells say how far they are from UTC.
    """

    name: str
    unit: TimeUnit | None = None
    has_offset: bool = False

    def read(self, column: pa.Array | pa.ChunkedArray) -> NDArray[np.datetime64]:
        """datetime64[s] (N,), NaT where a cell is empty or cannot be read: UTC where the form has
        an offset, else what the clock of the table showed.

        Raises:
            DataError: some cells carry an offset and others do not.
        """
        if self.name == DATES:
            return _of_dates(column)
        if self.unit is not None:
            return _of_counts(column, self.unit)
        if self.name in _COMPACT:
            return _of_digits(to_numbers(column), self.name)
        cells = Distinct.of(_digits(column) if is_numeric(column.type) else column)
        if self.name != ISO:
            return cells.spread(_formatted(cells, self.name)[0], _NAT)
        seconds, has_offset = _iso(cells)
        read = ~np.isnat(seconds)
        self._require_one_clock(cells.counts[read], has_offset[read])
        return cells.spread(seconds, _NAT)

    def _require_one_clock(self, counts: NDArray[np.int64], has_offset: NDArray[np.bool_]) -> None:
        if (has_offset == self.has_offset).all():
            return
        raise DataError(
            f"{int(counts[has_offset].sum()):,} of {int(counts.sum()):,} timestamps carry an offset"
            " from UTC and the others do not; write all of them with one, or none (then the"
            " time zone of the data says which clock they were read from)"
        )


def find_form(chunks: Iterable[pa.Array | pa.ChunkedArray], settings: TimeSettings) -> TimeForm:
    """The form of a column: numbers are 20240131, 202401311805 or 20240131180500, or count with a
    unit; text is ISO 8601, or a day, month and year ("31/01/2024 18:05", "31.1.2024",
    "31 Jan 2024") whose order the cells leave no doubt about.

    Args:
        chunks: the column; no more of them are taken than it needs.
        settings: of the times.

    Raises:
        DataError: numbers without a unit, dates with one, or days and months that may be each
            other.
    """
    doubt: _Doubt | None = None
    for chunk in chunks:
        found = _form_of(chunk, settings) if doubt is None else doubt.narrowed(chunk)
        if isinstance(found, TimeForm):
            return found
        doubt = found
    if doubt is not None:
        raise doubt.error("may be day first or month first")
    return TimeForm(ISO)


def wall_and_instant(
    times: NDArray[np.datetime64], has_offset: bool, timezone: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times (N,), none of them missing, as seconds since 1970.

    Returns:
        By the clock of the zone, counted as if it showed UTC, and in UTC; the same where there is
        no offset: int64 (N,) each.

    Raises:
        DataError: the time zone is not known on this machine.
    """
    instant = times.astype(np.int64)
    if not has_offset:
        return instant, instant
    try:
        local = pc.local_timestamp(pa.array(times).cast(pa.timestamp("s", timezone)))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"the time zone {timezone!r} is not known on this machine: install the system's tzdata,"
            " or give timestamps in local time, without offset"
        ) from error
    return local.cast(pa.int64()).to_numpy(zero_copy_only=False), instant


@dataclass(frozen=True)
class _Doubt:
    """Formats of which each may be that of the cells so far."""

    forms: Sequence[str]
    example: str
    section: str

    def narrowed(self, chunk: pa.Array | pa.ChunkedArray) -> "TimeForm | _Doubt":
        """What more cells leave of them: those that read as many as all together do."""
        return self.decide(Distinct.of(chunk))

    def decide(self, cells: Distinct) -> "TimeForm | _Doubt":
        read = [~np.isnat(_formatted(cells, form)[0]) for form in self.forms]
        either = int(cells.counts[np.logical_or.reduce(read)].sum())
        whole = [
            form
            for form, found in zip(self.forms, read, strict=True)
            if int(cells.counts[found].sum()) == either
        ]
        if not whole:
            raise self.error("are written day first and month first")
        return TimeForm(whole[0]) if len(whole) == 1 else self

    def error(self, doubt: str) -> DataError:
        advice = " or ".join(f'"{form}"' for form in self.forms)
        mixed = doubt.startswith("are written")
        return DataError(
            f"the timestamps, such as {self.example!r}, {doubt}: set {self.section}timestamp_format"
            f" to {advice}"
            + ("; what is written otherwise then counts as unreadable" if mixed else "")
        )


def _form_of(
    column: pa.Array | pa.ChunkedArray, settings: TimeSettings
) -> TimeForm | _Doubt | None:
    """The form of some cells, None where all of them are empty."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if settings.unit is not None or settings.form is not None:
            name = "timestamp_unit" if settings.unit is not None else "timestamp_format"
            raise DataError(
                "the timestamp column holds dates, not"
                f" {'numbers' if settings.unit is not None else 'text'}; leave"
                f" {settings.section}{name}={settings.unit or settings.form} out"
            )
        return TimeForm(DATES, has_offset=getattr(kind, "tz", None) is not None)
    if not (is_text(kind) or is_numeric(kind) or pa.types.is_boolean(kind)):
        if pa.types.is_null(kind):
            return None
        raise DataError(
            f"the timestamp column is of type {kind}, and has to be dates, text or numbers"
        )
    if settings.form is not None:
        return _named(settings.form)
    if is_missing(column).all():
        return None
    if settings.unit is not None:
        if np.isnan(to_numbers(column)).all():
            raise DataError(
                f"the timestamp column holds text such as {_first(column)!r}, not numbers; leave"
                f" {settings.section}timestamp_unit={settings.unit} out"
            )
        return _counting(settings.unit)
    if settings.usual is not None and settings.usual.form is not None:
        form = _named(settings.usual.form)
        if (~np.isnat(form.read(column)) | is_missing(column)).all():
            return form
    if is_numeric(kind):
        return _form_of_numbers(to_numbers(column), column, settings)
    return _form_of_text(column, settings)


def _named(form: str) -> TimeForm:
    return TimeForm(form, has_offset="%z" in form or "%Z" in form)


def _counting(unit: TimeUnit) -> TimeForm:
    return TimeForm(f"numbers in {unit}", unit, has_offset=True)


def _first(column: pa.Array | pa.ChunkedArray) -> object:
    """The first cell that is not empty."""
    cell = decoded(column)[int(np.argmin(is_missing(column)))].as_py()
    return cell.strip() if isinstance(cell, str) else cell


def _form_of_numbers(
    numbers: NDArray[np.float64], column: pa.Array | pa.ChunkedArray, settings: TimeSettings
) -> TimeForm:
    """The form of numbers (N,) that write a date: 20240131."""
    known = numbers[~np.isnan(numbers)]
    fits = {
        form: int(((known >= 10.0 ** (size - 1)) & (known < 10.0**size)).sum())
        for form, size in _COMPACT.items()
    }
    form = max(fits, key=lambda each: fits[each])
    if 2 * int((~np.isnat(_of_digits(known, form))).sum()) <= len(known):
        if settings.usual is not None and settings.usual.unit is not None:
            return _counting(settings.usual.unit)
        raise DataError(
            f"the timestamp column holds numbers; set {settings.section}timestamp_unit to s, ms, us"
            f" or ns (or D, days) if they count from 1970, or {settings.section}timestamp_format if"
            f" they are dates; the first is {_first(column)}"
        )
    return TimeForm(form)


def _form_of_text(column: pa.Array | pa.ChunkedArray, settings: TimeSettings) -> TimeForm | _Doubt:
    """ISO 8601, or the form of day, month and year that reads more of the cells."""
    cells = Distinct.of(column)
    seconds, has_offset = _iso(cells)
    read = ~np.isnat(seconds)
    filled, readable = (int(cells.counts[each].sum()) for each in (cells.filled, read))
    if readable < filled:
        number = int(cells.counts[cells.matching(NUMBER)].sum())
        if number and (2 * number > filled or not readable):
            return _form_of_numbers(to_numbers(column), column, settings)
    if filled > 2 * readable:
        found = _day_month_year(cells, settings, readable)
        if found is not None:
            return found
    return TimeForm(ISO, has_offset=bool(has_offset[read].any()))


def _day_month_year(
    cells: Distinct, settings: TimeSettings, readable: int
) -> TimeForm | _Doubt | None:
    """The form in which most cells are written; None: no form that is known, or none that reads
    more than so many.
    """
    shapes = pc.replace_substring_regex(cells.text, r"\d+", "9")
    shapes = pc.replace_substring_regex(shapes, r"[A-Za-z]{3,}", "A").dictionary_encode()
    shape = shapes.indices.fill_null(len(shapes.dictionary)).to_numpy(zero_copy_only=False)
    often = np.bincount(shape, weights=cells.counts, minlength=len(shapes.dictionary) + 1)[:-1]
    example = str(cells.text[int(np.argmax(shape == np.argmax(often)))].as_py())
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
        orders = [
            f"{name}{gap}%d" if form["one"].isalpha() else f"%d{gap}{name}" for name in ("%b", "%B")
        ]
    else:
        orders = [f"%d{gap}%m"] if gap == "." else [f"%d{gap}%m", f"%m{gap}%d"]
    forms = [f"{order}{comma}%Y{clock}" for order in orders]
    counts = [int(cells.counts[~np.isnat(_formatted(cells, each)[0])].sum()) for each in forms]
    if max(counts) <= readable:
        return None
    if "%b" in forms[0] or "%B" in forms[0] or len(forms) == 1:
        return TimeForm(forms[int(np.argmax(counts))])
    return _Doubt(forms, example, settings.section).decide(cells)


_NAT = np.datetime64("NaT", "s")
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
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
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


def _pattern(form: str) -> str | None:
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


def _iso(cells: Distinct) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
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
    seconds[~(one_gap & ((gap != "") | compact))] = _NAT
    seconds[cells.matching(NUMBER)] = _NAT
    if np.isnat(seconds[cells.filled]).any():
        weeks, of_weeks = _moments(pc.extract_regex(cells.text, f"^{_WEEK}{_CLOCK}$"))
        seconds, has_offset = np.where(np.isnat(seconds), weeks, seconds), has_offset | of_weeks
    return seconds, has_offset


def _formatted(cells: Distinct, form: str) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """As `_iso`, of a format of strftime."""
    return _moments(pc.extract_regex(cells.text, f"^{_pattern(form)}$"))


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
        seconds = np.where(later.astype(np.int64) >= 0, seconds + later, _NAT)
        seconds[seconds.astype("datetime64[Y]").astype(np.int64) + 1970 != year] = _NAT
    if "isoyear" in present:
        year, week = part("isoyear", 1970), part("week", 1)
        january = _moment(year, month, np.full(len(year), 4), hour, minute, second, fits)
        days = january.astype("datetime64[D]").astype(np.int64)
        ahead = (week - 1) * 7 + part("weekday", 1) - 1 - (days + 3) % 7
        seconds = january + ahead.astype("timedelta64[D]")
        # the Thursday of a week lies in its year
        thursday = january + ((week - 1) * 7 + 3 - (days + 3) % 7).astype("timedelta64[D]")
        of_year = thursday.astype("datetime64[Y]").astype(np.int64) + 1970 == year
        seconds[~of_year | (week < 1)] = _NAT
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
    return np.where(fits, seconds, _NAT)


def _of_dates(column: pa.Array | pa.ChunkedArray) -> NDArray[np.datetime64]:
    column = decoded(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit))
    return column.to_numpy(zero_copy_only=False).astype("datetime64[s]")


def _of_counts(column: pa.Array | pa.ChunkedArray, unit: TimeUnit) -> NDArray[np.datetime64]:
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
    return np.where(fits, seconds.astype("datetime64[s]"), _NAT)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Text that holds whole numbers throughout as such: a float cannot hold all nanoseconds."""
    column = decoded(column)
    if is_text(column.type):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        try:
            return pc.if_else(pa.array(is_missing(column)), None, text).cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    return column


def _of_digits(values: NDArray[np.float64], form: str) -> NDArray[np.datetime64]:
    """Times (N,) that numbers write, NaT where they write none."""
    digits = _COMPACT[form]
    fits = (values >= 10.0 ** (digits - 1)) & (values < 10.0**digits) & (values % 1 == 0)
    whole = np.where(fits, values, 0).astype(np.int64)
    date, clock = np.divmod(whole, 10 ** (digits - 8))
    clock *= 100 if digits == 12 else 1
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    fits &= (year >= 1900) & (year < 2200)
    return _moment(year, month, day, clock // 10_000, clock // 100 % 100, clock % 100, fits)


def _digits(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whole numbers as text, null where they are none."""
    values = to_numbers(column)
    whole = np.isfinite(values) & (values % 1 == 0) & (np.abs(values) < 2.0**63)
    return pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole).cast(pa.string())
