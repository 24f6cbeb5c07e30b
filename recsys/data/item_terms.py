"""Columns of items as terms: a category, the tags of a list, the words of a text.

Axes: N items, P pairs of an item and a term, K different terms.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.ids import encode_ids
from recsys.data.schema import Column
from recsys.errors import ConfigError

# kinds that have terms; a number or a date says how much, not which
TERM_KINDS = ("category", "id", "list", "text")
# between the values of a list that is written as text, as MovieLens writes genres
LIST_SEPARATOR = "|"
_NO_WORD = r"[^\pL\pN]+"


def terms_of(column: Column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The terms of every row of a column.

    A name for people is read word by word, whatever its kind; words are in lower case.

    Args:
        column: of N rows.

    Returns:
        Row and term of every pair, int64 (P,) each, rows ascending; and the terms in natural order,
        object of str (K,). A term that a row has twice counts twice; missing values have none.

    Raises:
        ConfigError: its kind has no terms, or its lists hold something else than values.
    """
    if column.kind in ("category", "id") and column.role != "name":
        assert column.categories is not None
        rows = np.flatnonzero(column.values >= 0)
        return rows, column.values[rows].astype(np.int64), column.categories
    if column.kind not in TERM_KINDS:
        raise ConfigError(
            f"the model reads terms of the items' column {column.name!r}, and its kind is"
            f" {column.kind}: name columns of kind {', '.join(TERM_KINDS[:-1])} or"
            f" {TERM_KINDS[-1]}, or set data.items.kinds.{column.name}"
        )
    lists = _lists(column)
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = encode_ids(pc.list_flatten(lists))  # blanks and missing values are no ids
    known = encoded.codes >= 0
    terms = encoded.categories.to_numpy(dtype=object)
    return rows[known], encoded.codes[known].astype(np.int64), terms


def _lists(column: Column) -> pa.Array:
    """Values of a column as an Arrow list of values per row (N,)."""
    if column.categories is not None:
        names = np.append(column.categories, np.array([None], dtype=object))
        values = pa.array(names[column.values], pa.string())
    else:
        values = pa.array(column.values, from_pandas=True)
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if column.kind != "list":
        return pc.split_pattern_regex(pc.utf8_lower(values.cast(pa.string())), _NO_WORD)
    if pa.types.is_string(values.type):
        return pc.split_pattern(values, LIST_SEPARATOR)
    if not pa.types.is_list(values.type) or pa.types.is_nested(values.type.value_type):
        raise ConfigError(
            f"the items' column {column.name!r} holds {values.type}, and the model reads lists of"
            " values: leave it out of model.columns, or write it as lists of text or numbers"
        )
    return values
