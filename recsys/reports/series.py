"""Sections about a forecaster series by series: kinds of series, and all of them one by one."""

import math

import numpy as np
import pandas as pd

from recsys.reports.axes import ticks
from recsys.reports.blocks import Block, Cell, Figure, Figures, Section, Table
from recsys.reports.charts import Bar, bar_chart, histogram
from recsys.reports.facts import ForecastFacts
from recsys.reports.forecasting import interval_of, show_metric
from recsys.reports.formats import MISSING, decimal, percent, sentence_case, whole
from recsys.reports.labels import INTERVAL, SLICES, Words, metric_words, model_title
from recsys.reports.scatter_chart import scatter_chart

# dots that a picture still tells apart, and a page still carries
MOST_DOTS = 800


def slices_section(facts: ForecastFacts) -> Section | None:
    """Metrics of the kinds of series that are hard to forecast, beside all of them."""
    found = [name for name in SLICES if name != "all" and facts.scores("wape", _part(name))]
    known = {key.split("/")[2] for key in facts.metrics if key.startswith("test/slices/")}
    found += sorted(name for name in known - set(SLICES) if facts.scores("wape", _part(name)))
    if not found or facts.model not in facts.scores("wape"):
        return None
    names = ["all", *found]
    figures = [
        figure for metric in ("wape", "mase") if (figure := _slices_figure(facts, names, metric))
    ]
    meanings = [
        f"{_slice_words(name).inline}: {_slice_words(name).meaning}"
        for name in found
        if _slice_words(name).meaning
    ]
    lead = "Where the error comes from; a series may be of several kinds."
    if meanings:
        lead += f" {sentence_case('; '.join(meanings))}."
    blocks: tuple[Block, ...] = (Figures(tuple(figures)), _slices_table(facts, names))
    return Section("slices", "Kinds of series", lead, blocks)


def _part(name: str) -> str:
    return "" if name == "all" else f"slices/{name}/"


def _slice_words(name: str) -> Words:
    words = name.replace("_", " ")
    return SLICES.get(name, Words(sentence_case(words), words, ""))


def _rows(facts: ForecastFacts, name: str) -> pd.DataFrame | None:
    """Rows of per_series.parquet in a slice; None where they are not told apart."""
    table = facts.per_series
    if table is None or name == "all":
        return table
    return table[table[name].astype(bool)] if name in table else None


def _series_in(facts: ForecastFacts, name: str) -> int | None:
    rows = _rows(facts, name)
    if rows is not None:
        return int(rows["series_id"].nunique())
    count = facts.metrics.get(f"test/{_part(name)}series")
    return None if count is None else int(count)


def _slices_figure(facts: ForecastFacts, names: list[str], metric: str) -> Figure | None:
    bars = []
    for name in names:
        value = facts.scores(metric, _part(name)).get(facts.model, math.nan)
        if not math.isfinite(value):
            continue
        interval = interval_of(value, _rows(facts, name), metric)
        style = "accent" if name == "all" else "quiet"
        count = _series_in(facts, name)
        detail = "" if count is None else f"{count:,} series"
        bars.append(Bar(_slice_words(name).title, value, style, interval, detail))
    if len(bars) < 2:
        return None
    title = f"{metric_words(metric).title} of {model_title(facts.model)}"
    caption = f"The thin lines are {INTERVAL}s over series."
    caption = caption if any(bar.interval for bar in bars) else ""
    return Figure(title, bar_chart(bars, description=title), caption)


def _slices_table(facts: ForecastFacts, names: list[str]) -> Table:
    metrics = [str(metric) for metric in facts.board.columns if metric not in ("smape", "rmsse")]
    beside = any(facts.baselines("wape", _part(name)) for name in names)
    header = ["Series", "Number", *(metric_words(metric).title for metric in metrics)]
    header += ["Best baseline", "Its WAPE"] if beside else []
    rows = []
    for name in names:
        own = {
            metric: facts.scores(metric, _part(name)).get(facts.model, math.nan)
            for metric in metrics
        }
        ranked = list(facts.baselines("wape", _part(name)).items())
        ahead = bool(ranked) and own.get("wape", math.nan) < ranked[0][1]
        cells = [
            Cell(show_metric(metric, value), metric == "wape" and ahead)
            for metric, value in own.items()
        ]
        if beside:
            other, value = ranked[0] if ranked else (MISSING, math.nan)
            behind = own.get("wape", math.nan) > value
            cells += [Cell(model_title(other)), Cell(decimal(value), behind)]
        count = whole(_series_in(facts, name))
        rows.append((Cell(_slice_words(name).title), Cell(count), *cells))
    title = f"{sentence_case(model_title(facts.model))} by kind of series"
    return Table(title, tuple(header), tuple(rows), 0)


def series_section(facts: ForecastFacts) -> Section | None:
    """How errors are spread over series, and how they depend on how much a series sells."""
    figures = [figure for figure in (_volume_figure(facts), _spread_figure(facts)) if figure]
    if not figures:
        return None
    lead = "A sum over all series hides the small ones: these pictures show every series alike."
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
    edges = ticks(0.0, max(high, 1.0), 11)
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
        f"Share of {len(values):,} series. {below} of them are below 1: forecast better than "
        "repeating the last season was in their history."
    )
    return Figure(title, picture, caption)
