"""Section of a model that is made of others: what each part weighs, and what it reaches alone."""

import math

from recsys.reports.blocks import Cell, Section, Table
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import MISSING, decimal
from recsys.reports.labels import model_title, view_words

_SCALES = {
    "standard": "standardised by customer",
    "max": "standardised by customer and divided by the largest",
    "log": "standardised by customer and compressed by a logarithm",
}


def parts_section(facts: RankingFacts) -> Section | None:
    """A row a part and one of the blend; nothing for a model without parts."""
    blend = facts.blend
    if not blend:
        return None
    lead = (
        f"Scores of the parts, {_SCALES.get(blend['scale'], blend['scale'])}, are added with these"
        " weights"
    )
    lead += f", which validation chose by {blend['monitor']}." if blend["chosen"] else "."
    if blend["stacked"]:
        lead += (
            " The second weight is multiplied by the logarithm of the customer's number of"
            " purchases, standardised."
        )
    views = [view for view in facts.views if f"test/{view}/users" in facts.metrics]
    header = ["Part", "Weight", *(["By purchases"] if blend["stacked"] else [])]
    header += [f"Validation: {blend['monitor'].removeprefix('val/')}"]
    header += [f"Test: NDCG@{facts.k}, {view_words(view).inline}" for view in views]
    rows = []
    for part in blend["parts"]:
        weights = [part["weight"], *([part["by_length"]] if blend["stacked"] else [])]
        rows.append(
            [
                model_title(part["name"]),
                *map(decimal, weights),
                _shown(_validated(facts, f"parts/{part['name']}/")),
                *(_shown(_tested(facts, f"parts/{part['name']}/", view)) for view in views),
            ]
        )
    empty = [""] * (2 if blend["stacked"] else 1)
    tested = (_shown(_tested(facts, "", view)) for view in views)
    rows.append([model_title(facts.model), *empty, _shown(_validated(facts, "")), *tested])
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    table = Table("The parts alone, and together", tuple(header), cells, len(rows) - 1)
    return Section("parts", "Parts", lead, (table,))


def _validated(facts: RankingFacts, part: str) -> float | None:
    return facts.metrics.get(facts.blend["monitor"].replace("val/", f"val/{part}", 1))


def _tested(facts: RankingFacts, part: str, view: str) -> float | None:
    return facts.metrics.get(f"test/{part}{view}/ndcg@{facts.k}")


def _shown(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else decimal(value)
