"""Points in time as tables write them: dates, text in one of many forms, and numbers.

A column has one form, which its cells decide.

Axes: N rows, D distinct cells.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
from recsys.tables.written_times import (
    COMPACT,
    NAT,
    YEARS,
    TimeUnit,
    digits_of,
    formatted_times,
    iso_times,
    time_pattern,
    times_of_counts,
    times_of_dates,
    times_of_digits,
)

ISO = "ISO 8601"
DATES = "dates"
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
        if not any(f"(?P<{name}>" in (time_pattern(self.form) or "") for name in YEARS):
            raise ConfigError(
                f"{self.section}timestamp_format={self.form!r} has no year, so it names no moment:"
                " write it as %d/%m/%Y, and give the table a year"
            )

    @property
    def advice(self) -> str:
        """What to set where times cannot be read."""
        if self.unit is not None:
            return (
                f"; {self.section}timestamp_unit={self.unit} counts from 1970: set another unit if"
                " that gives no date"
            )
        return (
            "; dates are read as 2024-01-31 18:05:00, 31/01/2024 18:05, 31.1.2024 or 20240131, and"
            f' otherwise as {self.section}timestamp_format says, such as "%d %B %y"'
        )


def is_time_format(form: str) -> bool:
    """Whether text is a format of strftime that can be read."""
    return "(?P<" in (time_pattern(form) or "")


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
            return times_of_dates(column)
        if self.unit is not None:
            return times_of_counts(column, self.unit)
        if self.name in COMPACT:
            return times_of_digits(to_numbers(column), self.name)
        cells = Distinct.of(digits_of(column) if is_numeric(column.type) else column)
        if self.name != ISO:
            return cells.spread(formatted_times(cells, self.name)[0], NAT)
        seconds, has_offset = iso_times(cells)
        read = ~np.isnat(seconds)
        self._require_one_clock(cells.counts[read], has_offset[read])
        return cells.spread(seconds, NAT)

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
        read = [~np.isnat(formatted_times(cells, form)[0]) for form in self.forms]
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
        for form, size in COMPACT.items()
    }
    form = max(fits, key=lambda each: fits[each])
    if 2 * int((~np.isnat(times_of_digits(known, form))).sum()) <= len(known):
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
    seconds, has_offset = iso_times(cells)
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
    counts = [int(cells.counts[~np.isnat(formatted_times(cells, each)[0])].sum()) for each in forms]
    if max(counts) <= readable:
        return None
    if "%b" in forms[0] or "%B" in forms[0] or len(forms) == 1:
        return TimeForm(forms[int(np.argmax(counts))])
    return _Doubt(forms, example, settings.section).decide(cells)
