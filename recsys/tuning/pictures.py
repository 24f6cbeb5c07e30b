"""Two pictures of a sweep: values by trial, and settings from axis to axis."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from recsys.reports import svg
from recsys.reports.axes import Scale, padded_range, shortened, text_width, tick_labels, ticks
from recsys.reports.charts import FONT, SMALL, WIDTH
from recsys.reports.formats import decimal
from recsys.tuning.space import Choice, Range
from recsys.tuning.trial_table import shown

_ROW = 62.0  # from one axis to the next
_EDGE = 10.0  # half a dot, and a little


class Point(NamedTuple):
    """A trial that gave a value: its number, the value, and whether it was pruned."""

    number: int
    value: float
    pruned: bool = False


class Trace(NamedTuple):
    """A trial's settings and value: what it is called, settings by key, and how good it is."""

    name: str
    settings: dict[str, Any]
    value: float
    style: str = "rest"  # or good, best


def history_chart(points: Sequence[Point], *, y_label: str, higher_is_better: bool) -> Markup:
    """A dot a trial, hollow where it was pruned, and a line of the best value so far."""
    points = [point for point in points if math.isfinite(point.value)]
    if not points:
        words = svg.text(WIDTH / 2, 24, "no trial gave a value", "tick", "middle")
        return svg.picture([words], WIDTH, 40, y_label)
    low, high = padded_range([point.value for point in points])
    y_ticks = ticks(low, high)
    y_names = tick_labels(y_ticks)
    left = max(text_width(name, FONT) for name in y_names) + 12
    top, bottom = 28.0, 226.0
    last = max(point.number for point in points)
    across, up = Scale(0.0, last or 1, left + _EDGE, WIDTH - _EDGE), Scale(low, high, bottom, top)
    parts = [svg.text(0, 14, shortened(y_label, WIDTH, FONT), "label")]
    for value, name in zip(y_ticks, y_names, strict=True):
        parts.append(svg.line(left, up(value), WIDTH, up(value), "grid"))
        parts.append(svg.text(left - 8, up(value) + 4, name, "tick", "end"))
    x_ticks = ticks(0.0, last, 7, smallest_step=1)
    for value, name in zip(x_ticks, tick_labels(x_ticks), strict=True):
        x = min(across(value), WIDTH - text_width(name, FONT) / 2)
        parts.append(svg.text(x, bottom + 20, name, "tick", "middle"))
    parts.append(svg.line(left, bottom, WIDTH, bottom, "axis"))
    parts.append(svg.text((left + WIDTH) / 2, bottom + 40, "trial", "label", "middle"))
    steps = _best_so_far(points, higher_is_better)
    if steps:
        corners = [(across(number), up(value)) for number, value in steps]
        parts.append(svg.polyline([*corners, (across(last), corners[-1][1])], "line accent"))
    for point in points:
        style = "hollow" if point.pruned else "dot quiet"
        dot = svg.circle(across(point.number), up(point.value), 3.5, style)
        note = ", pruned" if point.pruned else ""
        parts.append(svg.titled(f"trial {point.number}: {decimal(point.value)}{note}", dot))
    return svg.picture(parts, WIDTH, bottom + 46, f"{y_label} by trial")


def parallel_chart(
    traces: Sequence[Trace], space: dict[str, Choice | Range], *, metric: str
) -> Markup:
    """An axis a setting, one below the other, and last the metric; a line a trial.

    Axes lie across, so that a narrow screen shows all of them.

    Args:
        traces: the later ones are drawn over the earlier ones.
        space: what the axes span.
        metric: name of the last axis.
    """
    traces = [trace for trace in traces if math.isfinite(trace.value)]
    if not traces:
        words = svg.text(WIDTH / 2, 24, "no trial gave a value", "tick", "middle")
        return svg.picture([words], WIDTH, 40, metric)
    axes = [_axis_of(key, part) for key, part in space.items()]
    axes.append(_values_axis(metric, [trace.value for trace in traces]))
    heights = [30.0 + row * _ROW for row in range(len(axes))]
    parts = []
    for trace in traces:
        values = [*(trace.settings[key] for key in space), trace.value]
        corners = [
            (axis.place(value), y) for axis, value, y in zip(axes, values, heights, strict=True)
        ]
        line = svg.polyline(corners, f"line trace {trace.style}")
        drawn = ", ".join(f"{k.rpartition('.')[2]} {shown(v)}" for k, v in trace.settings.items())
        parts.append(svg.titled(f"{trace.name}: {decimal(trace.value)} ({drawn})", line))
    for axis, y in zip(axes, heights, strict=True):
        parts.append(svg.line(_EDGE, y, WIDTH - _EDGE, y, "axis"))
        parts.append(svg.text(_EDGE, y - 8, shortened(axis.name, WIDTH - 60, FONT), "label haloed"))
        for value, _ in axis.marks:
            x = axis.place(value)
            parts.append(svg.line(x, y - 3, x, y + 3, "axis"))
        for x, name in _names_that_fit(axis):
            parts.append(svg.text(x, y + 16, name, "small haloed", "middle"))
    return svg.picture(parts, WIDTH, heights[-1] + 24, f"settings and {metric} of every trial")


class _Axis(NamedTuple):
    name: str
    scale: Scale
    marks: list[tuple[Any, str]]
    choices: tuple[Any, ...] = ()
    log: bool = False

    def place(self, value: Any) -> float:
        if self.choices:
            return self.scale(self.choices.index(value))
        return self.scale(math.log10(value) if self.log else value)


def _axis_of(key: str, part: Choice | Range) -> _Axis:
    start, end = _EDGE + 8, WIDTH - _EDGE - 8
    if isinstance(part, Choice):
        marks = [(value, _briefly(value)) for value in part.values]
        # a single choice stands in the middle
        low, high = (0.0, len(marks) - 1.0) if len(marks) > 1 else (-1.0, 1.0)
        return _Axis(key, Scale(low, high, start, end), marks, part.values)
    low, high = (part.low, part.high) if part.high > part.low else (part.low - 1, part.high + 1)
    if part.log:
        marks = [(value, shown(value)) for value in (part.low, part.high)]
        scale = Scale(math.log10(low), math.log10(high), start, end)
        powers = range(math.ceil(scale.low + 1e-9), math.ceil(scale.high - 1e-9))
        marks[1:1] = [(10.0**power, f"{10.0**power:g}") for power in powers]
        return _Axis(f"{key} (logarithmic)", scale, marks, log=True)
    inner = ticks(low, high, 6)
    return _Axis(
        key, Scale(low, high, start, end), list(zip(inner, tick_labels(inner), strict=True))
    )


def _briefly(value: Any) -> str:
    """A choice on an axis; of a list, such as the layers of a tower, without its brackets."""
    return "-".join(map(shown, value)) if isinstance(value, list) and value else shown(value)


def _values_axis(metric: str, values: list[float]) -> _Axis:
    low, high = padded_range(values)
    inner = ticks(low, high, 6)
    scale = Scale(low, high, _EDGE + 8, WIDTH - _EDGE - 8)
    return _Axis(metric, scale, list(zip(inner, tick_labels(inner), strict=True)))


def _names_that_fit(axis: _Axis) -> list[tuple[float, str]]:
    """Names of the marks with the middle of each; the ends first, then what has room between."""
    marks = (
        axis.marks[:1] + axis.marks[-1:] + axis.marks[1:-1] if len(axis.marks) > 1 else axis.marks
    )
    placed: list[tuple[float, float, str]] = []
    for value, name in marks:
        half = text_width(name, SMALL) / 2
        x = min(max(axis.place(value), half), WIDTH - half)
        if all(abs(x - other) >= half + width + 6 for other, width, _ in placed):
            placed.append((x, half, name))
    return [(x, name) for x, _, name in placed]


def _best_so_far(points: Sequence[Point], higher_is_better: bool) -> list[tuple[int, float]]:
    """Corners of a staircase over the trials that were not pruned."""
    corners: list[tuple[int, float]] = []
    sign = 1 if higher_is_better else -1
    for point in sorted(points):
        if point.pruned:
            continue
        if corners and sign * point.value <= sign * corners[-1][1]:
            continue
        if corners:
            corners.append((point.number, corners[-1][1]))
        corners.append((point.number, point.value))
    return corners
