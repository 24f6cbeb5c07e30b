"""Commands on bundles: `verify`, `recommend`, `forecast` and `add`."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recsys.arguments import parse_arguments, reports_errors, setting
from recsys.errors import BundleError, ConfigError, unknown
from recsys.inference.bundle import open_bundle
from recsys.inference.forecaster import Forecaster
from recsys.inference.recommender import Recommender
from recsys.inference.rule_settings import RuleArguments
from recsys.inference.verification import verify

# Batch files need pyarrow, which is imported by the commands that read them.
if TYPE_CHECKING:
    from recsys.inference.adding import Addition
    from recsys.inference.batch.forecast import ForecastResult
    from recsys.inference.batch.input_table import Dialect

_COMMAND = "python -m recsys.inference"
_USAGE = f"""usage: {_COMMAND} verify BUNDLE [BUNDLE ...]
       {_COMMAND} recommend bundle=BUNDLE users=FILE output=FILE [k=10] [exclude=none] [because=0]
       {_COMMAND} forecast bundle=BUNDLE history=FILE output=FILE
       {_COMMAND} add bundle=BUNDLE items=FILE output=BUNDLE

verify     verifies checksums and replays the golden samples of bundles
recommend  writes the best items for each user of a file, by the rules of the shop where some are
           given; `recommend help` lists its settings
forecast   writes forecasts for each series of a table; `forecast help` lists its settings
add        puts new items into a bundle; `add help` lists its settings"""
_DIFFERENCES = {
    "recommender": "largest difference of scores",
    "forecaster": "largest relative difference of forecasts",
}
# Why none of some ids is known.
_DECIMALS = (
    "; their ids end in '.0', as pandas writes whole numbers beside empty cells: write ids as text"
)
# Largest number of ids in a warning.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class TableArguments:
    """How the table that is read is written: what is not given is as in the table of training."""

    separator: str | None = setting(
        "of a text file: comma, semicolon, pipe, tab, space, or another character", default=None
    )
    encoding: str | None = setting("of a text file, such as latin-1 or utf-16", default=None)
    decimal: str | None = setting("sign between whole and part of numbers in text", default=None)
    thousands: str | None = setting("sign between groups of three digits in text", default=None)
    multiline: bool | None = setting("cells of a text file may hold line breaks", default=None)
    table: str | None = setting("name of the table behind a SQL URL", default=None)
    columns: Mapping[str, str] | None = setting(
        "column of the table that holds what the bundle calls NAME; as in training, if not given",
        default=None,
    )

    def dialect(self) -> "Dialect":
        """These settings, for the reader."""
        from recsys.inference.batch.input_table import Dialect

        known = {each.name for each in fields(Dialect)}
        given = {name: value for name, value in vars(self).items() if name in known}
        return Dialect(**given | {"columns": self.columns or {}})


@dataclass(frozen=True, kw_only=True)
class RecommendArguments(TableArguments, RuleArguments):
    """Writes the best items for each user of a file: user_id, rank (1 is the best), item_id, score.

    because=3 adds the three purchases that carry an item most, with their shares, and a sentence.
    The file may hold further inputs of the model, in columns named as in the manifest. Rules from
    minimum to items say what is shown; NAME is then a column of the items.
    """

    bundle: Path = setting("bundle folder, such as exported/journey")
    users: str = setting(
        "CSV or Parquet file, folder of Parquet files or SQL URL with the column user_id,"
        " optionally history and further inputs"
    )
    output: Path = setting("CSV or Parquet file to write")
    k: int = setting("items a user", default=10, minimum=1)
    exclude: Literal["none", "seen"] = setting(
        "seen leaves out the purchases of a user", default="none"
    )
    because: int = setting(
        "purchases that carry an item, so many at most; of a bundle exported with because=true",
        default=0,
        minimum=0,
    )
    basket: str | None = setting(
        "column of users with a list of the items in the basket so far: left out, and the latest"
        " purchases to models that read histories",
        default=None,
    )
    answered_from: bool = setting(
        "add a column that tells whether a user was answered from purchases, attributes or"
        " popularity",
        default=False,
    )
    at: str | None = setting(
        "moment of the request, such as 2024-01-31T18:00, for models that read the hour or the "
        "weekday; now, if not given",
        default=None,
    )
    threads: int | None = setting("threads; all cores, if not given", default=None, minimum=1)


@dataclass(frozen=True, kw_only=True)
class AddArguments(TableArguments):
    """Puts new items into the catalogue of a bundle, placed by what they are, without training.

    The table has a row of each item: item_id, and the columns that the model read of items in
    training, of which one has to be there. Answers about old items stay as they are, which is
    checked before the new bundle appears. columns.NAME=COLUMN says what NAME is called here.
    """

    bundle: Path = setting("bundle folder, of a model that reads attributes of items")
    items: str = setting(
        "CSV or Parquet file, folder of Parquet files or SQL URL with the column item_id and"
        " attributes of the items"
    )
    output: Path = setting("folder of the bundle to write; it may be the bundle itself")


@dataclass(frozen=True, kw_only=True)
class ForecastArguments(TableArguments):
    """Writes forecasts for each series of a table: series_id, timestamp, a column a quantile.

    A step without a row is missing, not zero. Timestamps without an offset are local time of the
    bundle's zone, others are converted to it; rows after the last y hold the covariates ahead.
    """

    bundle: Path = setting("bundle folder, such as exported/journey-forecaster")
    history: str = setting(
        "CSV or Parquet file, folder of Parquet files or SQL URL with the columns series_id, "
        "timestamp, y and covariates as the manifest names them; the rows of a series are "
        "consecutive"
    )
    output: Path = setting("CSV or Parquet file to write")
    timestamp_format: str | None = setting("of dates in text, such as %d/%m/%Y", default=None)
    timestamp_unit: Literal["s", "ms", "us", "ns", "D"] | None = setting(
        "of timestamps that are numbers and count from 1970", default=None
    )
    threads: int | None = setting("threads; all cores, if not given", default=None, minimum=1)


@reports_errors
def main(arguments: Sequence[str]) -> int:
    """`python -m recsys.inference`; returns the exit code."""
    name = arguments[0] if arguments else "help"
    if name in _HELP:
        print(_USAGE)
        return 0
    if name not in _COMMANDS:
        raise ConfigError(unknown(name, _COMMANDS, "command"))
    return _COMMANDS[name](arguments[1:], f"{_COMMAND} {name}")


@reports_errors
def verify_command(arguments: Sequence[str], program: str = f"{_COMMAND} verify") -> int:
    """Verifies bundles, one line each: 0 if all are valid, 1 if one is not, 2 if none is named.

    Args:
        arguments: folders.
        program: how the command is called, for the usage.
    """
    if _HELP & set(arguments):
        print(f"usage: {program} BUNDLE [BUNDLE ...]")
        return 0
    if not arguments:
        raise ConfigError(f"no bundle is named; usage: {program} BUNDLE [BUNDLE ...]")
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


@reports_errors
def recommend_command(arguments: Sequence[str], program: str = f"{_COMMAND} recommend") -> int:
    """Recommends for the users of a file; returns the exit code.

    Args:
        arguments: `key=value` settings of `RecommendArguments`.
        program: how the command is called, for the usage.
    """
    given = parse_arguments(RecommendArguments, arguments, program)
    from recsys.inference.batch.recommend import recommend_file

    rules = given.rules()
    recommender = Recommender(given.bundle, given.threads)
    columns = None
    if rules is not None and given.items is not None:
        from recsys.inference.batch.item_columns import item_columns_of

        columns = item_columns_of(recommender, given.items, rules)
    with _progress_line("users") as progress:
        result = recommend_file(
            recommender,
            given.users,
            given.output,
            given.k,
            "seen" if given.exclude == "seen" else None,
            progress,
            _moment(given.at),
            given.dialect(),
            given.because,
            rules=rules,
            item_columns=columns,
            basket=given.basket,
            answered_from=given.answered_from,
        )
    if result.popular_only:
        print(
            "warning: this bundle reads histories, and neither it nor the users file holds any: "
            "all users got the most popular items (add a column history, or export with seen=true)",
            file=sys.stderr,
        )
    elif 2 * result.unknown > result.users:
        likely = _DECIMALS if result.unknown_decimals == result.unknown else ""
        print(
            f"warning: {result.unknown} of {result.users} users got the most popular items, because"
            f" the bundle knows neither their ids nor what they bought{likely}",
            file=sys.stderr,
        )
    known = result.users - result.unknown
    print(
        f"{result.users} users ({known} known), {result.rows} rows in {result.seconds:.1f} s:"
        f" {given.output}"
    )
    return 0


@reports_errors
def add_command(arguments: Sequence[str], program: str = f"{_COMMAND} add") -> int:
    """Puts new items into a bundle; returns the exit code.

    Args:
        arguments: `key=value` settings of `AddArguments`.
        program: how the command is called, for the usage.
    """
    given = parse_arguments(AddArguments, arguments, program)
    from recsys.inference.adding import add_items
    from recsys.inference.batch.new_items import read_new_items

    started = time.monotonic()
    bundle = open_bundle(given.bundle, "recommender")
    items = read_new_items(bundle, given.items, given.dialect())
    result = add_items(bundle, items, given.output, given.items)
    for warning in _addition_warnings(result):
        print(f"warning: {warning}", file=sys.stderr)
    seconds = time.monotonic() - started
    print(f"{result.items} items added in {seconds:.1f} s: {given.output}")
    return 0


def _addition_warnings(result: "Addition") -> Iterator[str]:
    """A sentence for each unexpected property of a table of new items."""
    if result.missing:
        yield f"the table has no column {', '.join(result.missing)}: they count as missing"
    if result.unread:
        yield f"nothing reads the column {', '.join(result.unread)}"
    if result.unknown:
        yield (
            f"of the column {', '.join(result.unknown)} no value is known from training: is it"
            " written as there?"
        )
    if number := len(result.without_terms):
        named = ", ".join(map(repr, result.without_terms[:_NAMED]))
        more = ", …" if number > _NAMED else ""
        yield (
            f"of {number} of {result.items} items the model knows no term, so it cannot tell whom"
            f" they suit: {named}{more}"
        )


@reports_errors
def forecast_command(arguments: Sequence[str], program: str = f"{_COMMAND} forecast") -> int:
    """Forecasts the series of a file; returns the exit code.

    Args:
        arguments: `key=value` settings of `ForecastArguments`.
        program: how the command is called, for the usage.
    """
    given = parse_arguments(ForecastArguments, arguments, program)
    from recsys.inference.batch.forecast import forecast_file

    forecaster = Forecaster(given.bundle, given.threads)
    with _progress_line("series") as progress:
        result = forecast_file(forecaster, given.history, given.output, progress, given.dialect())
    for warning in _forecast_warnings(result, forecaster):
        print(f"warning: {warning}", file=sys.stderr)
    known = "" if result.known is None else f" ({result.known} known)"
    print(
        f"{result.series} series{known}, {result.rows} rows in {result.seconds:.1f} s:"
        f" {given.output}"
    )
    return 0


_HELP = {"help", "--help", "-h"}
_COMMANDS: dict[str, Callable[[Sequence[str], str], int]] = {
    "verify": verify_command,
    "recommend": recommend_command,
    "forecast": forecast_command,
    "add": add_command,
}


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"at={text!r} is not a date or time: write it as 2024-01-31T18:00"
        ) from None


def _forecast_warnings(result: "ForecastResult", forecaster: Forecaster) -> Iterator[str]:
    """A sentence for each unexpected property of a table of histories."""
    counts, horizon = result.counts, forecaster.horizon
    unknown_series = 0 if result.known is None else result.series - result.known
    if 2 * unknown_series > result.series:
        likely = _DECIMALS if result.decimals == unknown_series else ""
        yield (
            f"{unknown_series} of {result.series} series were forecast from their histories alone,"
            f" because the bundle was not trained with series of such names{likely}"
        )
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
            f"{counts.added_up} rows were added to the previous one, because the clock of "
            f"{forecaster.timezone} was set back"
        )
    if counts.unknown_covariates:
        yield (
            f"{counts.unknown_covariates} of "
            f"{result.rows * len(forecaster.covariate_names)} values of "
            f"{', '.join(forecaster.covariate_names)} are not known for the {horizon} steps ahead: "
            "write rows after the last y, with y empty"
        )
    if counts.beyond:
        yield f"{counts.beyond} rows lie beyond the {horizon} steps ahead and were ignored"


@contextmanager
def _progress_line(what: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress line on the terminal, drawn at most ten times a second; None without terminal."""
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
