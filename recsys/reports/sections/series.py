"""Section of errors by series: by its size, and their distribution."""

import math

import numpy as np

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.bars import histogram, round_edges
from recsys.reports.charts.scatter import scatter_chart
from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import percent

# more dots overlap, and make the page large
MOST_DOTS = 800


def series_section(facts: ForecastFacts) -> Section | None:
    """How errors are spread over series, and how they depend on how much a series sells."""
    figures = [figure for figure in (_volume_figure(facts), _spread_figure(facts)) if figure]
    if not figures:
        return None
    lead = "Large series dominate a total; these charts give every series equal weight."
    return Section("series", "Series by series", lead, (Figures(tuple(figures)),))


def _volume_figure(facts: ForecastFacts) -> Figure | None:
    table = facts.by_series.dropna(subset=["wape", "sales"])
    table = table[table["sales"] > 0].sort_values("sales", kind="stable")
    if len(table) < 2:
        return None
    total, shown = len(table), table
    if total > MOST_DOTS:
        # evenly from small to large, so that every size is seen
        shown = table.iloc[np.linspace(0, total - 1, MOST_DOTS).round().astype(int)]
    errors = shown["wape"].to_numpy(dtype=float)
    ceiling = _ceiling(errors)
    above = int((errors > ceiling).sum())
    title = "WAPE by size of the series"
    picture = scatter_chart(
        [str(name) for name in shown.index],
        shown["sales"].to_numpy(dtype=float),
        errors,
        x_label=facts.unit,
        y_label="WAPE of a series",
        ceiling=ceiling,
        description=title,
    )
    caption = "A dot is a series, over all windows; the axis of sales is logarithmic."
    if total > len(shown):
        caption += f" {len(shown):,} of {total:,} series are drawn, evenly from small to large."
    if above:
        caption += f" Hollow: {above:,} with a higher WAPE than fits, up to {errors.max():,.3g}."
    silent = len(facts.by_series) - total
    if silent:
        caption += f" {silent:,} series without sales in the test have no WAPE."
    return Figure(title, picture, caption)


def _ceiling(errors: np.ndarray) -> float:
    """The highest error, unless few are far above the others."""
    most = float(np.quantile(errors, 0.97))
    highest = float(errors.max())
    return (most if most > 0 and highest > 2 * most else highest or 1.0) * 1.06


def _spread_figure(facts: ForecastFacts) -> Figure | None:
    values = facts.by_series["mase"].dropna().to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    high = float(np.quantile(values, 0.95)) or 1.0
    edges = round_edges(max(high, 1.0), 10)
    if edges[-1] < values.max():
        edges = [*edges, math.inf]
    below = percent(float((values < 1).mean()), 0)
    title = "Spread of MASE"
    picture = histogram(
        values.tolist(),
        edges,
        x_label="MASE of a series",
        noun="series",
        description=title,
        apart=False,
        accent_until=1.0,
    )
    caption = (
        f"Share of {len(values):,} series. {below} of them are below 1: forecast more accurately "
        "than the seasonal naive method fits their history."
    )
    return Figure(title, picture, caption)
