"""Opens batch files by their ending, and never leaves one that is half written."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from recsys.errors import DataError
from recsys.inference.batch.csv_tables import CsvTable, read_csv_histories, read_csv_users
from recsys.inference.batch.tables import ColumnKind, HistoryFile, TableWriter, UsersFile


def check_paths(source: Path, output: Path, what: str) -> None:
    """Refuses what can be known to fail before anything is opened.

    Args:
        source: to be read.
        output: to be written.
        what: the source is called: users or history.

    Raises:
        DataError: for an input that is missing, an ending that is not known, a library that is not
            installed, or an output that is a folder or the input.
    """
    for path, kind in ((source, what), (output, "output")):
        if _is_parquet(path, kind):
            _require_pyarrow(path)
    if not source.is_file():
        raise DataError(f"{what} file {source} does not exist")
    if output.is_dir():
        raise DataError(f"output {output} is a folder: name a file in it")
    if output.exists() and output.samefile(source):
        raise DataError(f"output {output} is the {what} file itself: name another file")


@contextmanager
def open_users(path: Path, rows: int, read_history: bool, read_age: bool) -> Iterator[UsersFile]:
    """Opens a file with the column user_id and, where wanted, history and history_age.

    Args:
        path: .csv or .parquet, checked by `check_paths`.
        rows: users in a chunk.
        read_history: whether a column history is read, if there is one.
        read_age: whether history_age is read beside it.

    Raises:
        DataError: if it cannot be read, or lacks the column user_id, or history_age beside
            history; also while its chunks are read.
    """
    if _is_parquet(path, "users"):
        from recsys.inference.batch.parquet_tables import read_parquet_users

        with path.open("rb") as binary:
            yield read_parquet_users(path, binary, rows, read_history, read_age)
    else:
        with _open_text(path) as text:
            yield read_csv_users(path, text, rows, read_history, read_age)


@contextmanager
def open_histories(
    path: Path, rows: int, covariate_names: Sequence[str], zone: str
) -> Iterator[HistoryFile]:
    """Opens a file with the columns series_id, timestamp, y and those of the covariates.

    Args:
        path: .csv or .parquet, checked by `check_paths`.
        rows: in a chunk.
        covariate_names: columns to read beside.
        zone: whose wall clock timestamps with an offset are read by.

    Raises:
        DataError: if it cannot be read, or lacks a column; also while its chunks are read.
    """
    if _is_parquet(path, "history"):
        from recsys.inference.batch.parquet_tables import read_parquet_histories

        with path.open("rb") as binary:
            yield read_parquet_histories(path, binary, rows, covariate_names, zone)
    else:
        with _open_text(path) as text:
            yield read_csv_histories(path, text, rows, covariate_names, zone)


def _open_text(path: Path) -> TextIO:
    # "-sig": spreadsheets write a byte order mark, which would else be part of the first column's
    # name.
    return path.open(encoding="utf-8-sig", newline="")


@contextmanager
def create_table(path: Path, columns: Mapping[str, ColumnKind]) -> Iterator[TableWriter]:
    """Creates a file that takes its name when all is written, and is gone after an error.

    Args:
        path: .csv or .parquet, checked by `check_paths`.
        columns: name to kind, in order.

    Raises:
        DataError: if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _writer(partial, _is_parquet(path, "output"), columns) as writer:
            yield writer
        # Whatever stood at `path` stays until this line.
        partial.replace(path)
    except OSError as error:
        raise DataError(f"output {path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def _writer(path: Path, parquet: bool, columns: Mapping[str, ColumnKind]) -> Iterator[TableWriter]:
    if parquet:
        from recsys.inference.batch.parquet_tables import ParquetTable

        with closing(ParquetTable(path, columns)) as writer:
            yield writer
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield CsvTable(file, columns)


def _is_parquet(path: Path, what: str) -> bool:
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise DataError(f"{what} file {path} has the ending {suffix!r}: use .csv or .parquet")
    return suffix == ".parquet"


def _require_pyarrow(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"{path} needs pyarrow, which is not installed: pip install '.[tables]', or use CSV"
        ) from error
