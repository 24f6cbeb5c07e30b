"""The picture of a forecast: sales before and after its origin, the median and its intervals."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    NARROW,
    new_chart,
    nothing_to_show,
    padded_range,
    page_style,
    svg_of,
)
from recsys.reports.formats import DAY, date_range, moment_name, percent, quantity
from recsys.steps import later, mean_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# an interval lies on the wider ones
BAND = 0.16
LINES: dict[str, dict[str, Any]] = {
    "sold": {"color": COLOR["ink"], "linewidth": 1.25},
    "median": {"color": COLOR["accent"], "linewidth": 2.0},
    "beside": {"color": COLOR["mark"], "linewidth": 1.25},
}


@dataclass(frozen=True)
class Fan:
    """A forecast beside what was sold. Values that are missing are NaN.

    Attributes:
        start: of the first step of `sold`, local wall-clock seconds.
        step: hour, day, week or month.
        sold: history and, after it, what was sold in the horizon, (T + H,).
        quantiles: level to values (H,).
        beside: a baseline's forecast, (H,) or empty.
    """

    start: int
    step: str
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

    def seconds(self, step: float) -> float:
        """When a step begins, in local wall-clock seconds."""
        whole = math.floor(step)
        begin, end = (later(self.start, each, self.step) for each in (whole, whole + 1))
        return begin + (step - whole) * (end - begin)

    def at(self, step: float) -> float:
        """When a step begins, in days since 1970, as matplotlib counts them."""
        return self.seconds(step) / DAY

    def intervals(self) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """(share inside, low, high) of every pair of levels around the median, the widest first."""
        return [
            (1 - 2 * level, self.quantiles[level], self.quantiles[opposite])
            for level in sorted(self.quantiles)
            for opposite in self.quantiles
            if level < 0.5 and math.isclose(level + opposite, 1)
        ]


@page_style
def fan_chart(fan: Fan, *, y_label: str, description: str, width: float = NARROW) -> Markup:
    """Sales as a line of ink, the median as a line of colour on its intervals, over dates.

    Args:
        fan: what to draw.
        y_label: unit and step.
        description: read to those who cannot see the picture.
        width: of the picture.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    values = np.concatenate([fan.sold, fan.beside, *fan.quantiles.values()])
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or len(fan.sold) < 2:
        return nothing_to_show(description)
    figure, axes = new_chart(width, 216, y_label=y_label)
    ahead = [fan.at(fan.origin + step) for step in range(fan.horizon)]
    for _, low, high in fan.intervals():
        if fan.horizon == 1:
            # a single step has no width of its own
            edges = [fan.at(fan.origin - 0.4), fan.at(fan.origin + 0.4)]
            axes.fill_between(edges, low.repeat(2), high.repeat(2), **_band())
        else:
            axes.fill_between(ahead, low, high, **_band())
    if fan.origin > 0:
        axes.axvline(fan.at(fan.origin - 0.5), color=COLOR["soft"], linewidth=1, linestyle=":")
    none = fan.beside[:0]
    _line(axes, "beside", ahead[: len(fan.beside)], fan.beside)
    median = fan.quantiles.get(0.5, none)
    _line(axes, "median", ahead[: len(median)], median)
    _line(axes, "sold", [fan.at(step) for step in range(len(fan.sold))], fan.sold)
    bottom, top = padded_range(finite.tolist())
    # from 0 where that leaves the picture at least half full
    axes.set_ylim(0.0 if 0 <= finite.min() <= finite.max() / 2 else bottom, top)
    axes.margins(x=0.01)
    locator = AutoDateLocator(minticks=2, maxticks=5, interval_multiples=False)
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, show_offset=False)
    formatter.formats = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%S"]
    formatter.zero_formats = ["", "%Y", "%-d %b", "%-d %b", "%H:%M", "%H:%M"]
    axes.xaxis.set_major_formatter(formatter)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter("{x:,.10g}")
    axes.set_xlabel(date_range(fan.seconds(0), fan.seconds(len(fan.sold) - 1), fan.step))
    # invisible targets for the pointer, one for each step
    bottom, top = axes.get_ylim()
    axes.bar(ahead, top - bottom, mean_seconds(fan.step) / DAY, bottom, alpha=0.0, zorder=9)
    titles = {}
    for step, target in enumerate(axes.patches):
        target.set_gid(f"step{step}")
        titles[f"step{step}"] = _step_title(fan, step)
    return svg_of(figure, description, titles)


def swatch(line: str = "", bands: int = 0) -> Markup:
    """A small sample of a line of `LINES`, or of an interval on as many wider ones, for a key."""
    parts = [f'<rect width="22" height="12" style="fill: var(--accent); opacity: {BAND}"/>'] * bands
    if line:
        role = next(role for role, color in COLOR.items() if color == LINES[line]["color"])
        style = f"stroke: var(--{role}); stroke-width: {LINES[line]['linewidth']}"
        parts = [f'<path d="M1 6H21" style="{style}"/>']
    # read as part of the words beside it
    return Markup(
        f'<svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _band() -> dict[str, Any]:
    return {"color": COLOR["accent"], "alpha": BAND, "linewidth": 0}


def _line(axes: "Axes", name: str, at: list[float], values: np.ndarray) -> None:
    if not len(values):
        return
    axes.plot(at, values, gid=name, **LINES[name])
    # a step between two gaps would be no line at all
    known = np.concatenate([[False], np.isfinite(values), [False]])
    alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
    if len(alone):
        dots = [at[step] for step in alone]
        axes.plot(dots, values[alone], "o", markersize=5, color=LINES[name]["color"])


def _step_title(fan: Fan, step: int) -> str:
    words = [f"sold {quantity(fan.sold[fan.origin + step])}"]
    if 0.5 in fan.quantiles:
        words.append(f"forecast {quantity(fan.quantiles[0.5][step])}")
    words += [
        f"{percent(share, 0)} interval {quantity(low[step])} to {quantity(high[step])}"
        for share, low, high in fan.intervals()
    ]
    return f"{moment_name(fan.seconds(fan.origin + step), fan.step)}: {', '.join(words)}"
