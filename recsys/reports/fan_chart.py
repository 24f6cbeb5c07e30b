"""The picture of a forecast: what was sold before and after, the median and its intervals."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from recsys.reports import svg
from recsys.reports.axes import Scale, shortened, text_width, tick_labels, ticks
from recsys.reports.charts import FONT, NARROW
from recsys.reports.dates import date_range, date_ticks, moment_name
from recsys.reports.formats import percent, quantity

# opacity of the intervals, from the widest
SHADES = ("wide", "middle", "inner")


@dataclass(frozen=True)
class Fan:
    """A forecast beside what was sold. Values that are missing are NaN.

    Attributes:
        start: of the first step of `sold`, local wall-clock seconds.
        step_seconds: length of a step.
        sold: history and, after it, what was sold in the horizon, (T + H,).
        quantiles: level to values (H,).
        beside: a baseline's forecast, (H,) or empty.
    """

    start: float
    step_seconds: int
    sold: np.ndarray
    quantiles: dict[float, np.ndarray]
    beside: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def horizon(self) -> int:
        """Steps forecast."""
        return max((len(values) for values in self.quantiles.values()), default=0)

    @property
    def origin(self) -> int:
        """Step of `sold` at which the forecast begins."""
        return len(self.sold) - self.horizon

    def at(self, step: float) -> float:
        """When a step begins, in seconds."""
        return self.start + step * self.step_seconds

    def intervals(self) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """(share inside, low, high) of every pair of levels around the median, the widest first."""
        return [
            (1 - 2 * level, self.quantiles[level], self.quantiles[opposite])
            for level in sorted(self.quantiles)
            for opposite in self.quantiles
            if level < 0.5 and math.isclose(level + opposite, 1)
        ]


def fan_chart(fan: Fan, *, y_label: str, description: str, width: float = NARROW) -> Markup:
    """Sales as a line of ink, the median as a line of colour on its intervals, over dates.

    Args:
        fan: what to draw.
        y_label: unit and step.
        description: what is shown, for those who cannot see it.
        width: of the picture.
    """
    values = [fan.sold, fan.beside, *fan.quantiles.values()]
    finite = np.concatenate([each[np.isfinite(each)] for each in values])
    if len(finite) == 0 or len(fan.sold) < 2:
        words = svg.text(width / 2, 24, "nothing to show", "tick", "middle")
        return svg.picture([words], width, 40, description)
    low, high = _sales_range(finite)
    top, bottom = 28.0, 170.0
    y_ticks = ticks(low, high, 5)
    y_names = tick_labels(y_ticks)
    left = max(text_width(name, FONT) for name in y_names) + 12
    # a single step needs room for its interval
    last = len(fan.sold) - (0.5 if fan.horizon == 1 else 1)
    across = Scale(fan.at(0), fan.at(last), left, width - 4)
    up = Scale(low, high, bottom, top)
    parts = [svg.text(0, 14, shortened(y_label, width, FONT), "label")]
    for value, name in zip(y_ticks, y_names, strict=True):
        parts.append(svg.line(left, up(value), width, up(value), "grid"))
        parts.append(svg.text(left - 8, up(value) + 4, name, "tick", "end"))
    parts.append(svg.line(left, bottom, width, bottom, "axis"))
    for at, name in date_ticks(across, width, FONT, fan.step_seconds):
        parts.append(svg.line(across(at), bottom, across(at), bottom + 4, "axis"))
        parts.append(svg.text(across(at), bottom + 20, name, "tick", "middle"))
    dates = date_range(fan.at(0), fan.at(len(fan.sold) - 1))
    parts.append(svg.text((left + width) / 2, bottom + 40, dates, "label", "middle"))
    parts += _fan(fan, across, up)
    parts += _targets(fan, across, top, bottom)
    return svg.picture(parts, width, bottom + 46, description)


def swatch(style: str, shades: tuple[str, ...] = ()) -> Markup:
    """A small sample of a line or of an area, for a key."""
    if shades:
        sample = [svg.rectangle(0, 0, 22, 12, f"band {shade}") for shade in shades]
    else:
        sample = [svg.line(1, 6, 21, 6, f"line {style}")]
    # read as part of the words beside it
    template = '<svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">{}</svg>'
    return Markup(template).format(Markup("").join(sample))


def _sales_range(values: np.ndarray) -> tuple[float, float]:
    """From 0 where that leaves the picture at least half full."""
    low, high = float(values.min()), float(values.max())
    if 0 <= low <= high / 2:
        return 0.0, (high or 1.0) * 1.06
    room = (high - low) * 0.06 or abs(high) * 0.1 or 0.5
    return low - room, high + room


def _fan(fan: Fan, across: Scale, up: Scale) -> Iterator[Markup]:
    ahead = np.arange(fan.origin, len(fan.sold))
    for shade, (_, low, high) in zip(SHADES, fan.intervals(), strict=False):
        for run in _runs(low + high):
            # a single step has no width of its own
            reach = (-0.4, 0.4) if len(run) == 1 else (0.0,)
            steps = [(i, across(fan.at(ahead[i] + shift))) for i in run for shift in reach]
            edge = [(x, up(high[i])) for i, x in steps]
            edge += [(x, up(low[i])) for i, x in reversed(steps)]
            yield svg.polygon(edge, f"band {shade}")
    if fan.origin > 0:
        border = across(fan.at(fan.origin - 0.5))
        yield svg.line(border, up.end - 6, border, up.start, "border")
    lines = [(fan.beside, "line beside"), (fan.quantiles.get(0.5, fan.beside[:0]), "line median")]
    for values, style in lines:
        yield from _line(values, fan.origin, fan, across, up, style)
    yield from _line(fan.sold, 0, fan, across, up, "line sold")


def _line(
    values: np.ndarray, first: int, fan: Fan, across: Scale, up: Scale, style: str
) -> Iterator[Markup]:
    for run in _runs(values):
        points = [(across(fan.at(first + i)), up(values[i])) for i in run]
        # a step between two gaps would be no line at all
        yield (
            svg.polyline(points, style)
            if len(points) > 1
            else svg.circle(*points[0], 3, style.replace("line", "dot"))
        )


def _runs(values: np.ndarray) -> list[range]:
    """Stretches of steps without a gap."""
    known = np.concatenate([[False], np.isfinite(values), [False]]).astype(np.int8)
    turns = np.flatnonzero(np.diff(known)).tolist()
    return [range(begin, end) for begin, end in zip(turns[::2], turns[1::2], strict=True)]


def _targets(fan: Fan, across: Scale, top: float, bottom: float) -> Iterator[Markup]:
    """What each forecast step says under the pointer."""
    median = fan.quantiles.get(0.5)
    step = across(fan.at(1)) - across(fan.at(0))
    for ahead in range(fan.horizon):
        at = fan.at(fan.origin + ahead)
        words = [f"sold {quantity(fan.sold[fan.origin + ahead])}"]
        if median is not None:
            words.append(f"forecast {quantity(median[ahead])}")
        words += [
            f"{percent(share, 0)} interval {quantity(low[ahead])} to {quantity(high[ahead])}"
            for share, low, high in fan.intervals()
        ]
        target = svg.rectangle(across(at) - step / 2, top, step, bottom - top, "target")
        yield svg.titled(f"{moment_name(at, fan.step_seconds)}: {', '.join(words)}", target)
