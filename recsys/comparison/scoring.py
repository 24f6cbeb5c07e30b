"""What each row of the leaderboard reached, question by question, and what that proves.

Axes: N cases (a customer, or a series in a window), G units (customers or series), M rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys.comparison.reading import Entry, Run
from recsys.comparison.units import Ratio, Slice
from recsys.errors import ConfigError, unknown
from recsys.evaluation.significance import compare, holm

SPREAD = ("seed_sd", "seed_low", "seed_high")


_ALL = Slice("all", "")


@dataclass(frozen=True)
class Comparison:
    """Everything that is shown and written.

    Attributes:
        metric: "new/ndcg@10", "wape".
        higher_is_better: which end of the leaderboard is the good one.
        unit, units: what one and several of what was drawn independently are called.
        num_units: how many of them.
        left_out: cases without a value, which count for nobody.
        entries: in the order of the leaderboard.
        reference: name of a row.
        confidence: of the intervals.
        seed: of resamples and coins.
        board: a row an entry, best first; columns of `recsys.evaluation.significance.compare`, and
            seed_sd, seed_low, seed_high (NaN for one seed).
        slices: columns slice, meaning, units, name and those of `compare`; p_holm is corrected for
            the whole table.
        notes: what was left out, and what to bear in mind.
    """

    metric: str
    higher_is_better: bool
    unit: str
    units: str
    num_units: int
    left_out: int
    entries: list[Entry]
    reference: str
    confidence: float
    seed: int
    board: pd.DataFrame
    slices: pd.DataFrame
    notes: list[str]

    def row(self, name: str) -> dict[str, float]:
        """Numbers of one entry, by column of the board."""
        return self.board.loc[[name]].to_dict("records")[0]  # type: ignore[return-value]


def default_metric(entries: Sequence[Entry]) -> str:
    """What the runs were selected by, where the test has it; else their first metric."""
    run = entries[0].runs[0]
    known = known_metrics(run)
    monitored = (run.record.monitor or "").partition("/")[2]
    return monitored if monitored in known else known[0]


def known_metrics(run: Run) -> list[str]:
    """Metrics that a run can be compared by."""
    return run.units.metrics(run.table)


def compare_entries(
    entries: Sequence[Entry],
    *,
    metric: str,
    reference: str,
    confidence: float = 0.95,
    seed: int = 1,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compares rows by a metric.

    A row of several seeds is worth, question by question, its mean over the seeds; what the seeds
    make of the metric stands beside it.

    Args:
        entries: comparable (`require_comparable`).
        metric: one of `known_metrics`.
        reference: name of one of the entries.
        confidence, seed: see `recsys.evaluation.significance.compare`.
        notes: passed on.

    Raises:
        ConfigError: no such metric, one that has no better end, or the runs were tested
            on different cases after all.
    """
    runs = [run for entry in entries for run in entry.runs]
    known = known_metrics(runs[0])
    if metric not in known:
        raise ConfigError(f"metric={unknown(metric, known, 'metric of these runs')}")
    direction = runs[0].units.direction(f"test/{metric}")
    if direction is None:
        raise ConfigError(f"metric={metric}: neither a higher nor a lower value is better")
    tables = _aligned(runs, metric)
    slices, reminders = _slices(runs, tables, metric)
    ratio = runs[0].units.ratio(metric)
    found = _units(tables, ratio, _ALL)
    if not found.sizes.sum() > 0:
        raise ConfigError(f"metric={metric} is undefined for every case of these runs")
    by_seed = found.totals.sum(axis=0) / found.sizes.sum()  # a run each
    pooled = _mean_over_seeds(found.totals, entries)
    board = compare(pooled, found.sizes, reference, confidence=confidence, seed=seed)
    spread = pd.DataFrame(index=board.index, columns=list(SPREAD), dtype=float)
    first = 0
    for entry in entries:
        values = by_seed[first : first + len(entry.runs)]
        first += len(entry.runs)
        if len(values) > 1:
            spread.loc[entry.name] = values.std(ddof=1), values.min(), values.max()
    units = runs[0].units
    higher = direction == "max"
    board = board.join(spread).sort_values("value", ascending=not higher, kind="stable")
    by_name = {entry.name: entry for entry in entries}
    return Comparison(
        metric=metric,
        higher_is_better=higher,
        unit=units.noun,
        units=units.nouns,
        num_units=len(found.sizes),
        left_out=found.left_out,
        entries=[by_name[str(name)] for name in board.index],
        reference=reference,
        confidence=confidence,
        seed=seed,
        board=board,
        slices=_compare_slices(tables, ratio, slices, entries, reference, confidence, seed),
        notes=[*notes, *reminders, *_versions(runs)],
    )


def _compare_slices(
    tables: Sequence[pd.DataFrame],
    ratio: Ratio,
    slices: Sequence[Slice],
    entries: Sequence[Entry],
    reference: str,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    parts = []
    for part in slices:
        found = _units(tables, ratio, part)
        if not found.sizes.sum() > 0:
            continue
        pooled = _mean_over_seeds(found.totals, entries)
        rows = compare(pooled, found.sizes, reference, confidence=confidence, seed=seed)
        rows = rows.rename_axis("name").reset_index()
        rows.insert(0, "slice", part.name)
        rows.insert(1, "meaning", part.meaning)
        rows.insert(2, "units", len(found.sizes))
        parts.append(rows)
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    tested = table["p"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].to_numpy())
    return table


class _Units(NamedTuple):
    """Totals (G, runs) and sizes (G,), as `compare` takes them, and cases without a value."""

    totals: np.ndarray
    sizes: np.ndarray
    left_out: int


def _units(tables: Sequence[pd.DataFrame], ratio: Ratio, part: Slice) -> _Units:
    """Sums up by unit, so that Σ totals / Σ sizes is the mean over windows of the metric.

    A metric that one run lacks for a question is left out of all.
    """
    parts = [_contributions(table, ratio, part.part) for table in tables]
    totals = np.stack([total for total, _ in parts], axis=1)  # (N, runs)
    sizes = parts[0][1]
    members = np.ones(len(sizes), dtype=bool) if part.members is None else part.members
    valid = members & np.isfinite(totals).all(axis=1) & np.isfinite(sizes)
    window = tables[0]["window"].to_numpy()
    in_window = np.bincount(window[valid], sizes[valid], minlength=int(window.max()) + 1)
    # a window of nothing but zeros has no ratio
    valid &= in_window[window] > 0
    share = 1.0 / (in_window[window[valid]] * (in_window > 0).sum())
    unit, _ = pd.factorize(tables[0]["unit"][valid])  # ascending, as the rows are sorted by it
    columns = np.column_stack([totals[valid], sizes[valid]]) * share[:, None]
    summed = np.add.reduceat(columns, np.flatnonzero(np.diff(unit, prepend=-1)))
    return _Units(summed[:, :-1], summed[:, -1], int((members & ~valid).sum()))


def _contributions(table: pd.DataFrame, ratio: Ratio, part: str) -> tuple[np.ndarray, np.ndarray]:
    """What each question adds to the two sums of the metric, (N,) each."""
    value = ratio.factor * table[_column(ratio.value, part)].to_numpy(dtype=float)
    if ratio.weight is None or ratio.size is None:
        return value, np.where(np.isnan(value), np.nan, 1.0)
    weight, size = (table[name].to_numpy(dtype=float) for name in (ratio.weight, ratio.size))
    return value * weight, size


def _column(column: str, part: str) -> str:
    """ndcg@10, or ndcg_tail@10 of the tail."""
    name, at, k = column.partition("@")
    return f"{name}_{part}{at}{k}" if part else column


def _mean_over_seeds(totals: np.ndarray, entries: Sequence[Entry]) -> pd.DataFrame:
    """(G, runs), in the order of the entries' runs -> (G, M)."""
    sizes = [len(entry.runs) for entry in entries]
    starts = np.cumsum([0, *sizes[:-1]])
    means = np.add.reduceat(totals, starts, axis=1) / sizes
    return pd.DataFrame(means, columns=[entry.name for entry in entries])


def _aligned(runs: Sequence[Run], metric: str) -> list[pd.DataFrame]:
    """Tables whose rows are the same cases in the same order, with columns unit and window.

    Raises:
        ConfigError: one run was tested on other cases than the first.
    """
    tables = [run.units.rows(run.table, metric) for run in runs]
    keys = ["unit", "window", *runs[0].units.truth]
    first = tables[0][keys]
    for run, table in zip(runs, tables, strict=True):
        if not set(keys) <= set(table) or not first.equals(table[keys]):
            raise ConfigError(
                f"{runs[0].folder} and {run.folder} cannot be compared: their tests hold different"
                " cases, though data and split have the same fingerprints; train both again"
                " with one version"
            )
    return tables


def _slices(
    runs: Sequence[Run], tables: Sequence[pd.DataFrame], metric: str
) -> tuple[list[Slice], list[str]]:
    """Parts of the cases, and a sentence where a run lacks the columns of some."""
    units, found, notes = runs[0].units, [], []
    for each in units.slices(runs[0].folder, tables[0]):
        column = _column(units.ratio(metric).value, each.part)
        lacking = [run.folder for run, own in zip(runs, tables, strict=True) if column not in own]
        if not each.part or not lacking:
            found.append(each)
        else:
            notes.append(f"no slice of {each.name}: {lacking[0]} does not hold {column}")
    return found, notes


def _versions(runs: Sequence[Run]) -> list[str]:
    commits = {(run.record.git_commit or "unknown")[:7] for run in runs}
    if len(commits) == 1:
        return []
    return [f"the runs come from {len(commits)} versions of the code: {', '.join(sorted(commits))}"]
