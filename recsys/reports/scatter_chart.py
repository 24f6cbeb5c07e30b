"""Dots: one a series, its size across on a logarithmic axis, its error up."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from recsys.reports import svg
from recsys.reports.axes import Scale, log_ticks, shortened, text_width, tick_labels, ticks
from recsys.reports.charts import FONT, WIDTH
from recsys.reports.formats import decimal, quantity


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
    """Dots over a logarithmic axis; those above the ceiling lie hollow at the top.

    Args:
        names: of the dots, shown under the pointer.
        x: above 0, (N,).
        y: at least 0, (N,).
        x_label: what x is.
        y_label: what y is.
        ceiling: highest y that has a place of its own, above 0.
        description: what is shown, for those who cannot see it.
    """
    known = np.isfinite(x) & np.isfinite(y) & (x > 0)
    if not known.any():
        words = svg.text(WIDTH / 2, 24, "nothing to show", "tick", "middle")
        return svg.picture([words], WIDTH, 40, description)
    low, high = float(x[known].min()), float(x[known].max())
    # room for a single size, and for half a dot at both ends
    low, high = (low / 1.1, high * 1.1) if high > low else (low / 2, high * 2)
    top, bottom = 32.0, 206.0
    y_ticks = ticks(0.0, ceiling)
    y_names = tick_labels(y_ticks)
    left = max(text_width(name, FONT) for name in y_names) + 12
    across = Scale(math.log10(low), math.log10(high), left + 6, WIDTH - 6)
    up = Scale(0.0, ceiling, bottom, top)
    parts = [svg.text(0, 14, shortened(y_label, WIDTH, FONT), "label")]
    for value, name in zip(y_ticks, y_names, strict=True):
        parts.append(svg.line(left, up(value), WIDTH, up(value), "grid"))
        parts.append(svg.text(left - 8, up(value) + 4, name, "tick", "end"))
    parts.append(svg.line(left, bottom, WIDTH, bottom, "axis"))
    end = 0.0
    for value in log_ticks(low, high):
        tick = f"{value:,.10g}"
        place, half = across(math.log10(value)), text_width(tick, FONT) / 2
        if place - half >= end and place + half <= WIDTH:
            parts.append(svg.line(place, bottom, place, bottom + 4, "axis"))
            parts.append(svg.text(place, bottom + 20, tick, "tick", "middle"))
            end = place + half + 8
    middle = (left + WIDTH) / 2
    below = shortened(x_label, WIDTH - left, FONT)
    parts.append(svg.text(middle, bottom + 40, below, "label", "middle"))
    for dot_at in np.flatnonzero(known).tolist():
        beyond = y[dot_at] > ceiling
        height = up(min(float(y[dot_at]), ceiling))
        style = "hollow" if beyond else "point"
        dot = svg.circle(across(math.log10(x[dot_at])), height, 3.0, style)
        title = f"{names[dot_at]}: {decimal(y[dot_at], 3)}, {quantity(x[dot_at])} {x_label}"
        parts.append(svg.titled(title, dot))
    return svg.picture(parts, WIDTH, bottom + 46, description)
