"""Pictures of a sweep: values by trial, and settings in parallel coordinates."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    SMALL,
    WIDTH,
    new_chart,
    nothing_to_show,
    padded_range,
    page_style,
    shortened,
    svg_of,
)
from recsys.reports.formats import decimal

_ROW = 62.0
_STYLES: dict[str, dict[str, Any]] = {
    "rest": {"color": COLOR["quiet"], "linewidth": 1.0, "alpha": 0.35},
    "good": {"color": COLOR["accent"], "linewidth": 1.5, "alpha": 0.8},
    "best": {"color": COLOR["mark"], "linewidth": 2.5},
}
_NO_VALUE = "no trial gave a value"


class Point(NamedTuple):
    """A trial that gave a value: its number, the value, and whether it was pruned."""

    number: int
    value: float
    pruned: bool = False


class Axis(NamedTuple):
    """A setting: its name, and labels at places between 0 and 1."""

    name: str
    ticks: Sequence[tuple[float, str]]


class Trace(NamedTuple):
    """A trial: its title, its place (0 to 1) on every axis, and rest, good or best."""

    title: str
    places: Sequence[float]
    style: str = "rest"


@page_style
def history_chart(points: Sequence[Point], *, y_label: str, higher_is_better: bool) -> Markup:
    """A dot for each trial, hollow where it was pruned, and a line of the best value so far."""
    from matplotlib.ticker import MaxNLocator

    points = sorted(point for point in points if math.isfinite(point.value))
    if not points:
        return nothing_to_show(y_label, _NO_VALUE)
    figure, axes = new_chart(WIDTH, 276, y_label=y_label)
    best: list[tuple[int, float]] = []
    sign = 1 if higher_is_better else -1
    for point in points:
        if not point.pruned and (not best or sign * point.value > sign * best[-1][1]):
            best.append((point.number, point.value))
    if best:
        best.append((points[-1].number, best[-1][1]))
        axes.step(
            *zip(*best, strict=True),
            where="post",
            color=COLOR["accent"],
            linewidth=2.25,
            gid="best",
        )
    titles = {}
    for gid, pruned in (("finished", False), ("pruned", True)):
        chosen = [point for point in points if point.pruned == pruned]
        if chosen:
            axes.plot(
                [point.number for point in chosen],
                [point.value for point in chosen],
                "o",
                gid=gid,
                markersize=7,
                markerfacecolor="none" if pruned else COLOR["quiet"],
                markeredgecolor=COLOR["accent"] if pruned else "none",
            )
            note = ", pruned" if pruned else ""
            titles[gid] = [f"trial {p.number}: {decimal(p.value)}{note}" for p in chosen]
    axes.set_ylim(padded_range([point.value for point in points]))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if points[-1].number == points[0].number:
        axes.set_xticks([points[0].number])
    axes.set_xlabel("trial")
    return svg_of(figure, f"{y_label} by trial", titles)


@page_style
def parallel_chart(traces: Sequence[Trace], axes: Sequence[Axis], *, description: str) -> Markup:
    """An axis for each setting, one below the other, and a line for each trial.

    Axes lie across, so that a narrow screen shows all of them.

    Args:
        traces: the later ones are drawn over the earlier ones.
        axes: from the top.
        description: read to those who cannot see the picture.
    """
    if not traces:
        return nothing_to_show(description, _NO_VALUE)
    figure, plot = new_chart(WIDTH, _ROW * len(axes), grid=False)
    plot.set_axis_off()
    figure.set_layout_engine("none")
    edge = 18.0
    plot.set_position((0, 0, 1, 1))
    plot.set_xlim(-edge / (WIDTH - 2 * edge), 1 + edge / (WIDTH - 2 * edge))
    plot.set_ylim(len(axes) - 0.5, -0.5)
    rows = range(len(axes))
    halo = {"facecolor": COLOR["card"], "edgecolor": "none", "pad": 0.5, "alpha": 0.8}
    titles = {}
    for place, trace in enumerate(traces):
        plot.plot(trace.places, rows, gid=f"trace{place}", **_STYLES[trace.style])
        titles[f"trace{place}"] = trace.title
    for row, axis in enumerate(axes):
        plot.plot([0, 1], [row, row], color=COLOR["quiet"], linewidth=1)
        plot.text(-0.02, row - 0.16, shortened(axis.name, 48), color=COLOR["soft"], bbox=halo)
        taken = -1.0
        for at, label in _ends_first(axis.ticks):
            plot.plot([at, at], [row - 0.05, row + 0.05], color=COLOR["quiet"], linewidth=1)
            half = len(label) * 6.6 / WIDTH / 2
            centre = min(max(at, half - 0.03), 1.03 - half)
            if centre - half >= taken:
                words = plot.text(centre, row + 0.26, label, ha="center", fontsize=SMALL)
                words.set(color=COLOR["soft"], bbox=halo)
                taken = centre + half + 0.02
    return svg_of(figure, description, titles)


def _ends_first(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Without the inner ticks where the labels of all would not fit."""
    if sum(len(label) + 2 for _, label in ticks) * 6.6 > WIDTH and len(ticks) > 2:
        return [ticks[0], ticks[-1]]
    return list(ticks)
