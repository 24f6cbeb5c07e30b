"""Columns of the items that rules read: those of the bundle, and those of the caller.

Axes: I items of the catalogue, P items, T terms of the item that has most, G terms of a column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.item_columns import ItemColumn, all_terms
from recsys.bundle.list_columns import left_padded
from recsys.errors import ConfigError, DataError, unknown
from recsys.inference.candidates import Catalogue

# the item itself, as a category of its own
ITEM_ID = "item_id"


class Terms(NamedTuple):
    """Terms of every item, in a table.

    Attributes:
        table: places of terms, G pads; the last row, of no item, is padding: int32 (I + 1, T).
        size: G.
    """

    table: NDArray[np.int32]
    size: int


@dataclass(frozen=True)
class ItemTable:
    """Columns of the items of a catalogue.

    Attributes:
        catalogue: whose order the columns have.
        columns: by name, (I,) each.
    """

    catalogue: Catalogue
    columns: Mapping[str, ItemColumn] = field(default_factory=dict)
    _terms: dict[tuple[str, ...], Terms] = field(default_factory=dict, repr=False, compare=False)

    def with_columns(self, given: Mapping[str, Mapping[str, Any]]) -> "ItemTable":
        """The table with more columns, or others in their place.

        Args:
            given: by name of the column, the value of each item by its id: text, a number, a list
                of text, or a list of numbers (a vector). Unknown ids are ignored; an item that is
                not named has no value, whatever the bundle says of it.

        Raises:
            TypeError: values are of none of these types, or something else than mappings is given.
            DataError: no id of a column is in the catalogue.
        """
        columns = dict(self.columns)
        for name, values in given.items():
            if not isinstance(values, Mapping):
                raise TypeError(
                    f"item_columns[{name!r}] is a {type(values).__name__}: give a mapping from item"
                    " ids to values"
                )
            places = self.catalogue.places(_object_array(list(values)))
            known = places < len(self.catalogue.ids)
            if not known.any():
                raise DataError(
                    f"item_columns[{name!r}] holds {len(values)} ids and none of them is in the"
                    f" catalogue of {self.catalogue.where}"
                )
            rows = np.full(len(self.catalogue.ids), -1, dtype=np.int64)
            rows[places[known]] = np.flatnonzero(known)
            columns[name] = ItemColumn.of_values(name, list(values.values())).take(rows)
        return ItemTable(self.catalogue, columns)

    def column(self, name: str, kinds: Sequence[str], setting: str) -> ItemColumn:
        """A column of one of some kinds; `item_id` is a category.

        Raises:
            ConfigError: there is none.
        """
        if name == ITEM_ID and ITEM_ID not in self.columns and "category" in kinds:
            return self._items
        if name not in self.columns:
            if not self.columns:
                raise ConfigError(
                    f"{setting} names the items' column {name!r}, and {self.catalogue.where} holds"
                    " no columns of items: train with data.items.path and export again, or give"
                    " item_columns"
                )
            raise ConfigError(f"{setting}: {unknown(name, self.columns, 'column of the items')}")
        found = self.columns[name]
        if found.kind not in kinds:
            raise ConfigError(
                f"{setting} names the items' column {name!r}, whose kind is {found.kind}, and needs"
                f" one of kind {' or '.join(kinds)}"
            )
        return found

    def with_terms(self, given: Sequence[str] | None, setting: str) -> tuple[str, ...]:
        """Names of columns of terms: these, or all that there are.

        Raises:
            ConfigError: there is none.
        """
        if given is not None:
            return tuple(self.column(name, ("category", "list"), setting).name for name in given)
        found = tuple(name for name, each in self.columns.items() if each.has_terms)
        if not found:
            raise ConfigError(
                f"{setting} needs columns of the items that say what they are, and"
                f" {self.catalogue.where} holds none: train with data.items.path and export again,"
                " or give item_columns"
            )
        return found

    def terms(self, names: tuple[str, ...]) -> Terms:
        """Terms of some columns; those of different columns are different terms."""
        if names not in self._terms:
            columns = [self.column(name, ("category", "list"), "a rule") for name in names]
            self._terms[names] = _table(columns, len(self.catalogue.ids))
        return self._terms[names]

    @cached_property
    def _items(self) -> ItemColumn:
        number = len(self.catalogue.ids)
        return ItemColumn(
            ITEM_ID,
            "category",
            np.arange(number, dtype=np.int32),
            np.arange(number + 1, dtype=np.int64),
            self.catalogue.ids,
        )


def _table(columns: Sequence[ItemColumn], num_items: int) -> Terms:
    item, term, size = all_terms(columns, num_items)
    lengths = np.bincount(item, minlength=num_items + 1)
    return Terms(left_padded(term.astype(np.int32), lengths, size), size)


def _object_array(values: list[Any]) -> NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def history_terms(
    places: NDArray[np.int64], lengths: NDArray[np.int64], terms: Terms
) -> NDArray[np.float32]:
    """Share of each term in what users bought, (B, G), all 0 where nothing has a term.

    Args:
        places: of the items bought, I for unknown ones, user by user (N,).
        lengths: purchases of each user (B,).
        terms: an item with several counts as a part of each.
    """
    row = np.repeat(np.arange(len(lengths)), lengths)  # (N,)
    table = terms.table[places]  # (N, T)
    given = table < terms.size
    part = given / np.maximum(given.sum(axis=1, keepdims=True), 1)
    key = row[:, None] * (terms.size + 1) + table
    counts = np.bincount(
        key.ravel(), weights=part.ravel(), minlength=len(lengths) * (terms.size + 1)
    )
    counts = counts.reshape(len(lengths), terms.size + 1)[:, : terms.size]
    total = counts.sum(axis=1, keepdims=True)
    return (counts / np.where(total > 0, total, 1)).astype(np.float32)
