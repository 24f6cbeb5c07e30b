"""New items from a table, for the catalogue of a bundle."""

from pathlib import Path
from typing import Any

from recsys.errors import DataError
from recsys.inference.adding import columns_of_items
from recsys.inference.batch.columns import check_kinds, ids, numbers, row_errors, texts
from recsys.inference.batch.input_table import Dialect, open_input
from recsys.inference.bundle import Bundle
from recsys.inference.item_table import ITEM_ID
from recsys.tables.cells import NumberColumn, decoded
from recsys.tables.database import is_url

_ROWS = 2**16  # of a batch


def read_new_items(bundle: Bundle, location: str, dialect: Dialect) -> dict[str, list[Any]]:
    """The columns of a table of items, a value of each row.

    Args:
        bundle: that they are for; it says which columns are read, and as what.
        location: CSV or Parquet file, folder of Parquet files or SQL URL, written as the items'
            table of training was, as far as `dialect` does not say.
        dialect: how it is written.

    Raises:
        BundleError: the bundle takes no new items.
        DataError: the table cannot be read, or a cell cannot be used.
        ConfigError: it has none of the columns that the model reads.
    """
    readings = columns_of_items(bundle)
    if not is_url(location) and not Path(location).exists():
        raise DataError(f"items={location} does not exist")
    table = open_input(location, dialect, bundle.manifest, "items")
    table.require_read([ITEM_ID, *readings])
    numbers_read = [name for name in table.names if readings.get(name) == "number"]
    check_kinds(table, {ITEM_ID: "id"} | dict.fromkeys(numbers_read, "number"))
    wanted = [name for name in table.names if name == ITEM_ID or name in readings]
    found: dict[str, list[Any]] = {name: [] for name in wanted}
    readers = {name: NumberColumn(table.numerals) for name in wanted}
    done = 0
    with table.sound():
        for batch in table.batches(wanted, _ROWS):
            with row_errors(table, done):
                for name in wanted:
                    found[name] += _values(batch[name], name, readings, readers[name])
            done += len(batch)
    # what nothing reads has to be told of
    return found | {name: [None] * done for name in table.unread(wanted)}


def _values(column: Any, name: str, readings: dict[str, str], reader: NumberColumn) -> list[Any]:
    """A value of each row, None or NaN where missing."""
    if name == ITEM_ID:
        return ids(column, ITEM_ID).to_pylist()
    if readings[name] == "number":
        return numbers(column, name, reader).tolist()
    if readings[name] == "category":
        return texts(column)
    return decoded(column).to_pylist()
