"""Section of kinds of series that are hard to forecast."""

import math

import pandas as pd

from recsys.reports.blocks import Block, Cell, Figure, Figures, Section, Table
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import MISSING, decimal, sentence_case, show_metric, whole
from recsys.reports.intervals import metric_interval
from recsys.reports.labels import INTERVAL, SLICES, Words, metric_words, model_title


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
    lead = "Error by kind of series; a series can be of several kinds."
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
        interval = metric_interval(_rows(facts, name), metric)
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
