"""What a comparison says in sentences and cells, for the screen and the page alike."""

import math

from recsys.comparison.scoring import Comparison
from recsys.reports.formats import MISSING, decimal, listed, plural, sentence_case, whole
from recsys.reports.labels import METRICS, metric_words, model_title, view_words

# corrected p-values below it are called a difference
LEVEL = 0.05


def metric_title(metric: str) -> str:
    """NDCG@10, new items; WAPE."""
    view, slash, name = metric.partition("/")
    if not slash:
        return metric_words(metric).title
    plain, at, k = name.partition("@")
    title = METRICS[plain].title if plain in METRICS else plain
    return f"{title}{at}{k}, {view_words(view).inline}"


def interval_title(confidence: float) -> str:
    """95 % interval."""
    return f"{100 * confidence:g}\N{NO-BREAK SPACE}% interval"


def probability(value: float) -> str:
    """0.032, 0.0002, <0.0001; a dash where nothing was tested."""
    if not math.isfinite(value):
        return MISSING
    if value < 0.0001:
        return "<0.0001"
    return f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def megabytes(value: float | None) -> str:
    """1,234 MB."""
    return MISSING if value is None else f"{whole(value)} MB"


def with_ends(value: str, low: str, high: str) -> str:
    """0.1500 [0.1000, 0.2000]; the value alone where the ends are undefined."""
    return value if MISSING in (low, high) else f"{value} [{low}, {high}]"


def verdict(comparison: Comparison) -> str:
    """Which row is first, and which rows differ significantly from the reference."""
    board, metric = comparison.board, metric_title(comparison.metric)
    first = comparison.entries[0].name
    best = decimal(comparison.row(first)["value"])
    clauses = [
        f"{model_title(first)} is first with {best} ({metric},"
        f" {plural(comparison.num_units, comparison.unit)})"
    ]
    others = board.drop(index=comparison.reference)
    if len(others):
        gain = others["difference"] * (1 if comparison.higher_is_better else -1)
        proven = others["p_holm"] < LEVEL
        reference = model_title(comparison.reference)
        parts = []
        for verbs, rows in (
            (("is better than", "are better than"), others.index[proven & (gain > 0)]),
            (("is worse than", "are worse than"), others.index[proven & (gain < 0)]),
            (
                ("does not differ significantly from", "do not differ significantly from"),
                others.index[~proven],
            ),
        ):
            if len(rows):
                names = listed([model_title(str(name)) for name in rows])
                words = verbs[len(rows) > 1]
                parts.append(f"{names} {words} {reference}")
        clauses.append("; ".join(parts))
    return sentence_case("; ".join(clauses)) + "."


def caution(comparison: Comparison) -> str:
    """What the intervals do not cover, and what was left out."""
    sentences = []
    single = [entry.name for entry in comparison.entries if len(entry.runs) == 1]
    if single:
        names = (
            "every row"
            if len(single) == len(comparison.entries)
            else listed([model_title(name) for name in single])
        )
        sentences.append(
            f"the intervals cover the choice of {_plural_unit(comparison)}, not the randomness of"
            f" training: {names} {'has' if len(single) == 1 or names == 'every row' else 'have'}"
            " one seed"
        )
    if comparison.left_out:
        sentences.append(
            f"{comparison.left_out:,} cases have no {comparison.metric} and count for no row"
        )
    return " ".join(f"{sentence_case(text)}." for text in [*sentences, *comparison.notes])


def _plural_unit(comparison: Comparison) -> str:
    return comparison.units
