"""Section of the quality of a forecaster: the model beside its baselines."""

import math

import pandas as pd

from recsys.reports.blocks import Block, Cell, Figure, Figures, Section, Table, Terms
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import moment_name, plural, show_metric
from recsys.reports.intervals import metric_interval
from recsys.reports.labels import BASELINES, INTERVAL, metric_words, model_title
from recsys.reports.leaderboard import best_of


def leaderboard_section(facts: ForecastFacts) -> Section | None:
    """Bars of WAPE and MASE, tables of all metrics and of WAPE by window."""
    if facts.board.empty:
        return None
    lead = f"{_scope(facts)} Lower is better; bias is best at 0, an interval at its nominal share."
    beside = [
        f"{model_title(name)} ({BASELINES[name]})"
        for name in facts.board.index
        if name != facts.model and name in BASELINES
    ]
    if beside:
        lead += f" Baselines: {'; '.join(beside)}."
    figures = [_bars_figure(facts, metric) for metric in ("wape", "mase") if facts.scores(metric)]
    blocks: list[Block] = [Figures(tuple(figures))] if figures else []
    blocks.append(_metrics_table(facts))
    if sum(bool(facts.scores("wape", f"windows/{number}/")) for number in facts.windows) > 1:
        blocks.append(_windows_table(facts))
    meanings = [metric_words(str(metric)) for metric in facts.board.columns]
    terms = tuple((words.title, words.meaning) for words in meanings)
    blocks.append(Terms("What the numbers mean", terms))
    return Section("leaderboard", "Leaderboard", lead, tuple(blocks))


def _scope(facts: ForecastFacts) -> str:
    """Over how much the numbers are means."""
    scope = f"Forecasts of {plural(facts.horizon, facts.step)}" if facts.horizon else "Forecasts"
    if facts.num_series:
        scope += f" of {plural(facts.num_series, 'series')}"
    if len(facts.windows) > 1:
        scope += f"; every number is a mean over {len(facts.windows)} windows of the test"
    return f"{scope}."


def _bars_figure(facts: ForecastFacts, metric: str) -> Figure:
    scores = facts.scores(metric)
    own = scores.get(facts.model, math.nan)
    interval = metric_interval(facts.per_series, metric) if math.isfinite(own) else None
    bars = [
        Bar(model_title(name), value, "accent", interval)
        if name == facts.model
        else Bar(model_title(name), value)
        for name, value in scores.items()
    ]
    words = metric_words(metric)
    caption = words.meaning
    if interval:
        caption += f" The thin line is the {INTERVAL} of {model_title(facts.model)} over series."
    return Figure(words.title, bar_chart(bars, description=words.title), caption)


def _metrics_table(facts: ForecastFacts) -> Table:
    metrics = [str(metric) for metric in facts.board.columns]
    columns = {metric: metric_words(metric).title for metric in metrics}
    return _board_table(facts, "All metrics", facts.board.rename(columns=columns), metrics)


def _windows_table(facts: ForecastFacts) -> Table:
    names = {
        number: moment_name((start - pd.Timestamp(0)).total_seconds(), facts.step)
        for number, start in facts.window_starts.items()
    }
    columns = {
        names.get(number, f"Window {number}"): facts.scores("wape", f"windows/{number}/")
        for number in facts.windows
    }
    table = pd.DataFrame({**columns, "Mean": facts.scores("wape")}, dtype=float)
    table = table.loc[list(facts.scores("wape"))]
    begins = "month" if facts.step == "month" else "day"
    title = "WAPE by window" + (f", named by the {begins} it begins" if names else "")
    return _board_table(facts, title, table, ["wape"] * len(table.columns))


def _board_table(
    facts: ForecastFacts, title: str, table: pd.DataFrame, metrics: list[str]
) -> Table:
    """A row a model; the best value of every column stands out."""
    best = [best_of(metric, table.iloc[:, place]).tolist() for place, metric in enumerate(metrics)]
    names = [str(name) for name in table.index]
    rows = []
    for row, values in enumerate(table.to_numpy(dtype=float).tolist()):
        cells = [
            Cell(show_metric(metric, value), best[place][row])
            for place, (metric, value) in enumerate(zip(metrics, values, strict=True))
        ]
        rows.append((Cell(model_title(names[row])), *cells))
    marked = names.index(facts.model) if facts.model in names else None
    return Table(title, ("Model", *map(str, table.columns)), tuple(rows), marked)
