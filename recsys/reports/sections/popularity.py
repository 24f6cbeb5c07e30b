"""Section of metrics beyond accuracy: coverage, concentration, novelty, diversity."""

import math
from collections.abc import Callable
from typing import NamedTuple

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.charts.canvas import NARROW
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, percent
from recsys.reports.labels import model_title
from recsys.reports.leaderboard import baseline_name


class _Beyond(NamedTuple):
    """A number beyond accuracy: its heading, what it means, how it is written."""

    title: str
    meaning: str
    show: Callable[[float], str]


_BEYOND = {
    "coverage": _Beyond(
        "Coverage",
        "Share of the catalogue that appears in at least one customer's list.",
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
    "diversity": _Beyond(
        "Diversity within a list",
        "0 if all items of a list have the same attributes, 1 if no two share one.",
        lambda value: decimal(value, 3),
    ),
    "serendipity": _Beyond(
        "Serendipity",
        "Share of places with an item that was bought and is none of the best-sellers.",
        lambda value: percent(value, 1),
    ),
}


def popularity_section(facts: RankingFacts) -> Section | None:
    """Coverage, concentration, diversity and more of the lists, beside those of the baselines."""
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
        "Whether the model recommends more than best-sellers, "
        f"from the first {facts.k} new items recommended to each customer."
    )
    return Section("popularity", "Variety", lead, (Figures(tuple(figures), narrow=True),))


def _beyond(facts: RankingFacts, key: str) -> dict[str, float]:
    """The model's value, then the baselines'; empty if the model has none."""
    own = facts.metrics.get(f"test/{key}")
    if own is None or not math.isfinite(own):
        return {}
    values = {facts.model: own}
    for name in map(str, facts.board.index):
        baseline = baseline_name(name)
        value = facts.metrics.get(f"test/baselines/{baseline}/{key}")
        if name != facts.model and value is not None:
            values[name] = value
    return values
