"""Attributes of items as a bundle ships them. Axes: I items."""

import numpy as np

from recsys.bundle.item_columns import ItemColumn, ItemKind, all_terms
from recsys.data.item_terms import terms_of
from recsys.data.phase_columns import PhaseColumns
from recsys.data.ragged import Ragged
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


def terms_of_items(columns: PhaseColumns) -> Ragged | None:
    """Places of the terms of every item, of all categories and lists together, a row per item of
    the vocabulary and an empty one at the end, I + 1; None where the items have no such columns.
    """
    rows = columns.indices.items
    found = [each for each in shipped_columns(columns.dataset.items, rows) if each.has_terms]
    if not found:
        return None
    item, term, _ = all_terms(found, len(rows))
    return Ragged.from_sorted(item, term, len(rows) + 1)
