"""Horizontal bars and histograms."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    LETTER,
    SMALL,
    WIDTH,
    new_chart,
    nothing_to_show,
    page_style,
    shortened,
    svg_of,
)
from recsys.reports.formats import decimal, percent, plural
from recsys.reports.labels import INTERVAL

_ROW = 46.0


@dataclass(frozen=True)
class Bar:
    """A bar from 0 with its value; `interval` (low, high) and a second label where there are."""

    label: str
    value: float
    style: str = "quiet"
    interval: tuple[float, float] | None = None
    detail: str = ""


@page_style
def bar_chart(
    bars: Sequence[Bar],
    *,
    description: str,
    show: Callable[[float], str] = decimal,
    width: float = WIDTH,
) -> Markup:
    """Bars on one scale, each with its label above and its value beside; undefined ones are empty.

    Args:
        bars: values at least 0, from the top.
        description: read to those who cannot see the picture.
        show: writes a value.
        width: of the picture.
    """
    figure, axes = new_chart(width, max(_ROW * len(bars), 20), grid=False)
    axes.set_axis_off()
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    values = [show(bar.value) for bar in bars]
    ends = [end for bar in bars for end in (bar.value, *(bar.interval or ())) if math.isfinite(end)]
    highest = max(ends, default=0.0) or 1.0
    room = max(map(len, values), default=0) * (LETTER + 0.6) + 8
    axes.set_xlim(0, highest * width / (width - room))
    axes.set_ylim(_ROW * len(bars) or 1, 0)
    titles = {}
    for row, (bar, value) in enumerate(zip(bars, values, strict=True)):
        top = _ROW * row
        strong = bar.style == "accent"
        label = shortened(bar.label, (width - len(bar.detail) * LETTER) / LETTER - 2)
        color, weight = (COLOR["ink"], "bold") if strong else (COLOR["soft"], "normal")
        axes.text(0, top + 13, label, color=color, weight=weight)
        right = axes.get_xlim()[1]
        axes.text(right, top + 13, shortened(bar.detail, 30), ha="right", color=COLOR["soft"])
        axes.text(right, top + 31, value, ha="right", weight="bold")
        titles[f"bar{row}"] = f"{bar.label}: {value}"
        length = bar.value if math.isfinite(bar.value) else 0.0
        axes.barh(top + 27, max(length, 0.0), height=14, color=COLOR[bar.style], gid=f"bar{row}")
        axes.patches[-1].set_gid(f"bar{row}")
        if bar.interval and all(map(math.isfinite, bar.interval)):
            low, high = (max(end, 0.0) for end in bar.interval)
            axes.errorbar(
                (low + high) / 2,
                top + 27,
                xerr=(high - low) / 2,
                fmt="none",
                ecolor=COLOR["ink"],
                capsize=4,
                elinewidth=1.5,
                alpha=0.75,
            )
            titles[f"bar{row}"] += f", {INTERVAL} {decimal(low)} to {decimal(high)}"
    return svg_of(figure, description, titles)


@page_style
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
        description: read to those who cannot see the picture.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return nothing_to_show(description)
    # bins stand after the column of what is apart, if there is one
    first = int(apart)
    columns = len(edges) - 1 + first
    column_of = np.searchsorted(edges, finite, side="left") - 1 + first
    counts = np.bincount(column_of.clip(0, columns - 1), minlength=columns).tolist()
    shares = [count / len(finite) for count in counts]
    figure, axes = new_chart(WIDTH, 216, grid=False)
    axes.set_yticks([])
    left = np.arange(columns) - first + 0.04
    left[0] -= 0.3 * first
    names = [_bin_name(edges, column + 1 - first) for column in range(columns)]
    grey = [
        edge == 0 or edges[edge] > accent_until * (1 + 1e-9)
        for edge in range(1 - first, columns + 1 - first)
    ]
    colors = [COLOR["quiet" if each else "accent"] for each in grey]
    bars = axes.bar(left, shares, width=0.92, align="edge", color=colors)
    titles = {}
    for column, bar in enumerate(bars):
        bar.set_gid(f"column{column}")
        share = percent(shares[column])
        titles[f"column{column}"] = f"{names[column]}: {plural(counts[column], noun)} ({share})"
    written = [percent(share, 0) if share else "" for share in shares]
    axes.bar_label(bars, written, padding=3, fontsize=SMALL, color=COLOR["soft"])
    axes.set_xlim(left[0] - 0.04, columns - first)
    axes.set_ylim(0, max(shares) * 1.12)
    every = math.ceil((len(edges) - 1) / 5)
    ticks = [edge for edge in range(0 if not apart else every, len(edges), every)]
    ticks = [edge for edge in ticks if math.isfinite(edges[edge])]
    places = [float(edge) for edge in ticks]
    labels = [f"{edges[edge]:g}" for edge in ticks]
    if apart:
        places, labels = [-0.8, *places], [f"{edges[0]:g}", *labels]
    axes.set_xticks(places, labels)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(shortened(x_label, 48))
    return svg_of(figure, description, titles)


def round_edges(high: float, most: int) -> list[float]:
    """Round numbers from 0 to at most `high`, with at most this many bins between them."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(0.0, high)
    return [float(tick) for tick in ticks if tick <= high * (1 + 1e-9)]


def _bin_name(edges: Sequence[float], edge: int) -> str:
    if edge == 0:
        return f"{edges[0]:g}"
    if math.isinf(edges[edge]):
        return f"above {edges[edge - 1]:g}"
    return f"above {edges[edge - 1]:g} to {edges[edge]:g}"
