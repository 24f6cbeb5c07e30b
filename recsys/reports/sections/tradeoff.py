"""Section of what variety costs: NDCG against the diversity of lists."""

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.lines import Series, line_chart
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal

_METHODS = {
    "mmr": ("maximal marginal relevance", "accent"),
    "dpp": ("determinantal point process", "quiet"),
}


def tradeoff_section(facts: RankingFacts) -> Section | None:
    """The curve, a line a method; None where the run has none."""
    points = facts.tradeoff.get("points", ())
    series = []
    for method, (title, style) in _METHODS.items():
        own = [point for point in points if point["method"] == method]
        if own:
            x = [100 * point["diversity"] for point in own]
            series.append(Series(title, x, [point["ndcg"] for point in own], style))
    if not series:
        return None
    k = facts.tradeoff["k"]
    plain = points[0]
    picture = line_chart(series, x_label="diversity within a list (%)", y_label=f"NDCG@{k}")
    settings = ", ".join(f"{setting:g}" for setting in dict.fromkeys(p["setting"] for p in points))
    caption = (
        f"Without a rule lists have NDCG@{k} {decimal(plain['ndcg'])} and diversity"
        f" {decimal(plain['diversity'], 3)}. Points are the settings diversity={settings}."
    )
    lead = (
        "What more variety costs: new items, chosen from the 100 best of a customer; two items are"
        " alike by the categories and tags they share."
    )
    figure = Figure("Accuracy against variety", picture, caption)
    return Section("tradeoff", "The price of variety", lead, (Figures((figure,)),))
