"""Two pictures of a comparison: quality against training time, and differences to the reference."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from recsys.comparison.words import signed
from recsys.reports import svg
from recsys.reports.axes import Scale, padded_range, shortened, text_width, tick_labels, ticks
from recsys.reports.charts import FONT, SMALL, WIDTH
from recsys.reports.formats import decimal, duration

_SPARSE_SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)
_DENSE_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600, 7_200, 18_000)
_HEIGHT = 300.0
_STRIP = 80.0  # for what has no training time
_LINE = 13.0  # from one name to the next
_REACH = 8.0  # from a dot to its name


class Dot(NamedTuple):
    """A model: seconds of training (None: none recorded), the metric and its interval."""

    name: str
    seconds: float | None
    value: float
    interval: tuple[float, float]
    style: str = "accent"


class Span(NamedTuple):
    """A difference with its interval; accent where it is no luck."""

    name: str
    value: float
    interval: tuple[float, float]
    style: str = "quiet"


class Box(NamedTuple):
    """A rectangle of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def time_chart(dots: Sequence[Dot], *, y_label: str) -> Markup:
    """The metric over training time on a logarithmic axis, names beside the dots.

    What has no training time (closed-form models) stands in a strip of its own on the left.
    """
    timed = [dot.seconds for dot in dots if dot.seconds]
    ends = [end for dot in dots for end in (dot.value, *dot.interval) if math.isfinite(end)]
    low, high = padded_range(ends)
    y_ticks = ticks(low, high)
    y_names = tick_labels(y_ticks)
    top, bottom = 28.0, _HEIGHT
    left = max(text_width(name, FONT) for name in y_names) + 12
    start = left + (_STRIP if len(timed) < len(dots) else 0.0)
    up = Scale(low, high, bottom, top)
    parts = [svg.text(0, 14, shortened(y_label, WIDTH, FONT), "label")]
    for value, name in zip(y_ticks, y_names, strict=True):
        parts.append(svg.line(left, up(value), WIDTH, up(value), "grid"))
        parts.append(svg.text(left - 8, up(value) + 4, name, "tick", "end"))
    parts.append(svg.line(left, bottom, WIDTH, bottom, "axis"))
    across = None
    if timed:
        # room for half a dot, and for a single time
        first, last = math.log10(min(timed)), math.log10(max(timed))
        room = max((last - first) * 0.05, 0.1)
        across = Scale(first - room, last + room, start, WIDTH)
        parts += _time_ticks(across, bottom, sorted({min(timed), max(timed)}))
        parts.append(svg.text((start + WIDTH) / 2, bottom + 40, "training time", "label", "middle"))
    if start > left:
        parts.append(svg.line(start, top, start, bottom, "grid"))
        parts.append(svg.text((left + start) / 2, bottom + 20, "not timed", "tick", "middle"))
    places = []
    for dot in dots:
        timed_here = across is not None and dot.seconds
        x = across(math.log10(dot.seconds)) if timed_here else (left + start) / 2  # type: ignore[misc, arg-type]
        places.append((x, up(dot.value)))
    names = [shortened(dot.name, WIDTH - left - 24, SMALL) for dot in dots]
    whiskers = [_whisker(dot, x, up) for dot, (x, _) in zip(dots, places, strict=True)]
    area = Box(left, top, WIDTH, bottom)
    labels = place_names(places, [text_width(name, SMALL) for name in names], whiskers, area)
    for dot, name, (x, y), whisker, label in zip(
        dots, names, places, whiskers, labels, strict=True
    ):
        parts.append(_drawn_dot(dot, name, x, y, whisker, label))
    return svg.picture(parts, WIDTH, bottom + 46, f"{y_label} by training time")


def place_names(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    taken: Sequence[Box],
    area: Box,
) -> list[Box | None]:
    """A place for the name of each point: beside it, else as near as is free, else None.

    Args:
        points: (x, y) of the dots.
        widths: of the names.
        taken: where no name may stand, beside the dots.
        area: where names may stand.
    """
    obstacles = list(taken)
    # the crowded choose first: those with most neighbours at their height
    order = sorted(
        range(len(points)),
        key=lambda index: -sum(abs(points[index][1] - y) < 2 * _LINE for _, y in points),
    )
    found: list[Box | None] = [None] * len(points)
    for index in order:
        (x, y), width = points[index], widths[index]
        avoided = [*obstacles, *(_around(point, (x, y)) for point in points)]
        for box in _candidates(x, y, width, area):
            inside = area.left <= box.left and box.right <= area.right
            inside = inside and area.top <= box.top and box.bottom <= area.bottom
            if inside and not any(box.meets(other) for other in avoided):
                found[index] = box
                obstacles.append(box)
                break
    return found


def difference_chart(spans: Sequence[Span], *, x_label: str, mark: str) -> Markup:
    """Differences with their intervals around 0, which is the reference."""
    if not spans:
        words = svg.text(WIDTH / 2, 24, "nothing to compare", "tick", "middle")
        return svg.picture([words], WIDTH, 40, x_label)
    ends = [end for span in spans for end in (span.value, *span.interval) if math.isfinite(end)]
    low, high = padded_range([0.0, *ends])
    room = max(text_width(signed(span.value), FONT) for span in spans) + 12
    across = Scale(low, high, 4.0, WIDTH - room)
    top, bottom = 46.0, 46.0 + 40.0 * len(spans)
    half = text_width(mark, FONT) / 2
    middle = min(max(across(0.0), half), WIDTH - half)
    parts = [svg.text(middle, 14, shortened(mark, WIDTH, FONT), "marked", "middle")]
    for row, span in enumerate(spans):
        y = top + 40.0 * row
        # in pieces, so that it strikes no name through
        parts.append(svg.line(across(0.0), y + 4, across(0.0), y + 26, "mark"))
        parts.append(_drawn_span(span, across, y))
    parts.append(svg.line(4, bottom, WIDTH - room, bottom, "axis"))
    values = ticks(low, high, 4)
    for value, name in zip(values, tick_labels(values), strict=True):
        parts.append(svg.line(across(value), bottom, across(value), bottom + 4, "axis"))
        parts.append(svg.text(across(value), bottom + 20, name, "tick", "middle"))
    parts.append(svg.text(WIDTH / 2, bottom + 40, x_label, "label", "middle"))
    return svg.picture(parts, WIDTH, bottom + 46, x_label)


def _time_ticks(across: Scale, bottom: float, ends: list[float]) -> list[Markup]:
    """Ticks at round times; at the shortest and the longest where no round ones lie between."""
    inside = [
        [second for second in seconds if across.low <= math.log10(second) <= across.high]
        for seconds in (_SPARSE_SECONDS, _DENSE_SECONDS)
    ]
    values = next(
        (found for found, least in zip(inside, (3, 2), strict=True) if len(found) >= least), ends
    )
    parts: list[Markup] = []
    taken = across.start
    for value in values:
        name = _round_time(value) if values is not ends else duration(value)
        x, half = across(math.log10(value)), text_width(name, FONT) / 2
        parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
        x = min(max(x, across.start + half), across.end - half)
        if x - half >= taken:
            parts.append(svg.text(x, bottom + 20, name, "tick", "middle"))
            taken = x + half + 8
    return parts


def _round_time(seconds: float) -> str:
    """10 s, 2 min, 1 h."""
    unit, size = ("s", 1) if seconds < 60 else ("min", 60) if seconds < 3_600 else ("h", 3_600)
    return f"{seconds / size:g} {unit}"


def _whisker(dot: Dot, x: float, up: Scale) -> Box:
    low, high = (end if math.isfinite(end) else dot.value for end in dot.interval)
    return Box(x - 1, up(high), x + 1, up(low))


def _drawn_dot(dot: Dot, name: str, x: float, y: float, whisker: Box, label: Box | None) -> Markup:
    parts = [svg.line(x, whisker.top, x, whisker.bottom, "whisker")]
    parts.append(svg.circle(x, y, 4.5, f"dot {dot.style}"))
    if label is not None:
        edge = label.left if label.left > x else label.right
        middle = (label.top + label.bottom) / 2
        if abs(middle - y) > _LINE or abs(edge - x) > 2 * _REACH:
            parts.append(svg.line(x, y, min(max(x, label.left), label.right), middle, "axis"))
        parts.append(svg.text(label.left, label.bottom - 3, name, "small"))
    ends = " to ".join(decimal(end) for end in dot.interval)
    title = f"{dot.name}: {decimal(dot.value)} ({ends}), trained in {duration(dot.seconds)}"
    return svg.titled(title, *parts)


def _around(point: tuple[float, float], own: tuple[float, float]) -> Box:
    """What a name keeps clear of a dot: more of another's, so that it is not read as its name."""
    x, y = point
    across = 5.0 if math.dist(point, own) < _REACH else 2 * _REACH
    return Box(x - across, y - 5, x + across, y + 5)


def _candidates(x: float, y: float, width: float, area: Box) -> list[Box]:
    """Places from the nearest on; of places as near, right before left before above and below."""
    steps = range(math.ceil((area.bottom - area.top) / _LINE) + 1)
    middles = {y + sign * step * _LINE for step in steps for sign in (-1, 1)}
    centre = min(max(x - width / 2, area.left), area.right - width)
    lefts = {x + _REACH: 0.0, x - _REACH - width: 1.0, centre: 4.0}
    ranked = []
    for middle in sorted(middles):
        for left, penalty in lefts.items():
            box = Box(left, middle - _LINE / 2, left + width, middle + _LINE / 2)
            across = max(box.left - x, x - box.right, 0.0)
            ranked.append((math.hypot(across, middle - y) + penalty, box))
    return [box for _, box in sorted(ranked)]


def _drawn_span(span: Span, across: Scale, y: float) -> Markup:
    parts = [
        svg.text(4, y, shortened(span.name, WIDTH - 8, FONT), "label"),
        svg.circle(across(span.value), y + 14, 4.5, f"dot {span.style}"),
        svg.text(WIDTH, y + 18, signed(span.value), "value", "end"),
    ]
    low, high = span.interval
    if math.isfinite(low) and math.isfinite(high):
        parts.insert(1, svg.line(across(low), y + 14, across(high), y + 14, "whisker"))
    ends = " to ".join(signed(end) for end in span.interval)
    return svg.titled(f"{span.name}: {signed(span.value)} ({ends})", *parts)
