"""What a task's runs are compared by: a table of units that were drawn independently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd


class Ratio(NamedTuple):
    """Columns that make a metric: factor * sum of value * weight / sum of size, over the rows of a
    window; no weight: each row counts once, where the metric is defined.
    """

    value: str
    weight: str | None = None
    size: str | None = None
    factor: float = 1.0


class Slice(NamedTuple):
    """Some of the rows.

    Attributes:
        name: light customers, tail items, …
        meaning: who belongs to it.
        members: bool, a row; None: all.
        part: "head" or "tail" where only such items count.
    """

    name: str
    meaning: str
    members: Any = None
    part: str = ""


def _no_slices(folder: Path, table: pd.DataFrame) -> list[Slice]:
    return []


@dataclass(frozen=True)
class UnitTable:
    """The table that a run leaves of its test.

    Attributes:
        file: in the run folder.
        unit: column of what was drawn independently.
        noun, nouns: what to call one and several of them.
        view: column of the part of the test a row belongs to; metrics are then "VIEW/NAME".
        window: column of the test window; None: one.
        direction: of a metric; "min" where lower is better.
        ratios: metric to the columns that make it; None: every numeric column is a mean over units.
        truth: columns that have to be equal in runs that are compared.
        slices: from the run folder and the rows of a metric to parts of them.
        test_fingerprint: from the run folder and the table, of what was fitted and evaluated in the
            test, for splits that may depend on the seed; None: the split's fingerprint decides.
    """

    file: str
    unit: str
    noun: str
    nouns: str
    direction: Callable[[str], Literal["max", "min"] | None] = field(compare=False)
    view: str | None = None
    window: str | None = None
    ratios: Mapping[str, Ratio] | None = None
    truth: Sequence[str] = ()
    slices: Callable[[Path, pd.DataFrame], Sequence[Slice]] = field(
        default=_no_slices, compare=False
    )
    test_fingerprint: Callable[[Path, pd.DataFrame], str] | None = field(
        default=None, compare=False
    )

    def ratio(self, metric: str) -> Ratio:
        """The columns of a metric; "new/ndcg@10" is the column ndcg@10 of the view new."""
        if self.ratios is not None:
            return self.ratios[metric]
        return Ratio(metric.partition("/")[2] if self.view else metric)

    def metrics(self, table: pd.DataFrame) -> list[str]:
        """Metrics that the table can be compared by."""
        if self.ratios is not None:
            return [
                name
                for name, ratio in self.ratios.items()
                if {column for column in ratio[:3] if column} <= set(table.columns)
            ]
        known = {self.unit, self.view, self.window, *self.truth}
        columns = [
            str(name)
            for name in table.select_dtypes("number").columns
            if name not in known and "_head@" not in str(name) and "_tail@" not in str(name)
        ]
        if self.view is None:
            return columns
        return [f"{view}/{column}" for view in table[self.view].unique() for column in columns]

    def rows(self, table: pd.DataFrame, metric: str) -> pd.DataFrame:
        """The rows of a metric, with columns unit and window, sorted by both."""
        if self.view is not None:
            table = table[table[self.view] == metric.partition("/")[0]]
        window = table[self.window] if self.window else 0
        table = table.assign(unit=table[self.unit].astype(str), window=window)
        table = table.astype({"window": "int64"})
        return table.sort_values(["unit", "window"], kind="stable", ignore_index=True)
