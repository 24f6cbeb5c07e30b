"""Section of suppliers, brands or categories: what lists show of each, and what is bought of it."""

import math
from typing import Any

from recsys.reports.blocks import Block, Cell, Figure, Figures, Section, Table
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, percent, plural
from recsys.reports.labels import metric_words, model_title, view_words
from recsys.reports.leaderboard import baseline_name

# as many groups are named, those that are bought most; the others are summed up
_SHOWN = 12


def exposure_section(facts: RankingFacts) -> Section | None:
    """Share of the largest groups in purchases and in exposure, view by view; nothing where no
    column was named.
    """
    exposure = facts.exposure
    if not exposure or not exposure.get("views"):
        return None
    column, k = str(exposure["column"]), int(exposure["k"])
    blocks: list[Block] = []
    for view, groups in exposure["views"].items():
        rows = _rows(groups)
        blocks.append(Figures((_figure(view, rows, k),)))
        blocks.append(_table(facts, view, rows, column, k))
    lead = (
        f"What the first {k} recommendations show of each {column}, where the place at rank r"
        " counts 1 / log2(r + 1), beside its share of the customer–item pairs that were fitted."
        f" {metric_words(f'exposure_gap@{k}').meaning}"
    )
    return Section("exposure", f"Exposure by {column}", lead, tuple(blocks))


def _rows(groups: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Name, share of purchases and of exposure; all that are not named as one at the end."""
    rows = [
        (str(each["name"]) or "not known", float(each["purchases"]), float(each["exposure"]))
        for each in groups
    ]
    shown, others = rows[:_SHOWN], rows[_SHOWN:]
    if others:
        bought, seen = (math.fsum(each) for each in list(zip(*others, strict=True))[1:])
        shown.append((plural(len(others), "other"), bought, seen))
    return shown


def _figure(view: str, rows: list[tuple[str, float, float]], k: int) -> Figure:
    bars = [
        Bar(name, exposure, "accent", detail=f"{percent(bought)} of purchases")
        for name, bought, exposure in rows
    ]
    title = f"{view_words(view).title}: share of exposure@{k}"
    return Figure(title, bar_chart(bars, description=title, show=percent))


def _table(
    facts: RankingFacts, view: str, rows: list[tuple[str, float, float]], column: str, k: int
) -> Table:
    """The shares, and the gap of the model and of its baselines."""
    cells = [
        (Cell(name), Cell(percent(bought)), Cell(percent(exposure)), Cell(_ratio(bought, exposure)))
        for name, bought, exposure in rows
    ]
    key = f"{view}/exposure_gap@{k}"
    gaps = {model_title(facts.model): facts.metrics.get(f"test/{key}")}
    for name in map(str, facts.board.index):
        if name != facts.model:
            found = facts.metrics.get(f"test/baselines/{baseline_name(name)}/{key}")
            gaps |= {} if found is None else {model_title(name): found}
    said = ", ".join(f"{name} {decimal(value)}" for name, value in gaps.items())
    title = f"{view_words(view).title}; exposure gap@{k}: {said}"
    header = (column, "Share of purchases", "Share of exposure", "Exposure per purchase")
    return Table(title, header, tuple(cells))


def _ratio(bought: float, exposure: float) -> str:
    return decimal(exposure / bought if bought else None, 2)
