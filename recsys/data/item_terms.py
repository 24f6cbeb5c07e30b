"""Columns of items as terms: a category, the tags of a list, the words of a text and their
characters, the range that a number lies in.

Axes: N items, P pairs of an item and a term, K different terms, W characters of the longest word.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.bundle.new_items import BEGIN, END, LIST_SEPARATOR, NGRAM
from recsys.data.ids import encode_ids
from recsys.data.schema import Column
from recsys.errors import ConfigError

# kinds that have terms; a number or a date says how much, not which
TERM_KINDS = ("category", "id", "list", "text")
# A number is read by which of so many equally frequent ranges it lies in.
_RANGES = 10
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


def ngrams_of(column: Column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three characters in a row of every word, with marks where it begins and ends: <te tea ea>. So
    compounds and misspellings are like what they come from.

    Source: Bojanowski et al., Enriching Word Vectors with Subword Information, TACL 2017, section
    3.2.

    Args:
        column: of text, or names for people.

    Returns:
        As `terms_of`.

    Raises:
        ConfigError: it has no words.
    """
    if column.kind != "text" and column.role != "name":
        raise ConfigError(
            f"model.ngrams names the items' column {column.name!r}, and its kind is {column.kind}:"
            f" name columns of text, or set data.items.kinds.{column.name}=text"
        )
    row, word, words = terms_of(column)
    if not len(words):
        return row, word, words
    marked = np.char.add(np.char.add(BEGIN, words.astype(np.str_)), END)
    characters = marked.view("U1").reshape(len(words), -1)  # (K, W)
    pieces = np.lib.stride_tricks.sliding_window_view(characters, NGRAM, axis=1)
    inside = pieces[:, :, -1] != ""
    of_word = np.flatnonzero(inside) // inside.shape[1]
    found = np.ascontiguousarray(pieces[inside]).view(f"U{NGRAM}").ravel()
    ngrams, ngram = np.unique(found, return_inverse=True)
    lengths = np.bincount(of_word, minlength=len(words))
    starts = np.cumsum(lengths) - lengths
    place = np.arange(lengths[word].sum()) - np.repeat(
        np.cumsum(lengths[word]) - lengths[word], lengths[word]
    )
    return (
        np.repeat(row, lengths[word]),
        ngram[np.repeat(starts[word], lengths[word]) + place],
        ngrams.astype(object),
    )


def ranges_of(column: Column, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of ten equally frequent ranges a number lies in, named by its upper end.

    Args:
        column: of numbers.
        fitted: rows whose numbers decide the ranges.

    Returns:
        As `terms_of`.
    """
    rows = np.flatnonzero(~np.isnan(column.values))
    known = column.values[fitted]
    known = known[~np.isnan(known)].astype(np.float64)
    quantiles = np.arange(1, _RANGES) / _RANGES
    inner = np.unique(np.quantile(known, quantiles)) if len(known) else np.empty(0)
    # as they are written, so that whoever reads the names finds the same ranges
    names = [f"{edge:.6g}" for edge in (*inner, np.inf)]
    edges = np.unique(np.array(names, dtype=np.float64))
    term = np.searchsorted(edges, column.values[rows].astype(np.float64))
    return rows, term, np.array([f"{edge:.6g}" for edge in edges], dtype=object)


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
