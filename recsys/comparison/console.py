"""The tables of a comparison on screen."""

from collections.abc import Mapping, Sequence

from recsys.comparison.scoring import Comparison
from recsys.comparison.words import (
    caution,
    interval_title,
    megabytes,
    metric_title,
    probability,
    verdict,
    with_ends,
)
from recsys.reports.console import print_table
from recsys.reports.formats import MISSING, decimal, duration, plural, signed

_WIDTH = 150


def print_comparison(comparison: Comparison) -> None:
    """Leaderboard, slices, and the conclusion."""
    _print_leaderboard(comparison)
    if not comparison.slices.empty:
        _print_slices(comparison)
    for sentence in (verdict(comparison), caution(comparison)):
        if sentence:
            print(sentence)


def _print_leaderboard(comparison: Comparison) -> None:
    units = plural(comparison.num_units, comparison.unit)
    title = f"{metric_title(comparison.metric)}, {units}, {interval_title(comparison.confidence)}s"
    columns: dict[str, list[str]] = {
        metric_title(comparison.metric): [],
        f"difference to {comparison.reference}": [],
        "p (Holm)": [],
        "seeds": [],
        "sd, min to max": [],
        "train": [],
        "evaluate": [],
        "memory": [],
    }
    for entry in comparison.entries:
        row = comparison.row(entry.name)
        spread = MISSING
        if len(entry.runs) > 1:
            sd, low, high = (decimal(row[key]) for key in ("seed_sd", "seed_low", "seed_high"))
            spread = f"{sd}, {low} to {high}"
        keys = ("difference", "difference_low", "difference_high")
        cells = (
            with_ends(*(decimal(row[key]) for key in ("value", "low", "high"))),
            with_ends(*(signed(row[key]) for key in keys)),
            probability(row["p_holm"]),
            str(len(entry.runs)),
            spread,
            duration(entry.mean(lambda run: run.train_seconds)),
            duration(entry.mean(lambda run: run.evaluation_seconds)),
            megabytes(entry.mean(lambda run: run.peak_memory_mb)),
        )
        for cell, column in zip(cells, columns.values(), strict=True):
            column.append(cell)
    shown = {name: cells for name, cells in columns.items() if set(cells) != {MISSING}}
    _print_columns(title, comparison, shown)


def _print_slices(comparison: Comparison) -> None:
    names = [entry.name for entry in comparison.entries]
    columns = {}
    for name, part in comparison.slices.groupby("slice", sort=False):
        values = part.set_index("name")["value"]
        header = f"{name}\n{part['units'].iloc[0]:,}"
        columns[header] = [decimal(values[row]) for row in names]
    _print_columns("slices", comparison, columns)


def _print_columns(
    title: str, comparison: Comparison, columns: Mapping[str, Sequence[str]]
) -> None:
    names = [entry.name for entry in comparison.entries]
    rows = list(zip(names, *columns.values(), strict=True))
    marked = names.index(comparison.reference)
    print_table(title, ("model", *columns), rows, marked=marked, width=_WIDTH)
