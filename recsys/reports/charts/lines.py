"""Line charts over whole numbers such as epochs or steps ahead."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    WIDTH,
    add_legend,
    new_chart,
    nothing_to_show,
    padded_range,
    page_style,
    shortened,
    svg_of,
)
from recsys.reports.formats import decimal

_STYLES: dict[str, dict[str, Any]] = {
    "accent": {"color": COLOR["accent"], "linewidth": 2.25, "zorder": 3},
    "quiet": {"color": COLOR["quiet"], "linewidth": 2.25},
    "faint": {"color": COLOR["quiet"], "linewidth": 2.0, "linestyle": (0, (3, 2))},
}


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
        """Those that are finite."""
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


@page_style
def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    mark: Mark | None = None,
    level: Level | None = None,
) -> Markup:
    """Lines with a dot at every point and, for several, a legend."""
    from matplotlib.ticker import MaxNLocator

    drawn = [(each, each.points()) for each in series if each.points()]
    if not drawn:
        return nothing_to_show(y_label)
    figure, axes = new_chart(WIDTH, 256, y_label=y_label)
    titles = {}
    for place, (each, points) in enumerate(drawn):
        axes.plot(
            *zip(*points, strict=True),
            marker="o",
            markersize=5 if len(points) <= 40 else 2,
            gid=f"line{place}",
            label=each.label if each.named else "_unnamed",
            **_STYLES[each.style],
        )
        titles[f"line{place}"] = [f"{each.label}, {x_label} {x:g}: {decimal(y)}" for x, y in points]
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    values = [y for _, points in drawn for _, y in points]
    if level:
        values.append(level.y)
        axes.axhline(level.y, color=COLOR["mark"], linewidth=1.5, linestyle="--", label=level.label)
    axes.set_ylim(padded_range(values))
    if mark:
        axes.axvline(mark.x, color=COLOR["mark"], linewidth=1.5, linestyle="--")
        low, high = axes.get_xlim()
        side = "right" if mark.x > (low + high) / 2 else "left"
        axes.annotate(
            shortened(mark.label, 30),
            (mark.x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if side == "left" else -4, 2),
            textcoords="offset points",
            ha=side,
            color=COLOR["mark"],
            weight="bold",
        )
    axes.set_xlabel(shortened(x_label, 40))
    add_legend(figure, axes)
    return svg_of(figure, f"{y_label} by {x_label}", titles)
