"""The command line of `recsys compare`."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recsys.arguments import parse_arguments, setting
from recsys.comparison.console import print_comparison
from recsys.comparison.page import render_comparison
from recsys.comparison.reading import (
    Entry,
    find_runs,
    group_seeds,
    read_runs,
    require_comparable,
)
from recsys.comparison.scoring import Comparison, compare_entries, default_metric
from recsys.errors import ConfigError, UserError, unknown
from recsys.runs.folder import RunFolder, make_folder
from recsys.tasks.registry import task_of_run


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """Says which runs are better than which, and which only look so."""

    runs: str = setting("[A,B,…]: run folders, folders of them, or patterns such as runs/*/*")
    metric: str | None = setting(
        "new/ndcg@10, wape, …; what the runs were selected by, if not given", default=None
    )
    reference: str | None = setting(
        "run folder or row that the others are tested against; the first, if not given",
        default=None,
    )
    output: Path | None = setting(
        "folder for leaderboard.csv, slices.csv and comparison.html;"
        " runs/comparisons/TIME, if not given",
        default=None,
    )
    confidence: float = setting("of the intervals, between 0 and 1", default=0.95)
    seed: int = setting("of resamples and random signs", default=1, minimum=0)


def compare_command(arguments: Sequence[str], command: str) -> int:
    """Prints the tables, and on its last line the folder it wrote; returns the exit code."""
    try:
        settings = parse_arguments(CompareArguments, arguments, command)
        comparison = compare_runs(settings)
        output = settings.output or Path("runs/comparisons") / time.strftime("%Y-%m-%d_%H-%M-%S")
        write_comparison(comparison, output)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_comparison(comparison)
    print(output)
    return 0


def compare_runs(settings: CompareArguments) -> Comparison:
    """Reads, refuses or compares.

    Raises:
        ConfigError: the runs cannot be compared, or a setting does not fit them.
    """
    if not 0 < settings.confidence < 1:
        raise ConfigError(
            f"confidence={settings.confidence:g} is not between 0 and 1; 0.95 is usual"
        )
    runs = read_runs(find_runs(settings.runs), lambda run: task_of_run(run).units(run))
    require_comparable(runs)
    entries, notes = group_seeds(runs)
    return compare_entries(
        entries,
        metric=settings.metric or default_metric(entries),
        reference=_reference(settings.reference, entries),
        confidence=settings.confidence,
        seed=settings.seed,
        notes=notes,
    )


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes leaderboard.csv, slices.csv and comparison.html."""
    make_folder(folder, "output")
    files = RunFolder(folder)
    files.write_text("leaderboard.csv", leaderboard_table(comparison).to_csv(index=False))
    files.write_text("slices.csv", comparison.slices.to_csv(index=False))
    files.write_text("comparison.html", render_comparison(comparison))


def leaderboard_table(comparison: Comparison) -> pd.DataFrame:
    """A row a model, best first, in full precision; the other metrics of the test are means over
    the seeds.
    """
    rows = []
    for entry in comparison.entries:
        row: dict[str, object] = {
            "name": entry.name,
            "model": entry.runs[0].model,
            "runs": " ".join(str(run.folder) for run in entry.runs),
            "seeds": " ".join(map(str, entry.seeds)),
            "num_seeds": len(entry.runs),
            "metric": comparison.metric,
            "higher_is_better": comparison.higher_is_better,
            "units": comparison.num_units,
            "confidence": comparison.confidence,
            "reference": comparison.reference,
        }
        row |= comparison.row(entry.name)
        row |= {
            "train_seconds": entry.mean(lambda run: run.train_seconds),
            "evaluation_seconds": entry.mean(lambda run: run.evaluation_seconds),
            "peak_memory_mb": entry.mean(lambda run: run.peak_memory_mb),
        }
        rows.append(row | _other_metrics(entry))
    return pd.DataFrame(rows)


def _other_metrics(entry: Entry) -> dict[str, float | None]:
    keys = [
        key
        for key in entry.runs[0].metrics
        if key.startswith("test/")
        and key.split("/")[1] not in ("baselines", "parts", "windows", "slices")
    ]
    return {key: entry.mean(lambda run, key=key: run.metrics.get(key)) for key in keys}  # type: ignore[misc]


def _reference(named: str | None, entries: Sequence[Entry]) -> str:
    if named is None:
        return entries[0].name
    for entry in entries:
        folders = [run.folder.resolve() for run in entry.runs]
        if named == entry.name or Path(named).resolve() in folders:
            return entry.name
    names = [entry.name for entry in entries]
    raise ConfigError(f"reference={unknown(named, names, 'row or run of this comparison')}")
