"""Numbers and dates as people read them; what is missing or undefined is a dash.

A number and its unit stand on one line: between them is a no-break space.
"""

import math
from datetime import UTC, datetime

MISSING = "–"
DAY = 86_400


def decimal(value: float | None, places: int = 4) -> str:
    """0.1115; a dash where the value is missing, NaN or infinite."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def percent(share: float | None, places: int = 1) -> str:
    """8.8 % of a share of 0.088; what is above 0 never reads as 0."""
    if share is None or not math.isfinite(share):
        return MISSING
    least = 10.0**-places
    if 0 < 100 * share < least / 2:
        return f"<{least:.{places}f}\N{NO-BREAK SPACE}%"
    return f"{100 * share:.{places}f}\N{NO-BREAK SPACE}%"


def signed_percent(share: float | None, places: int = 1) -> str:
    """+1.2 % of 0.012, with a sign on both sides of 0."""
    if share is None or not math.isfinite(share):
        return MISSING
    # a minus as wide as the plus; what rounds to 0 has no sign
    words = f"{100 * share:+.{places}f}".replace("-", "\N{MINUS SIGN}")
    if not any(digit in words for digit in "123456789"):
        words = words[1:]
    return f"{words}\N{NO-BREAK SPACE}%"


def whole(value: float | None) -> str:
    """Thousands separated: 1,471,000."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def quantity(value: float | None) -> str:
    """What was sold or forecast, in about three digits: 12,345, 123, 12.3, 0.12, 3."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def plural(count: int, noun: str) -> str:
    """1 customer, 1,200 customers; series stay series."""
    return f"{count:,} {noun}{'' if count == 1 or noun.endswith('s') else 's'}"


def listed(words: list[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])


def sentence_case(words: str) -> str:
    """The first letter in upper case, the others as they are."""
    return words[:1].upper() + words[1:]


def duration(seconds: float | None) -> str:
    """0.3 s, 57 s, 4 min 10 s, 2 h 5 min."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{minutes} min {rest} s" if hours == 0 else f"{hours} h {minutes_left} min"


def moment(timestamp: str | None) -> str:
    """2026-03-01T12:30:59Z as 2026-03-01 12:30 UTC; other offsets stay as they are."""
    if not timestamp:
        return MISSING
    day, _, clock = timestamp.partition("T")
    zone = clock[8:].lstrip(".0123456789")
    zone = "UTC" if zone in ("Z", "+00:00") else zone
    return f"{day} {clock[:5]} {zone}".strip()


def signed(value: float) -> str:
    """+0.0123, with a minus as wide as the plus; a dash where undefined."""
    return MISSING if not math.isfinite(value) else f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def day_name(seconds: float) -> str:
    """12 Mar 2017; moments are local wall-clock seconds counted as if UTC, as in `SalesPanel`."""
    day = datetime.fromtimestamp(seconds, UTC)
    return f"{day.day} {day:%b %Y}"


def moment_name(seconds: float, step: str) -> str:
    """12 Mar 2017, with the time of day where steps are hours; Mar 2017 where they are months."""
    if step == "month":
        return f"{datetime.fromtimestamp(seconds, UTC):%b %Y}"
    clock = f", {datetime.fromtimestamp(seconds, UTC):%H:%M}" if step == "hour" else ""
    return day_name(seconds) + clock


def date_range(first: float, last: float, step: str = "day") -> str:
    """12 Mar 2017; 12 to 19 Mar 2017; 12 Mar to 2 Apr 2017; 12 Dec 2016 to 2 Jan 2017; of months
    Dec 2016 to Jan 2017.
    """
    if step == "month":
        edges = dict.fromkeys(moment_name(edge, step) for edge in (first, last))
        return " to ".join(edges)
    begin, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    if begin.date() == end.date():
        return day_name(last)
    words = day_name(first).split()
    shared = 1 if begin.year != end.year else 2 if begin.month != end.month else 3
    return f"{' '.join(words[: 4 - shared])} to {day_name(last)}"


def show_metric(metric: str, value: float) -> str:
    """A value as people read it: shares as percent, sMAPE in its own percent."""
    if metric.startswith("coverage_"):
        return percent(value)
    if metric == "bias":
        return signed_percent(value)
    return decimal(value, 2 if metric == "smape" else 4)


def form_words(form: str) -> str:
    """The form in which times were written, with the order of day and month in words."""
    day, month = (
        min((place for mark in marks if (place := form.find(mark)) >= 0), default=-1)
        for marks in (("%d",), ("%m", "%b", "%B"))
    )
    year = max(form.find("%Y"), form.find("%y"), form.find("%G"))
    if day < 0 or month < 0 or -1 < year < min(day, month):
        return form
    return f"{form} ({'day' if day < month else 'month'} first)"
