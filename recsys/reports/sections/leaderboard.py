"""Section of the quality of a recommender: the model beside its baselines."""

import math

import numpy as np

from recsys.reports.blocks import Cell, Figure, Figures, Section, Table, Terms
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.charts.canvas import NARROW, WIDTH
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, percent, plural, whole
from recsys.reports.labels import BASELINES, INTERVAL, METRICS, model_title, view_words


def leaderboard_section(facts: RankingFacts) -> Section | None:
    """Bars of NDCG and tables of all metrics, the model beside its baselines."""
    if facts.board.empty:
        return None
    lead = f"Means over customers, from the first {facts.k} recommendations to each."
    lead += _unknown_items(facts)
    beside = [
        f"{model_title(name)} ({BASELINES[name]})"
        for name in facts.board.index
        if name != facts.model and name in BASELINES
    ]
    if beside:
        lead += f" Baselines: {'; '.join(beside)}."
    narrow = len(facts.views) == 3
    pictures = tuple(_leaderboard_figure(facts, view, narrow) for view in facts.views)
    tables = [_leaderboard_table(facts, view) for view in facts.views]
    meanings = tuple((words.title, words.meaning) for words in METRICS.values())
    terms = Terms("What the numbers mean", meanings)
    return Section("leaderboard", "Leaderboard", lead, (Figures(pictures, narrow), *tables, terms))


def _unknown_items(facts: RankingFacts) -> str:
    """What became of purchases of items that are not in the catalogue; empty without any."""
    counts = (facts.data.get("phases") or {}).get("test") or {}
    if facts.config.get("evaluation", {}).get("unknown_items") == "miss":
        missed = whole(counts.get("truth_items_missed"))
        return (
            f" Items that customers bought and that are not in the catalogue, {missed} in all,"
            " count as misses, except in candidate lists and among cold items."
        )
    unknown, rows = counts.get("truth_rows_of_unknown_items"), counts.get("truth_rows")
    if not unknown:
        return ""
    return (
        f" {percent(unknown / rows)} of what was bought in the test are items that are not in the"
        " catalogue; they are left out of what is to be predicted."
    )


def _leaderboard_figure(facts: RankingFacts, view: str, narrow: bool) -> Figure:
    interval = facts.interval(view)
    bars = [
        Bar(model_title(name), value, "accent", interval)
        if name == facts.model
        else Bar(model_title(name), value)
        for name, value in facts.scores(view).items()
    ]
    words = view_words(view)
    caption = words.meaning
    if interval:
        caption += f" The thin line is the {INTERVAL} of {model_title(facts.model)}."
    title = f"{words.title}: NDCG@{facts.k}"
    picture = bar_chart(bars, description=title, width=NARROW if narrow else WIDTH)
    return Figure(title, picture, caption)


def _leaderboard_table(facts: RankingFacts, view: str) -> Table:
    columns = [f"{view} {metric}@{facts.k}" for metric in METRICS]
    names = list(facts.scores(view))
    values = facts.board.loc[names, columns].to_numpy(dtype=float)  # (models, metrics)
    # nothing is best where there is nothing beside it
    best = (values == np.nanmax(values, axis=0, initial=-np.inf)) & (len(names) > 1)
    rows = [
        (Cell(model_title(name)), *map(Cell, map(decimal, values[row]), best[row].tolist()))
        for row, name in enumerate(names)
    ]
    title = f"{view_words(view).title}: metrics@{facts.k}"
    customers = facts.metrics.get(f"test/{view}/users", math.nan)
    if math.isfinite(customers):
        title += f" over {plural(int(customers), 'customer')}"
    header = ("Model", *(words.title for words in METRICS.values()))
    return Table(
        title, header, tuple(rows), names.index(facts.model) if facts.model in names else None
    )
