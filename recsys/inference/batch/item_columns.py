"""Columns of the items from a table, such as the stock of today. Axes: N rows."""

from collections.abc import Mapping
from typing import Any

from recsys.errors import ConfigError, DataError
from recsys.inference.batch.columns import check_kinds, ids, lists, numbers, row_errors, texts
from recsys.inference.batch.input_table import Dialect, open_input
from recsys.inference.item_table import ITEM_ID, ItemTable
from recsys.inference.recommender import Recommender
from recsys.inference.rule_settings import columns_read
from recsys.inference.rules import Rules
from recsys.tables.cells import NumberColumn

_ROWS = 2**16  # of a batch


def item_columns_of(recommender: Recommender, location: str, rules: Rules) -> ItemTable:
    """The bundle's columns of items, with those of a table that rules name in their place.

    Args:
        recommender: an opened bundle.
        location: CSV or Parquet file, folder of Parquet files or SQL URL, with the column item_id;
            it is read as a users' table is.
        rules: that say which columns are read, and as what.

    Raises:
        DataError: the table cannot be read, names an item twice, or a cell cannot be used.
        ConfigError: it holds none of the columns that the rules name.
    """
    table = open_input(location, Dialect(), recommender.manifest, "items")
    wanted = columns_read(rules)
    present = [name for name in wanted if name in table.names and name != ITEM_ID]
    if not present:
        named = ", ".join(name for name in wanted if name != ITEM_ID)
        raise ConfigError(
            f"items={table.where} has no effect: the rules name {named or 'no column'}, and it has"
            f" {', '.join(table.names)}"
        )
    known = recommender.items.columns
    kinds = {
        name: "number"
        if wanted[name]
        else "ids"
        if name in known and known[name].kind == "list"
        else "text"
        for name in present
    }
    check_kinds(table, {ITEM_ID: "id"} | kinds)
    readers = {name: NumberColumn(table.numerals) for name in present}
    found: dict[str, dict[str, Any]] = {name: {} for name in present}
    done = 0
    with table.sound():
        for batch in table.batches([ITEM_ID, *present], _ROWS):
            with row_errors(table, done):
                items = ids(batch[ITEM_ID], ITEM_ID).to_pylist()
                for name in present:
                    values = _values(batch[name], name, kinds[name], readers)
                    found[name].update(zip(items, values, strict=True))
            done += len(items)
            if len(found[present[0]]) < done:
                raise DataError(f"{table.where} has two rows of one {ITEM_ID}: keep one row each")
    return recommender.items.with_columns(found)


def _values(column: Any, name: str, kind: str, readers: Mapping[str, NumberColumn]) -> list[Any]:
    """A value of each row, None or NaN where missing (N,)."""
    if kind == "number":
        return numbers(column, name, readers[name]).tolist()
    if kind == "ids":
        return lists(column, name, "ids")
    return [text or None for text in texts(column)]
