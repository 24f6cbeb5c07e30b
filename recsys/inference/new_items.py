"""What a table says of new items, and the rows that the item tower of a bundle makes of it.

Axes: N new items, T terms of a column of the item that has most.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.ids import is_usable_id
from recsys.bundle.item_columns import ItemColumn
from recsys.bundle.list_columns import left_padded
from recsys.bundle.manifest import MANIFEST
from recsys.bundle.new_items import (
    BEGIN,
    END,
    ITEM_TOWER,
    KNOWN,
    LIST_SEPARATOR,
    NGRAM,
    ColumnEntry,
    NewItemsEntry,
    Reading,
)
from recsys.errors import BundleError, ConfigError, DataError
from recsys.inference.bundle import Bundle, open_session
from recsys.inference.item_table import ITEM_ID

# numbers that the item tower holds at once
_BLOCK_FLOATS = 2**25
_SHOWN = 3  # ids in an error
_WORDS = re.compile(r"[^\W_]+")


def checked_ids(given: Mapping[str, list[Any]], where: str) -> list[str]:
    """Ids of the items (N,).

    Raises:
        ConfigError: there is no column of ids.
        DataError: an id is missing or comes twice, or a column has another length.
    """
    if ITEM_ID not in given:
        raise ConfigError(
            f"{where}: there is no column {ITEM_ID}, but {', '.join(given) or 'none at all'}: call"
            " the column of ids so"
        )
    if odd := [name for name, values in given.items() if len(values) != len(given[ITEM_ID])]:
        raise DataError(
            f"{where}: the column {odd[0]!r} has {len(given[odd[0]])} values, and {ITEM_ID} has"
            f" {len(given[ITEM_ID])}: give one for each item"
        )
    ids = [as_text(value) for value in given[ITEM_ID]]
    if not ids:
        raise DataError(f"{where}: there is no row, so nothing was added")
    found: dict[str, int] = {}
    for row, item in enumerate(ids):
        if item is None or not is_usable_id(item):
            raise DataError(f"{where}: row {row + 1} has the id {item!r}, which cannot be used")
        if (first := found.setdefault(item, row)) != row:
            raise DataError(
                f"{where}: rows {first + 1} and {row + 1} are of the item {item!r}; keep one"
            )
    return [*found]


def require_new(ids: list[str], known: NDArray[np.object_], where: str) -> None:
    """Raises DataError where the catalogue has an item already."""
    there = set(known.tolist())
    if old := [item for item in ids if item in there]:
        named = ", ".join(map(repr, old[:_SHOWN])) + (", …" if len(old) > _SHOWN else "")
        raise DataError(
            f"{where}: {len(old)} of {len(ids)} items are in the catalogue already ({named}); leave"
            " them out, for what the model knows of an item is not changed without training"
        )


def as_text(value: Any) -> str | None:
    """One value as the training table's would be read: whole numbers as their digits; None where
    it is missing.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text.strip() else None


def terms_of(value: Any, reading: Reading, ranges: Sequence[str] = ()) -> list[str]:
    """The terms of one value, none twice.

    Raises:
        ValueError: a number is none.
    """
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        parts = [as_text(each) for each in value]
    elif (text := as_text(value)) is None:
        return []
    elif reading == "category":
        return [text]
    elif reading == "number":
        place = int(np.searchsorted(np.array(ranges, dtype=np.float64), float(text)))
        return [*ranges[place : place + 1]]
    elif reading == "list":
        parts = [as_text(each) for each in text.split(LIST_SEPARATOR)]
    else:
        words = _WORDS.findall(text.replace("İ", "i").lower())
        parts = words if reading == "text" else [part for word in words for part in _ngrams(word)]
    return list(dict.fromkeys(each for each in parts if each is not None))


def _ngrams(word: str) -> list[str]:
    """Three characters in a row of a word, with marks where it begins and ends."""
    marked = f"{BEGIN}{word}{END}"
    return [marked[place : place + NGRAM] for place in range(len(marked) - NGRAM + 1)]


class Placed(NamedTuple):
    """New items in the catalogue.

    Attributes:
        rows: of every array that has rows of items, by its name.
        has_terms: of which items the model knows a term, bool (N,).
        unknown: columns of which it knows no term of any.
    """

    rows: dict[str, NDArray[Any]]
    has_terms: NDArray[np.bool_]
    unknown: list[str]


def rows_of_items(
    bundle: Bundle,
    entry: NewItemsEntry,
    given: Mapping[str, list[Any]],
    ids: list[str],
    num_items: int,
    where: str,
) -> Placed:
    """The rows that the item tower gives to new items.

    Args:
        bundle: that they are for.
        entry: of its manifest.
        given: values of the items (N,) by column.
        ids: of the items (N,).
        num_items: size of the catalogue without them.
        where: what errors call the items.
    """
    content = bundle.optional_file(ITEM_TOWER)
    if content is None:
        raise BundleError(f"{bundle.path / MANIFEST} lists no {ITEM_TOWER}: export it again")
    session = open_session(content)
    texts = {each["name"]: _texts(each, given, ids, where) for each in entry["columns"]}
    step = max(1, _BLOCK_FLOATS // max(1, entry["floats_per_item"]))
    names = [output.name for output in session.get_outputs()]
    blocks: list[dict[str, NDArray[Any]]] = []
    for start in range(0, len(ids), step):
        feeds: dict[str, Any] = {
            name: _nonempty(each[start : start + step]) for name, each in texts.items()
        }
        feeds["first"] = np.array(num_items + start, dtype=np.int64)
        blocks.append(dict(zip(names, session.run(names, feeds), strict=True)))
    rows = {
        name: stacked([block[name] for block in blocks], entry["pads"].get(name, 0))
        for name in names
    }
    known = {each["name"]: rows.pop(KNOWN + each["name"]) for each in entry["columns"]}
    unknown = [
        each["column"]
        for each in entry["columns"]
        if not (each["references"] or known[each["name"]].any())
        and (texts[each["name"]] != "").any()
    ]
    return Placed(rows, np.any([*known.values()], axis=0), list(dict.fromkeys(unknown)))


def _texts(
    column: ColumnEntry, given: Mapping[str, list[Any]], ids: list[str], where: str
) -> NDArray[Any]:
    """What a column is to the item tower, object (N, T)."""
    name, ranges, found = column["column"], column.get("ranges", ()), []
    for row, value in enumerate(given.get(name, [None] * len(ids))):
        try:
            found.append(terms_of(value, column["reading"], ranges))
        except ValueError as error:
            raise not_a_number(where, row, name, value) from error
    if column["references"]:
        pairs = zip(found, ids, strict=True)
        found = [list(dict.fromkeys([*terms, item])) for terms, item in pairs]
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    flat = np.array([term for terms in found for term in terms], dtype=object)
    return left_padded(flat, lengths, "")


def _nonempty(texts: NDArray[Any]) -> NDArray[Any]:
    """Rows without columns of padding before, one column at least."""
    width = np.count_nonzero((texts != "").any(axis=0))
    return texts[:, -width:] if width else np.full((len(texts), 1), "", dtype=object)


def stacked(parts: Sequence[NDArray[Any]], pad: int) -> NDArray[Any]:
    """Blocks of rows, of which the shorter ones are filled up."""
    if parts[0].ndim < 2:
        return np.concatenate(parts)
    width = max(each.shape[1] for each in parts)
    filled = [
        np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=pad) for each in parts
    ]
    return np.concatenate(filled)


def values_for_rules(
    values: list[Any] | None, column: ItemColumn, number: int, where: str
) -> list[Any]:
    """Values of the new items in a column that rules read."""
    if column.has_terms:
        if values is None:
            return [[]] * number
        reading: Reading = "list" if column.kind == "list" else "category"
        return [terms_of(value, reading) for value in values]
    if values is None:
        return [math.nan if column.kind == "number" else None] * number
    if column.kind == "vector":
        return values
    found = []
    for row, value in enumerate(values):
        try:
            found.append(_number(value))
        except ValueError as error:
            raise not_a_number(where, row, column.name, value) from error
    return found


def not_a_number(where: str, row: int, column: str, value: Any) -> DataError:
    """The error of a cell that holds something else."""
    return DataError(f"{where}: row {row + 1} has {column}={value!r}, which is no number")


def _number(value: Any) -> float:
    text = as_text(value)
    return math.nan if text is None else float(text)
