"""Attributes of the items of a bundle (item_columns.npz): categories, lists of them, and numbers.

Axes: I items, K different terms of a column, N terms of all items, D numbers of a vector.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.list_columns import positions, to_offsets
from recsys.errors import BundleError

ITEM_COLUMNS = "item_columns.npz"
ItemKind = Literal["category", "number", "list", "vector"]


@dataclass(frozen=True)
class ItemColumn:
    """One attribute of every item.

    Attributes:
        name: of the column.
        kind: what its values are.
        values: of a number, float64 (I,), NaN where missing; of a vector, float32 (I, D), 0 where
            missing; of a category or a list, places in `terms` (N,).
        offsets: of a category or a list, item i has the terms `values[offsets[i]:offsets[i + 1]]`,
            none twice, int64 (I + 1,).
        terms: object of str (K,).
    """

    name: str
    kind: ItemKind
    values: NDArray[Any]
    offsets: NDArray[np.int64] | None = None
    terms: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    @property
    def has_terms(self) -> bool:
        """Whether it says which, not how much."""
        return self.terms is not None

    @classmethod
    def of_terms(
        cls,
        name: str,
        kind: ItemKind,
        item: NDArray[np.int64],
        term: NDArray[np.int64],
        terms: NDArray[np.object_],
        num_items: int,
    ) -> "ItemColumn":
        """From pairs of an item and a term, in any order; a pair that comes twice counts once."""
        pairs = np.unique(item * max(len(terms), 1) + term)
        item, term = np.divmod(pairs, max(len(terms), 1))
        offsets = to_offsets(np.bincount(item, minlength=num_items))
        return cls(name, kind, term.astype(np.int32), offsets, terms)

    @classmethod
    def of_values(cls, name: str, values: Sequence[Any]) -> "ItemColumn":
        """From one value of each item, None and NaN where missing: text is a category, a number or
        a truth value a number, a list of text a list, a list of numbers a vector.

        Raises:
            TypeError: they are of different types, or of none of these.
        """
        missing = [value is None or value != value for value in map(_plain, values)]
        given = [_plain(value) for value, gone in zip(values, missing, strict=True) if not gone]
        rows = np.flatnonzero(~np.array(missing, dtype=bool))
        types = set(map(type, given))
        if types <= {bool, int, float}:
            numbers = np.full(len(values), np.nan)
            numbers[rows] = given
            return cls(name, "number", numbers)
        if types == {str}:
            return cls._encoded(name, "category", rows, given, len(values))
        if types <= {list, tuple, set, frozenset}:
            lengths = np.fromiter(map(len, given), np.int64, len(given))
            flat = [value for each in given for value in each]
            kinds = set(map(type, flat))
            if kinds <= {str}:
                return cls._encoded(name, "list", np.repeat(rows, lengths), flat, len(values))
            if kinds <= {bool, int, float} and len(set(lengths.tolist())) == 1:
                vectors = np.zeros((len(values), int(lengths[0])), dtype=np.float32)
                vectors[rows] = given
                return cls(name, "vector", vectors)
        names = ", ".join(sorted(each.__name__ for each in types))
        raise TypeError(
            f"the items' column {name!r} holds values of type {names}: give text, or numbers, or"
            " lists of text, or lists of equally many numbers"
        )

    @classmethod
    def _encoded(
        cls, name: str, kind: ItemKind, rows: NDArray[np.int64], texts: list[str], num_items: int
    ) -> "ItemColumn":
        terms = {text: place for place, text in enumerate(sorted(set(texts)))}
        term = np.fromiter(map(terms.__getitem__, texts), np.int64, len(texts))
        return cls.of_terms(name, kind, rows, term, np.array(list(terms), dtype=object), num_items)

    def take(self, rows: NDArray[np.int64]) -> "ItemColumn":
        """The column of other items: their rows in this one, -1 for items without a value."""
        if self.offsets is None:
            missing = np.nan if self.kind == "number" else 0.0
            lead = (rows >= 0).reshape(-1, *[1] * (self.values.ndim - 1))
            return ItemColumn(self.name, self.kind, np.where(lead, self.values[rows], missing))
        lengths = np.where(rows >= 0, np.diff(self.offsets)[rows], 0)
        values = self.values[positions(self.offsets[rows], lengths)]
        assert self.terms is not None
        used, values = np.unique(values, return_inverse=True)  # terms of others leave
        values = values.astype(np.int32)
        return ItemColumn(self.name, self.kind, values, to_offsets(lengths), self.terms[used])

    def with_values(self, values: Sequence[Any]) -> "ItemColumn":
        """The column with more items at the end.

        Args:
            values: of a number, a float, NaN where missing; of a vector, its numbers or None; of a
                category or a list, its terms.
        """
        if self.offsets is None or self.terms is None:
            width = self.values.shape[1:]
            more = np.array(
                [np.zeros(width) if value is None else value for value in values],
                dtype=self.values.dtype,
            )
            return replace(self, values=np.concatenate([self.values, more.reshape(-1, *width)]))
        places = {term: place for place, term in enumerate(self.terms.tolist())}
        of_new = [places.setdefault(term, len(places)) for terms in values for term in terms]
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        return replace(
            self,
            values=np.append(self.values, np.array(of_new, dtype=np.int32)),
            offsets=np.append(self.offsets, self.offsets[-1] + np.cumsum(lengths)),
            terms=np.array(list(places), dtype=object),
        )


def _plain(value: Any) -> Any:
    """A scalar or array of numpy as Python's own."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def all_terms(
    columns: Sequence[ItemColumn], num_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Terms of several columns as one set, those of different columns being different.

    Returns:
        Item and term of every pair, int64 (N,) each, items ascending, and the number of terms.
    """
    items, terms, size = [], [], 0
    for each in columns:
        assert each.offsets is not None
        assert each.terms is not None
        items.append(np.repeat(np.arange(num_items), np.diff(each.offsets)))
        terms.append(each.values.astype(np.int64) + size)
        size += len(each.terms)
    item = np.concatenate(items)
    order = np.argsort(item, kind="stable")
    return item[order], np.concatenate(terms)[order], size


def write_item_columns(
    path: Path, item_ids: NDArray[np.object_], columns: Sequence[ItemColumn]
) -> None:
    """Writes columns of items (I,) without pickle."""
    arrays: dict[str, NDArray[Any]] = {
        "item_ids": item_ids.astype(np.str_),
        "names": np.array([each.name for each in columns], dtype=np.str_),
        "kinds": np.array([each.kind for each in columns], dtype=np.str_),
    }
    for place, each in enumerate(columns):
        arrays[f"values_{place}"] = each.values
        if each.offsets is not None and each.terms is not None:
            arrays[f"offsets_{place}"] = each.offsets
            arrays[f"terms_{place}"] = each.terms.astype(np.str_)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read_item_columns(
    content: bytes, path: Path
) -> tuple[NDArray[np.object_], Mapping[str, ItemColumn]]:
    """Reads item_columns.npz.

    Args:
        content: of the file.
        path: what errors call it.

    Returns:
        Item ids, object (I,), and the columns by name.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            item_ids = arrays["item_ids"].astype(object)
            named = zip(arrays["names"].tolist(), arrays["kinds"].tolist(), strict=True)
            columns = {}
            for place, (name, kind) in enumerate(named):
                column = ItemColumn(name, cast(ItemKind, kind), arrays[f"values_{place}"])
                if kind in ("category", "list"):
                    offsets, terms = arrays[f"offsets_{place}"], arrays[f"terms_{place}"]
                    column = ItemColumn(
                        name, column.kind, column.values, offsets, terms.astype(object)
                    )
                _check(column, len(item_ids))
                columns[name] = column
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} is not a valid {ITEM_COLUMNS}: {error}") from error
    return item_ids, columns


def _check(column: ItemColumn, num_items: int) -> None:
    """Raises ValueError where a column does not fit the items or itself."""
    sound = column.kind in get_args(ItemKind) and len(column) == num_items
    if column.offsets is not None and column.terms is not None:
        sound = sound and bool((np.diff(column.offsets) >= 0).all())
        sound = sound and column.offsets[-1] == len(column.values)
        sound = sound and bool(((column.values >= 0) & (column.values < len(column.terms))).all())
    if not sound:
        raise ValueError(f"the column {column.name!r} does not fit {num_items} items")
