"""Attributes of items as a bundle ships them. Axes: I items."""

import numpy as np

from recsys.bundle.item_columns import ItemColumn, ItemKind
from recsys.data.item_terms import terms_of
from recsys.data.schema import Column, Columns
from recsys.errors import ConfigError


def shipped_columns(items: Columns, rows: np.ndarray) -> list[ItemColumn]:
    """Categories, ids, lists of values and numbers of some items.

    Text, dates and names for people are left out, as are lists of something else than values.

    Args:
        items: of a dataset.
        rows: of the items in it, int64 (I,).
    """
    found = [_shipped(items[name]) for name in items]
    return [column.take(rows) for column in found if column is not None]


def _shipped(column: Column) -> ItemColumn | None:
    if column.role == "name":
        return None
    if column.kind == "number":
        return ItemColumn(column.name, "number", column.values.astype(np.float64))
    if column.kind not in ("category", "id", "list"):
        return None
    try:
        item, term, terms = terms_of(column)
    except ConfigError:  # a list of lists or of structures
        return None
    kind: ItemKind = "list" if column.kind == "list" else "category"
    return ItemColumn.of_terms(column.name, kind, item, term, terms, len(column))
