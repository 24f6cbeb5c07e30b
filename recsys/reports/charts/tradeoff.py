"""Pictures of compared models: quality against training time, and differences to a reference."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    LETTER,
    SMALL,
    WIDTH,
    new_chart,
    nothing_to_show,
    padded_range,
    page_style,
    shortened,
    svg_of,
)
from recsys.reports.formats import decimal, duration, signed

_SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)
_FINER_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600, 7_200, 18_000)


class Dot(NamedTuple):
    """A model: seconds of training (None: none recorded), the metric and its interval."""

    name: str
    seconds: float | None
    value: float
    interval: tuple[float, float]
    style: str = "accent"


class Span(NamedTuple):
    """A difference with its interval; accent where it is significant."""

    name: str
    value: float
    interval: tuple[float, float]
    style: str = "quiet"


@page_style
def time_chart(dots: Sequence[Dot], *, y_label: str) -> Markup:
    """The metric over training time on a logarithmic axis; names stand at the right, each joined to
    its dot. Models without a training time stand at the left.
    """
    if not dots:
        return nothing_to_show(y_label)
    line = 15.0
    height = max(256.0, line * len(dots) + 90)
    figure, axes = new_chart(WIDTH, height, y_label=y_label)
    low, high = padded_range([end for dot in dots for end in (dot.value, *dot.interval)])
    axes.set_ylim(low, high)
    logs = np.array([math.log10(dot.seconds) if dot.seconds else math.nan for dot in dots])
    timed = np.isfinite(logs)
    first, last = (np.nanmin(logs), np.nanmax(logs)) if timed.any() else (0.0, 0.0)
    room = max((last - first) * 0.15, 0.3)
    untimed = first - 2 * room
    places = np.where(timed, logs, untimed)
    axes.set_xlim((untimed if not timed.all() else first) - room / 2, last + room)
    titles = {}
    for index, (dot, x) in enumerate(zip(dots, places, strict=True)):
        arms = [[abs(dot.value - end) if math.isfinite(end) else 0.0] for end in dot.interval]
        axes.errorbar(x, dot.value, yerr=arms, fmt="none", ecolor=COLOR["ink"], alpha=0.6, zorder=2)
        axes.plot(
            x, dot.value, "o", color=COLOR[dot.style], markersize=8, zorder=3, gid=f"dot{index}"
        )
        interval = " to ".join(map(decimal, dot.interval))
        titles[f"dot{index}"] = [
            f"{dot.name}: {decimal(dot.value)} ({interval}), trained in {duration(dot.seconds)}"
        ]
    inner = height - 80
    heights = _apart([(dot.value - low) / (high - low) * inner for dot in dots], line, inner)
    for dot, x, y in zip(dots, places, heights, strict=True):
        axes.annotate(
            shortened(dot.name, 24),
            (x, dot.value),
            xytext=(1.01, y / inner),
            textcoords="axes fraction",
            va="center",
            fontsize=SMALL,
            color=COLOR["soft"],
            arrowprops={"arrowstyle": "-", "color": COLOR["grid"], "linewidth": 1.0},
            annotation_clip=False,
            zorder=1,
        )
    ticks = _time_ticks(10.0**first, 10.0**last) if timed.any() else {}
    at = [math.log10(second) for second in ticks]
    names = list(ticks.values())
    if not timed.all():
        at, names = [untimed, *at], ["not\ntimed", *names]
    left, right = axes.get_xlim()
    kept: list[int] = []
    for place, x in enumerate(at):
        # a fifth of this narrow axis holds a label
        if not kept or x - at[kept[-1]] > 0.22 * (right - left):
            kept.append(place)
    axes.set_xticks([at[place] for place in kept], [names[place] for place in kept])
    axes.set_xlabel("training time")
    return svg_of(figure, f"{y_label} by training time", titles)


@page_style
def difference_chart(spans: Sequence[Span], *, x_label: str, mark: str) -> Markup:
    """Differences with their intervals around 0, which is the reference."""
    from matplotlib.ticker import MaxNLocator

    if not spans:
        return nothing_to_show(x_label, "nothing to compare")
    figure, axes = new_chart(WIDTH, 42.0 * len(spans) + 76, grid=False)
    low, high = padded_range(
        [0.0, *(end for span in spans for end in (span.value, *span.interval))]
    )
    axes.set_xlim(low, high)
    axes.set_ylim(len(spans) - 0.3, -0.7)
    axes.set_yticks([])
    axes.axvline(0.0, color=COLOR["mark"], linewidth=1.5, linestyle="--", zorder=1)
    axes.text(0.0, -0.75, shortened(mark, 40), ha="center", color=COLOR["mark"], weight="bold")
    titles = {}
    for row, span in enumerate(spans):
        ends = [abs(span.value - end) if math.isfinite(end) else 0.0 for end in span.interval]
        axes.errorbar(
            span.value,
            row,
            xerr=[[each] for each in ends],
            fmt="none",
            ecolor=COLOR["ink"],
            alpha=0.6,
            zorder=2,
        )
        axes.plot(span.value, row, "o", color=COLOR[span.style], markersize=9, gid=f"span{row}")
        name = axes.text(low, row - 0.3, shortened(span.name, 48), color=COLOR["soft"])
        # legible where the line of the reference passes behind
        name.set_bbox({"facecolor": COLOR["card"], "edgecolor": "none", "pad": 1.0})
        axes.annotate(
            signed(span.value),
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            weight="bold",
            annotation_clip=False,
        )
        interval = " to ".join(map(signed, span.interval))
        titles[f"span{row}"] = [f"{span.name}: {signed(span.value)} ({interval})"]
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(shortened(x_label, WIDTH / LETTER))
    return svg_of(figure, x_label, titles)


def _apart(places: Sequence[float], gap: float, room: float) -> list[float]:
    """Places at least `gap` from each other, in the same order, around where they were."""
    order = np.argsort(places, kind="stable")
    ranked = np.asarray(places, dtype=float)[order]
    steps = gap * np.arange(len(ranked))
    raised = np.maximum.accumulate(ranked - steps) + steps
    lowered = np.minimum.accumulate((ranked - steps)[::-1])[::-1] + steps
    result = np.empty(len(ranked))
    # the mean of both keeps the gap; both ends stay inside
    result[order] = ((raised + lowered) / 2).clip(steps, room - steps[::-1])
    return result.tolist()


def _time_ticks(first: float, last: float) -> dict[float, str]:
    """Round seconds between the two with their names; the two where no round ones lie between."""
    for seconds, least in ((_SECONDS, 3), (_FINER_SECONDS, 2)):
        inside = [second for second in seconds if first * 0.8 <= second <= last * 1.25]
        if len(inside) >= least:
            return {second: _round_time(second) for second in inside[:: math.ceil(len(inside) / 4)]}
    ends = (first,) if last < 1.3 * first else (first, last)
    return {second: duration(second) for second in ends}


def _round_time(seconds: float) -> str:
    """10 s, 2 min, 1 h."""
    unit, size = ("s", 1) if seconds < 60 else ("min", 60) if seconds < 3_600 else ("h", 3_600)
    return f"{seconds / size:g} {unit}"
