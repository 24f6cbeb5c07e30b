"""Sections about the quality of a recommender: leaderboard, customer by customer, variety."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys.reports.blocks import Cell, Figure, Figures, Section, Table, Terms
from recsys.reports.charts import NARROW, WIDTH, Bar, bar_chart, histogram
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, percent, plural
from recsys.reports.labels import BASELINES, INTERVAL, METRICS, model_title, view_words
from recsys.reports.verdict import mean_interval


class _Beyond(NamedTuple):
    """A number beyond accuracy: its heading, what it means, how it is written."""

    title: str
    meaning: str
    show: Callable[[float], str]


_BEYOND = {
    "coverage": _Beyond(
        "Coverage",
        "Share of the catalogue in at least one customer's list: more shows more of the shop.",
        percent,
    ),
    "gini": _Beyond(
        "Concentration (Gini)",
        "0 if every item is shown equally often, near 1 if a few items fill nearly all lists.",
        lambda value: decimal(value, 3),
    ),
    "novelty": _Beyond(
        "Novelty",
        "Mean surprise: an item that half of the customers bought has 1 bit, one in 100 has 6.6.",
        lambda value: f"{decimal(value, 2)} bits",
    ),
}


def leaderboard_section(facts: RankingFacts) -> Section | None:
    """Bars of NDCG and tables of all metrics, the model beside its baselines."""
    if facts.board.empty:
        return None
    lead = f"Means over customers, for the first {facts.k} recommendations of each."
    beside = [
        f"{model_title(name)} ({BASELINES[name]})"
        for name in facts.board.index
        if name != facts.model and name in BASELINES
    ]
    if beside:
        lead += f" Beside the model: {'; '.join(beside)}."
    narrow = len(facts.views) == 3
    pictures = tuple(_leaderboard_figure(facts, view, narrow) for view in facts.views)
    tables = [_leaderboard_table(facts, view) for view in facts.views]
    meanings = tuple((words.title, words.meaning) for words in METRICS.values())
    terms = Terms("What the numbers mean", meanings)
    return Section("leaderboard", "Leaderboard", lead, (Figures(pictures, narrow), *tables, terms))


def _leaderboard_figure(facts: RankingFacts, view: str, narrow: bool) -> Figure:
    interval = mean_interval(facts.by_user(view)).ends
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
    asked = facts.metrics.get(f"test/{view}/users", math.nan)
    if math.isfinite(asked):
        title += f" over {plural(int(asked), 'customer')}"
    header = ("Model", *(words.title for words in METRICS.values()))
    return Table(
        title, header, tuple(rows), names.index(facts.model) if facts.model in names else None
    )


def customers_section(facts: RankingFacts) -> Section | None:
    """How NDCG is spread over customers, and how it depends on what a customer bought before."""
    figures = []
    for view in facts.views:
        values = facts.by_user(view)
        if len(values):
            figures.append(_spread_figure(values, view, facts.k))
            bars = _history_bars(values, facts.purchases)
            if bars:
                figures.append(_history_figure(bars, view, facts.k))
    if not figures:
        return None
    lead = "A mean hides who is served well: these pictures show it customer by customer."
    return Section("customers", "Customer by customer", lead, (Figures(tuple(figures)),))


def _spread_figure(values: pd.Series, view: str, k: int) -> Figure:
    title = f"{view_words(view).title}: spread of NDCG@{k}"
    picture = histogram(
        values.to_list(),
        [step / 10 for step in range(11)],
        x_label=f"NDCG@{k} of a customer",
        noun="customer",
        description=title,
    )
    without = percent(float((values == 0).mean()), 0)
    caption = (
        f"Share of {plural(len(values), 'customer')}; their mean is {decimal(values.mean())}. "
        f"{without} bought none of the {k} recommendations (grey column)."
    )
    return Figure(title, picture, caption)


def _history_bars(values: pd.Series, purchases: pd.Series | None) -> list[Bar]:
    """Mean of values by user_id in the quarters of customers from light to heavy.

    Empty where the histories do not tell the customers apart.
    """
    if purchases is None:
        return []
    bought = purchases.reindex(values.index).dropna().astype(int)
    if bought.empty:
        return []
    # customers with the same number of purchases stay together
    borders = np.unique(np.quantile(bought, [0.25, 0.5, 0.75]))
    quarter = np.searchsorted(borders, bought, side="left")
    bars = []
    for _, users in bought.groupby(quarter):
        interval = mean_interval(values[users.index])
        low, high = int(users.min()), int(users.max())
        label = f"{low:,} to {high:,} purchases" if high > low else plural(low, "purchase")
        detail = plural(len(users), "customer")
        bars.append(Bar(label, interval.mean, "accent", interval.ends, detail))
    return bars if len(bars) > 1 else []


def _history_figure(bars: list[Bar], view: str, k: int) -> Figure:
    title = f"{view_words(view).title}: NDCG@{k} by earlier purchases"
    caption = (
        "Customers in quarters, from light to heavy buyers; "
        f"the thin line is the {INTERVAL} of the mean."
    )
    return Figure(title, bar_chart(bars, description=title), caption)


def popularity_section(facts: RankingFacts) -> Section | None:
    """Coverage, concentration and novelty of the lists, beside those of the baselines."""
    figures = []
    for metric, words in _BEYOND.items():
        values = _beyond(facts, f"new/{metric}@{facts.k}")
        bars = [
            Bar(model_title(name), value, "accent" if name == facts.model else "quiet")
            for name, value in values.items()
        ]
        if bars:
            picture = bar_chart(bars, description=words.title, show=words.show, width=NARROW)
            figures.append(Figure(words.title, picture, words.meaning))
    if not figures:
        return None
    lead = (
        "Does the model show more than the best-sellers? "
        f"From the first {facts.k} new items recommended to each customer."
    )
    return Section("popularity", "Variety", lead, (Figures(tuple(figures), narrow=True),))


def _beyond(facts: RankingFacts, key: str) -> dict[str, float]:
    """The model's value, then the baselines'; empty if the model has none."""
    own = facts.metrics.get(f"test/{key}")
    if own is None or not math.isfinite(own):
        return {}
    values = {facts.model: own}
    for name in map(str, facts.board.index):
        baseline = name.removesuffix(" (baseline)")
        value = facts.metrics.get(f"test/baselines/{baseline}/{key}")
        if name != facts.model and value is not None:
            values[name] = value
    return values
