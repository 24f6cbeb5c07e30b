"""Dates along an axis: where ticks stand and what they say.

Moments are local wall-clock seconds counted as if UTC, as `SalesPanel` keeps them.
"""

import math
from datetime import UTC, datetime

from recsys.reports.axes import Scale, text_width

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HOUR, DAY = 3_600, 86_400
# the first Monday after 1970-01-01, where weeks are counted from
MONDAY = 4 * DAY
# length of a step and where one of them begins
CLOCK_STEPS = (
    *((hours * HOUR, 0) for hours in (1, 2, 3, 6, 12)),
    *((days * DAY, 0) for days in (1, 2)),
    *((weeks * 7 * DAY, MONDAY) for weeks in (1, 2)),
)
MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)


def date_ticks(
    across: Scale, right: float, size: float, step_seconds: int = HOUR
) -> list[tuple[float, str]]:
    """Round moments (seconds, label), as many as stand side by side; none never, if any fits.

    Steps are hours, days, weeks from Monday, months or years. Labels, centred on their ticks, stay
    between 0 and `right`.

    Args:
        across: from seconds to the picture.
        right: end of the picture.
        size: of the letters.
        step_seconds: ticks are not closer.
    """
    gap = 12.0
    few: list[tuple[float, str]] = []
    for tick_at in _candidates(int(across.low), int(across.high), step_seconds):
        placed = [(across(at), at, name) for at, name in tick_at]
        widths = {name: text_width(name, size) for _, _, name in placed}
        inside = [
            (x, at, name)
            for x, at, name in placed
            if x - widths[name] / 2 >= 0 and x + widths[name] / 2 <= right
        ]
        free = all(
            after - before >= (widths[name] + widths[other]) / 2 + gap
            for (before, _, name), (after, _, other) in zip(inside, inside[1:], strict=False)
        )
        found = [(float(at), name) for _, at, name in inside]
        if free and len(found) >= 2:
            return found
        if free and len(found) > len(few):
            few = found
    return few or _single(across, right, size)


def day_name(seconds: float) -> str:
    """12 Mar 2017."""
    day = datetime.fromtimestamp(seconds, UTC)
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def moment_name(seconds: float, step_seconds: int) -> str:
    """12 Mar 2017, with the time of day where steps are shorter than a day."""
    clock = f", {datetime.fromtimestamp(seconds, UTC):%H:%M}" if step_seconds < DAY else ""
    return day_name(seconds) + clock


def date_range(first: float, last: float) -> str:
    """12 Mar 2017; 12 to 19 Mar 2017; 12 Mar to 2 Apr 2017; 12 Dec 2016 to 2 Jan 2017."""
    begin, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    if begin.date() == end.date():
        return day_name(last)
    words = day_name(first).split()
    shared = 1 if begin.year != end.year else 2 if begin.month != end.month else 3
    return f"{' '.join(words[: 4 - shared])} to {day_name(last)}"


def _candidates(first: int, last: int, least: int) -> list[list[tuple[int, str]]]:
    """Ticks of every step that has few enough of them, the finest first."""
    found = []
    for step, offset in CLOCK_STEPS:
        if step >= least and (last - first) / step <= 15:
            begin = math.ceil((first - offset) / step) * step + offset
            moments = range(begin, last + 1, step)
            found.append([(at, _clock_name(at, step)) for at in moments])
    begin_day, end_day = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    for step in MONTH_STEPS:
        months = range(
            -(-(begin_day.year * 12 + begin_day.month - 1) // step) * step,
            end_day.year * 12 + end_day.month,
            step,
        )
        if len(months) <= 15:
            ticks = [(_month_start(month), _month_name(month, step)) for month in months]
            found.append([(at, name) for at, name in ticks if first <= at <= last])
    return found


def _clock_name(at: int, step: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if step < DAY and at % DAY:
        return f"{moment:%H:%M}"
    return f"{moment.day} {MONTHS[moment.month - 1]}"


def _month_start(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def _month_name(month: int, step: int) -> str:
    if step >= 12:
        return str(month // 12)
    return MONTHS[month % 12] + (f" {month // 12}" if month % 12 == 0 else "")


def _single(across: Scale, right: float, size: float) -> list[tuple[float, str]]:
    """The first moment, where nothing round lies inside."""
    name = _clock_name(int(across.low), HOUR)
    half = text_width(name, size) / 2
    fits = across(across.low) - half >= 0 and across(across.low) + half <= right
    return [(across.low, name)] if fits else []
