"""Commands for teams that received a bundle: `verify`, `recommend` and `forecast`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys.arguments import parse_arguments, setting, unknown
from recsys.errors import BundleError, ConfigError, UserError
from recsys.inference.batch.forecast import ForecastResult, forecast_file
from recsys.inference.batch.recommend import recommend_file
from recsys.inference.forecaster import Forecaster
from recsys.inference.recommender import Recommender
from recsys.inference.verification import verify

_COMMAND = "python -m recsys.inference"
_USAGE = f"""usage: {_COMMAND} verify BUNDLE [BUNDLE ...]
       {_COMMAND} recommend bundle=BUNDLE users=FILE output=FILE [k=10] [exclude=none]
       {_COMMAND} forecast bundle=BUNDLE history=FILE output=FILE

verify     checks that bundles are whole and answer as they did where they were exported
recommend  writes the best items for every user of a file; `recommend help` lists its settings
forecast   writes what every series of a table will sell; `forecast help` lists its settings"""
# What the largest difference of `verify` is of.
_DIFFERENCES = {
    "recommender": "largest difference of scores",
    "forecaster": "largest relative difference of forecasts",
}
# So many ids stand in a warning.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class RecommendArguments:
    """Recommends items for every user of a file: user_id, rank (1 is the best), item_id, score."""

    bundle: Path = setting("bundle folder, such as exported/journey")
    users: Path = setting(
        "CSV or Parquet file with the column user_id, optionally history and history_age"
    )
    output: Path = setting("CSV or Parquet file to write")
    k: int = setting("items a user", default=10, minimum=1)
    exclude: Literal["none", "seen"] = setting("seen leaves out what a user bought", default="none")
    threads: int | None = setting(
        "threads, else as many as there are cores", default=None, minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class ForecastArguments:
    """Forecasts every series of a table: series_id, timestamp, and a column for each quantile.

    A step without a row is missing, not zero. Timestamps without an offset are read by the clock of
    the bundle's zone, others are converted to it; rows after the last y tell the covariates ahead.
    """

    bundle: Path = setting("bundle folder, such as exported/journey-forecaster")
    history: Path = setting(
        "CSV or Parquet file with the columns series_id, timestamp, y and covariates as the "
        "manifest names them, the rows of a series together"
    )
    output: Path = setting("CSV or Parquet file to write")
    threads: int | None = setting(
        "threads, else as many as there are cores", default=None, minimum=1
    )


def main(arguments: Sequence[str]) -> int:
    """`python -m recsys.inference`; the exit code."""
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "verify": verify_command,
        "recommend": recommend_command,
        "forecast": forecast_command,
    }
    name = arguments[0] if arguments else "help"
    if name in {"help", "--help", "-h"}:
        print(_USAGE)
        return 0
    if name not in commands:
        return _fail(ConfigError(unknown(name, commands, "command")))
    return commands[name](arguments[1:])


def verify_command(arguments: Sequence[str]) -> int:
    """Verifies bundles, a line each: 0 if all are as exported, 1 if not, 2 if none is named."""
    if {"help", "--help", "-h"} & set(arguments):
        print(_USAGE)
        return 0
    if not arguments:
        return _fail(
            ConfigError(f"no bundle is named; usage: {_COMMAND} verify BUNDLE [BUNDLE ...]")
        )
    failed = False
    for path in arguments:
        try:
            found = verify(path)
            print(
                f"{path}: ok ({found.task}, {found.cases} samples, "
                f"{_DIFFERENCES[found.task]} {found.largest_difference:.1g})"
            )
        except BundleError as error:
            failed = True
            print(f"{path}: FAILED: {error}")
    return int(failed)


def recommend_command(arguments: Sequence[str], command: str = f"{_COMMAND} recommend") -> int:
    """Recommends for a file: 0, or 2 after one sentence that says what is wrong.

    Args:
        arguments: `key=value` settings of `RecommendArguments`.
        command: what is typed before them, for the usage.
    """
    try:
        asked = parse_arguments(RecommendArguments, arguments, command)
        exclude: Literal["seen"] | None = "seen" if asked.exclude == "seen" else None
        recommender = Recommender(asked.bundle, asked.threads)
        with _progress_line("users") as progress:
            result = recommend_file(
                recommender, asked.users, asked.output, asked.k, exclude, progress
            )
    except UserError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    if result.impersonal:
        print(
            "warning: this bundle reads histories, and neither it nor the users file holds any: "
            "everyone got what is popular (add a column history, or export with seen=true)",
            file=sys.stderr,
        )
    print(f"{result.users} users, {result.rows} rows in {result.seconds:.1f} s: {asked.output}")
    return 0


def forecast_command(arguments: Sequence[str], command: str = f"{_COMMAND} forecast") -> int:
    """Forecasts for a file: 0, or 2 after one sentence that says what is wrong.

    Args:
        arguments: `key=value` settings of `ForecastArguments`.
        command: what is typed before them, for the usage.
    """
    try:
        asked = parse_arguments(ForecastArguments, arguments, command)
        forecaster = Forecaster(asked.bundle, asked.threads)
        with _progress_line("series") as progress:
            result = forecast_file(forecaster, asked.history, asked.output, progress)
    except UserError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    for warning in _forecast_warnings(result, forecaster):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{result.series} series, {result.rows} rows in {result.seconds:.1f} s: {asked.output}")
    return 0


def _forecast_warnings(result: ForecastResult, forecaster: Forecaster) -> Iterator[str]:
    """A sentence for each thing in a table of histories that its owner may not expect."""
    counts, horizon = result.counts, forecaster.horizon
    if counts.without_value:
        names = ", ".join(map(repr, counts.without_value[:_NAMED]))
        more = ", …" if len(counts.without_value) > _NAMED else ""
        yield f"{len(counts.without_value)} series have no y and got no forecast: {names}{more}"
    if counts.missing_steps:
        yield (
            f"{counts.missing_steps} steps have no row and count as missing, not as zero: write "
            "rows with y=0 where nothing was sold"
        )
    if counts.added_up:
        yield (
            f"{counts.added_up} rows were added to the one before, because the clock of "
            f"{forecaster.timezone} showed their hour twice"
        )
    if counts.unknown_covariates:
        yield (
            f"{counts.unknown_covariates} of "
            f"{result.rows * len(forecaster.covariate_names)} values of "
            f"{', '.join(forecaster.covariate_names)} are not known for the {horizon} steps ahead: "
            "write rows after the last y, with y empty"
        )
    if counts.beyond:
        yield f"{counts.beyond} rows lie beyond the {horizon} steps ahead and were not read"


@contextmanager
def _progress_line(what: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A line on the terminal, drawn at most ten times a second; None where there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    started = drawn = time.monotonic()

    def draw(done: int, total: int | None) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn > 0.1:
            drawn = now
            share = f"{done} of {total}" if total else str(done)
            sys.stderr.write(f"\r\033[K{share} {what}, {done / (now - started):.0f} a second")
            sys.stderr.flush()

    try:
        yield draw
    finally:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _fail(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
