"""The tables of a comparison on screen."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.comparison.scoring import Comparison
from recsys.comparison.words import (
    caution,
    interval_title,
    megabytes,
    metric_title,
    probability,
    signed,
    verdict,
    with_ends,
)
from recsys.reports.formats import MISSING, decimal, duration, plural

# a log file has no width; eighty columns would cut the numbers off
_WIDTH = 150


def print_comparison(comparison: Comparison) -> None:
    """Leaderboard, slices, and what follows from them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(_leaderboard(comparison))
    if not comparison.slices.empty:
        console.print(_slices(comparison))
    console.print(Text(verdict(comparison)))
    if words := caution(comparison):
        console.print(Text(words, style="dim"))


def _leaderboard(comparison: Comparison) -> Table:
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
    names = [entry.name for entry in comparison.entries]
    return _table(title, names, shown, comparison.reference)


def _slices(comparison: Comparison) -> Table:
    names = [entry.name for entry in comparison.entries]
    columns = {}
    for name, part in comparison.slices.groupby("slice", sort=False):
        values = part.set_index("name")["value"]
        header = f"{name}\n{part['units'].iloc[0]:,}"
        columns[header] = [decimal(values[row]) for row in names]
    return _table("slices", names, columns, comparison.reference)


def _table(title: str, names: list[str], columns: dict[str, list[str]], marked: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right")
    for row, name in enumerate(names):
        style = "bold" if name == marked else ""
        cells = (Text(cells[row], no_wrap=True) for cells in columns.values())
        table.add_row(Text(name), *cells, style=style)
    return table
