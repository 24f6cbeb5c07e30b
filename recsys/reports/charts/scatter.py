"""Dots: one for each series, its size across on a logarithmic axis, its error up."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from recsys.reports.charts.canvas import (
    COLOR,
    WIDTH,
    new_chart,
    nothing_to_show,
    page_style,
    shortened,
    svg_of,
)
from recsys.reports.formats import decimal, quantity


@page_style
def scatter_chart(
    names: Sequence[str],
    x: np.ndarray,
    y: np.ndarray,
    *,
    x_label: str,
    y_label: str,
    ceiling: float,
    description: str,
) -> Markup:
    """Dots over a logarithmic axis; those above the ceiling are hollow, at the top.

    Args:
        names: of the dots, shown under the pointer.
        x: above 0, (N,).
        y: at least 0, (N,).
        x_label: what x is.
        y_label: what y is.
        ceiling: highest y that has a place of its own, above 0.
        description: read to those who cannot see the picture.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    known = np.isfinite(x) & np.isfinite(y) & (x > 0)
    if not known.any():
        return nothing_to_show(description)
    figure, axes = new_chart(WIDTH, 256, y_label=y_label)
    titles = {}
    for gid, chosen in (("inside", known & (y <= ceiling)), ("above", known & (y > ceiling))):
        hollow = gid == "above"
        axes.plot(
            x[chosen],
            y[chosen].clip(max=ceiling),
            "o",
            gid=gid,
            markersize=5.5,
            markerfacecolor="none" if hollow else COLOR["accent"],
            markeredgecolor=COLOR["accent"] if hollow else "none",
            alpha=None if hollow else 0.55,
            clip_on=False,
        )
        titles[gid] = [
            f"{names[place]}: {decimal(y[place], 3)}, {quantity(x[place])} {x_label}"
            for place in np.flatnonzero(chosen).tolist()
        ]
    axes.set_xscale("log")
    low, high = float(x[known].min()), float(x[known].max())
    axes.set_xlim((low / 1.1, high * 1.1) if high > low else (low / 2, high * 2))
    subs = (1.0,) if high / low >= 100 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_ylim(0, ceiling)
    axes.set_xlabel(shortened(x_label, 40))
    return svg_of(figure, description, {gid: words for gid, words in titles.items() if words})
