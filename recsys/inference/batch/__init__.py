"""Runs whole files through a bundle, in bounded memory; it needs pyarrow."""

from recsys.errors import DataError

try:
    import pyarrow  # noqa: F401
except ImportError as error:
    raise DataError(
        "CSV and Parquet files are read with pyarrow, which is not installed: pip install"
        " '.[tables]'"
    ) from error
