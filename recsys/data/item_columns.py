"""Attributes of items as a bundle ships them. Axes: I items."""

import numpy as np
import torch
from torch import Tensor

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


def groups_of_items(columns: PhaseColumns, name: str) -> tuple[Tensor, np.ndarray]:
    """Group of every item of the vocabulary by a category of the items' table, int64 (I,), and the
    names of the groups, object of str (G,), of which "" is last: items without a value.

    Raises:
        ConfigError: there is no such column, or it is no category.
    """
    column = require_group_column(columns.dataset.items, name)
    assert column.categories is not None
    codes = column.values[columns.indices.items].astype(np.int64)
    codes = np.where(codes < 0, len(column.categories), codes)
    return torch.from_numpy(codes), np.append(column.categories.astype(object), "")


def require_group_column(items: Columns, name: str) -> Column:
    """The column by which suppliers, brands or categories are told apart.

    Raises:
        ConfigError: there is no such column, or it is no category.
    """
    if name not in items:
        there = f"it has {', '.join(items)}" if items else "there is none (data.items.path)"
        raise ConfigError(
            f"evaluation.exposure_column={name}: the table of items has no such column; {there}"
        )
    if items[name].categories is None or items[name].kind == "list":
        raise ConfigError(
            f"evaluation.exposure_column={name}: its kind is {items[name].kind}, and each item has"
            f" to be of one supplier or category: set data.items.kinds={{{name}: category}}, or"
            " name another column"
        )
    return items[name]


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
