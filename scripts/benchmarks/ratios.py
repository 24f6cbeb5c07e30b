"""Figures of several rounds, as tables."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table


class Spread(NamedTuple):
    """Of the figures of several rounds."""

    median: float
    lowest: float
    highest: float

    def text(self, digits: int = 2) -> str:
        """Median and, in brackets, lowest to highest; "never" where a figure is infinite."""
        median, *ends = ("never" if f == float("inf") else f"{f:,.{digits}f}" for f in self)
        return f"{median} ({ends[0]} – {ends[1]})"


def spread(figures: Sequence[float]) -> Spread:
    """Median, lowest and highest."""
    return Spread(statistics.median(figures), min(figures), max(figures))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, round by round: what slows a round down slows both."""
    return [
        mine / other if other else float("inf") for mine, other in zip(ours, theirs, strict=True)
    ]


def reached(seconds: Sequence[float], values: Sequence[float], target: float) -> float:
    """Seconds until a value is at least the target, infinite where none ever is."""
    return next(
        (time for time, value in zip(seconds, values, strict=True) if value >= target), float("inf")
    )


def ratio_table(title: str, sides: tuple[str, str], rows: Sequence["RatioRow"]) -> Table:
    """Both sides of each row with their spread, and the ratio of ours (first) to theirs."""
    table = Table(title=title, title_justify="left")
    for column in ("median (lowest – highest)", *sides, "ratio"):
        table.add_column(column, justify="left" if column.startswith("median") else "right")
    for row in rows:
        figures = (spread(figures).text(row.digits) for figures in (row.ours, row.theirs))
        table.add_row(row.name, *figures, spread(ratios(row.ours, row.theirs)).text(2))
    return table


class RatioRow(NamedTuple):
    """A measurement of both sides, a figure a round."""

    name: str
    ours: list[float]
    theirs: list[float]
    digits: int = 0
