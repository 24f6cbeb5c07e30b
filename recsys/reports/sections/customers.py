"""Section of NDCG by customer: its distribution, and its mean by number of earlier purchases."""

import numpy as np
import pandas as pd

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.bars import Bar, bar_chart, histogram
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, percent, plural
from recsys.reports.intervals import mean_interval
from recsys.reports.labels import INTERVAL, view_words


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
    lead = "A mean hides how customers differ; these charts show the distribution."
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
        low, high = int(users.min()), int(users.max())
        label = f"{low:,} to {high:,} purchases" if high > low else plural(low, "purchase")
        detail = plural(len(users), "customer")
        mine = values[users.index]
        bars.append(Bar(label, float(mine.mean()), "accent", mean_interval(mine), detail))
    return bars if len(bars) > 1 else []


def _history_figure(bars: list[Bar], view: str, k: int) -> Figure:
    title = f"{view_words(view).title}: NDCG@{k} by earlier purchases"
    caption = (
        "Customers in quarters, from light to heavy buyers; "
        f"the thin line is the {INTERVAL} of the mean."
    )
    return Figure(title, bar_chart(bars, description=title), caption)
