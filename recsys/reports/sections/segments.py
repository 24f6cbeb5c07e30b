"""Section of NDCG by segment of the customers."""

import pandas as pd

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import plural
from recsys.reports.intervals import mean_interval
from recsys.reports.labels import INTERVAL, view_words

# as many segments are shown, those with the most customers
_SHOWN = 12


def segments_section(facts: RankingFacts) -> Section | None:
    """NDCG of the segments of `evaluation.segment_column`, view by view; nothing without it."""
    column = facts.config.get("evaluation", {}).get("segment_column")
    table = facts.per_user
    metric = f"ndcg@{facts.k}"
    if not column or table is None or not {"segment", metric} <= set(table):
        return None
    figures = [
        figure
        for view in facts.views
        if (figure := _figure(table[table["view"] == view], view, metric))
    ]
    if not figures:
        return None
    lead = f"Whether the model serves some customers worse than others, by their {column}."
    return Section("segments", f"Customers by {column}", lead, (Figures(tuple(figures)),))


def _figure(rows: pd.DataFrame, view: str, metric: str) -> Figure | None:
    bars = []
    sizes = rows["segment"].value_counts(sort=False)
    largest = sizes.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    for name in sorted(map(str, largest), key=lambda each: (not each, each)):
        values = rows.loc[rows["segment"] == name, metric].astype("float64").dropna()
        if len(values):
            detail = plural(len(values), "customer")
            interval = mean_interval(values)
            bars.append(Bar(name or "not known", float(values.mean()), "accent", interval, detail))
    if len(bars) < 2:
        return None
    title = f"{view_words(view).title}: {metric.upper()} by segment"
    caption = f"The thin lines are {INTERVAL}s over customers."
    if len(sizes) > _SHOWN:
        caption += f" The {_SHOWN} largest of {len(sizes):,} segments."
    return Figure(title, bar_chart(bars, description=title), caption)
