"""Charts as inline SVG: they scale with the page, take its colours and need nothing else.

A chart is `WIDTH` units wide, made for half a desktop page or a whole phone; bars may also be
`NARROW`, for a third. Values that are not finite are left out of the picture.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from recsys.reports import svg
from recsys.reports.axes import Scale, padded_range, shortened, text_width, tick_labels, ticks
from recsys.reports.formats import decimal, percent, plural
from recsys.reports.labels import INTERVAL

WIDTH = 380
NARROW = 300
# heights of the words; the style sheet says the same
FONT = 13
SMALL = 11


@dataclass(frozen=True)
class Series:
    """A line: points (x, y) in order of x; `style` is accent, quiet or faint (dashed).

    Of several that share a label, only one need be `named` in the legend.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "accent"
    named: bool = True

    def points(self) -> list[tuple[float, float]]:
        """Those that can be drawn."""
        pairs = zip(self.x, self.y, strict=True)
        return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


class Mark(NamedTuple):
    """A vertical line through a chart, with words on it."""

    x: float
    label: str


class Level(NamedTuple):
    """A horizontal line through a chart, named in the legend."""

    y: float
    label: str


@dataclass(frozen=True)
class Bar:
    """A bar from 0 with its value; `interval` (low, high) and a second label where there are."""

    label: str
    value: float
    style: str = "quiet"
    interval: tuple[float, float] | None = None
    detail: str = ""


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    mark: Mark | None = None,
    level: Level | None = None,
) -> Markup:
    """Lines over whole numbers such as epochs, with axes, ticks and, for several, a legend."""
    series = [each for each in series if each.points()]
    if not series:
        return _nothing(y_label)
    points = [point for each in series for point in each.points()]
    low, high = padded_range([y for _, y in points] + ([level.y] if level else []))
    first, last = _ends([x for x, _ in points] + ([mark.x] if mark else []))
    y_ticks = ticks(low, high)
    y_names = tick_labels(y_ticks)
    left = max(text_width(name, FONT) for name in y_names) + 12
    top, bottom = 46.0 if mark else 28.0, 206.0
    x_ticks = ticks(first, last, 9, smallest_step=1)
    x_names = tick_labels(x_ticks)
    right = WIDTH - max(text_width(x_names[-1], FONT) / 2, 8)
    across, up = Scale(first, last, left + 8, right), Scale(low, high, bottom, top)
    parts = [svg.text(0, 14, shortened(y_label, WIDTH, FONT), "label")]
    for value, name in zip(y_ticks, y_names, strict=True):
        parts.append(svg.line(left, up(value), WIDTH, up(value), "grid"))
        parts.append(svg.text(left - 8, up(value) + 4, name, "tick", "end"))
    for value, name in zip(x_ticks, x_names, strict=True):
        parts.append(svg.text(across(value), bottom + 20, name, "tick", "middle"))
    parts.append(svg.line(left, bottom, WIDTH, bottom, "axis"))
    parts.append(svg.text((left + WIDTH) / 2, bottom + 40, x_label, "label", "middle"))
    if mark:
        parts += _mark(mark.label, across(mark.x), left, top, bottom)
    if level:
        parts.append(svg.line(left, up(level.y), WIDTH, up(level.y), "mark"))
    for each in series:
        parts += _curve(each, across, up, x_label)
    named = [*series, Series(level.label, (), (), "mark")] if level else series
    legend, height = _legend(named, left, bottom + 62)
    return svg.picture(parts + legend, WIDTH, height, f"{y_label} by {x_label}")


def bar_chart(
    bars: Sequence[Bar],
    *,
    description: str,
    show: Callable[[float], str] = decimal,
    width: float = WIDTH,
) -> Markup:
    """Horizontal bars from 0 on one scale, each with its label above and its value beside.

    An undefined value has no bar.

    Args:
        bars: values at least 0, from the top.
        description: what is shown, for those who cannot see it.
        show: writes a value.
        width: of the picture.
    """
    ends = [end for bar in bars for end in (bar.value, *(bar.interval or ()))]
    values = [show(bar.value) for bar in bars]
    room = max((text_width(value, FONT) for value in values), default=0.0) + 12
    highest = max((end for end in ends if math.isfinite(end)), default=0.0)
    scale = Scale(0.0, highest if highest > 0 else 1.0, 0.0, width - room)
    parts = [
        _bar(bar, value, scale, width, 46.0 * row)
        for row, (bar, value) in enumerate(zip(bars, values, strict=True))
    ]
    return svg.picture(parts, width, max(46.0 * len(bars) - 6, 20), description)


def histogram(
    values: Sequence[float],
    edges: Sequence[float],
    *,
    x_label: str,
    noun: str,
    description: str,
    apart: bool = True,
    accent_until: float = math.inf,
) -> Markup:
    """Shares of the values in bins (low, high]; what equals the lowest edge has a column apart.

    Args:
        values: between the first and the last edge.
        edges: of the bins, ascending; the last may be infinite.
        apart: False counts what equals the lowest edge in the first bin.
        accent_until: bins above it are grey.
        x_label: what the values are.
        noun: what was counted, in the singular.
        description: what is shown, for those who cannot see it.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return _nothing(description)
    # bins stand after the column of what is apart, if there is one
    first = 1 if apart else 0
    columns = len(edges) - 1 + first
    column_of = np.searchsorted(edges, finite, side="left") - 1 + first
    counts = np.bincount(column_of.clip(0, columns - 1), minlength=columns).tolist()
    gap, top, bottom = 12.0 if apart else 0.0, 24.0, 170.0
    width = (WIDTH - gap) / columns
    up = Scale(0.0, max(counts) / len(finite), bottom, top)
    parts = []
    for column, count in enumerate(counts):
        share = count / len(finite)
        edge = column + 1 - first
        bin_name = _bin_name(edges, edge)
        title = f"{bin_name}: {plural(count, noun)} ({percent(share)})"
        x = column * width + (gap if column else 0.0)
        grey = edge == 0 or edges[edge] > accent_until * (1 + 1e-9)
        parts.append(_column(x, width, up(share), bottom, title, share, grey))
    if apart:
        parts.append(svg.line(0, bottom, width, bottom, "axis"))
    parts.append(svg.line(width * first + gap, bottom, WIDTH, bottom, "axis"))
    anchor = "middle" if apart else "start"
    parts.append(svg.text(width / 2 if apart else 0, bottom + 18, f"{edges[0]:g}", "tick", anchor))
    every = math.ceil((len(edges) - 1) / 5)
    for edge in range(every, len(edges), every):
        if math.isfinite(edges[edge]):
            anchor = "end" if edge == len(edges) - 1 else "middle"
            x = (edge + first) * width + gap
            parts.append(svg.text(x, bottom + 18, f"{edges[edge]:g}", "tick", anchor))
    parts.append(svg.text(WIDTH / 2, bottom + 38, x_label, "label", "middle"))
    return svg.picture(parts, WIDTH, bottom + 46, description)


def _bin_name(edges: Sequence[float], edge: int) -> str:
    if edge == 0:
        return f"{edges[0]:g}"
    if math.isinf(edges[edge]):
        return f"above {edges[edge - 1]:g}"
    return f"above {edges[edge - 1]:g} to {edges[edge]:g}"


def _nothing(description: str) -> Markup:
    words = svg.text(WIDTH / 2, 24, "nothing to show", "tick", "middle")
    return svg.picture([words], WIDTH, 40, description)


def _ends(values: list[float]) -> tuple[float, float]:
    """Lowest and highest; a single value gets room on both sides."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _mark(label: str, x: float, left: float, top: float, bottom: float) -> list[Markup]:
    half = text_width(label, FONT) / 2
    middle = min(max(x, left + half), WIDTH - half)
    words = svg.text(middle, top - 12, label, "marked", "middle")
    return [svg.line(x, top - 6, x, bottom, "mark"), words]


def _curve(series: Series, across: Scale, up: Scale, x_label: str) -> list[Markup]:
    points = series.points()
    radius = 3.5 if len(points) <= 40 else 1.5
    parts = [svg.polyline([(across(x), up(y)) for x, y in points], f"line {series.style}")]
    for x, y in points:
        dot = svg.circle(across(x), up(y), radius, f"dot {series.style}")
        parts.append(svg.titled(f"{series.label}, {x_label} {x:g}: {decimal(y)}", dot))
    return parts


def _legend(series: Sequence[Series], left: float, y: float) -> tuple[list[Markup], float]:
    """Names under the picture, in as many rows as they need, and where the picture ends."""
    entries = [each for each in series if each.named]
    if len(entries) < 2:
        return [], y - 14
    parts: list[Markup] = []
    x = left
    for each in entries:
        name = shortened(each.label, WIDTH - left - 26, FONT)
        width = text_width(name, FONT) + 44
        if x > left and x + width - 18 > WIDTH:
            x, y = left, y + 20
        parts.append(svg.line(x, y - 4, x + 18, y - 4, f"line {each.style}"))
        parts.append(svg.text(x + 24, y, name, "tick"))
        x += width
    return parts, y + 8


def _bar(bar: Bar, value: str, scale: Scale, width: float, y: float) -> Markup:
    label = shortened(bar.label, width - text_width(bar.detail, FONT) - 16, FONT)
    parts = [svg.text(0, y + 13, label, "label strong" if bar.style == "accent" else "label")]
    if bar.detail:
        parts.append(svg.text(width, y + 13, bar.detail, "tick", "end"))
    title = f"{bar.label}: {value}"
    if math.isfinite(bar.value):
        parts.append(svg.rectangle(0, y + 20, scale(max(bar.value, 0)), 14, f"bar {bar.style}"))
    if bar.interval and all(math.isfinite(end) for end in bar.interval):
        low, high = (scale(max(end, 0)) for end in bar.interval)
        parts.append(svg.line(low, y + 27, high, y + 27, "whisker"))
        parts += [svg.line(end, y + 23, end, y + 31, "whisker") for end in (low, high)]
        title += f", {INTERVAL} {decimal(bar.interval[0])} to {decimal(bar.interval[1])}"
    parts.append(svg.text(width, y + 31, value, "value", "end"))
    return svg.titled(title, *parts)


def _column(
    x: float, width: float, y: float, bottom: float, title: str, share: float, grey: bool
) -> Markup:
    style = "bar quiet" if grey else "bar accent"
    column = svg.rectangle(x + 1.5, y, width - 3, bottom - y, style)
    # the whole height answers to the pointer, also where the column is low
    target = svg.rectangle(x, 0, width, bottom, "target")
    label = percent(share, 0) if share else ""
    half = text_width(label, SMALL) / 2
    middle = min(max(x + width / 2, half), WIDTH - half)
    return svg.titled(title, target, column, svg.text(middle, y - 6, label, "small", "middle"))
