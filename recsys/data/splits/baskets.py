"""Which rows were bought together.

Axes: N rows, K baskets.
"""

import warnings

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.integer_keys import run_starts, stable_order
from recsys.data.splits.phase import places_in_history
from recsys.errors import ConfigError, DataError


def places_of_baskets(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Place of every row's basket among those of its user, from 0, in the order of their last rows.

    A basket is all rows of a user with one `basket_id`; where the data have no such column, or a
    row has none, all rows of a user at one timestamp.

    Args:
        dataset: the whole table.
        rows: which of its rows there are, ascending (N,).

    Returns:
        int64 (N,).

    Raises:
        DataError: a row has neither a basket_id nor a timestamp.
        ConfigError: basket ids are read as something else.
    """
    user = dataset.user[rows].astype(np.int64)
    code = _codes(dataset, rows)
    key = user * (int(code.max(initial=0)) + 1) + code
    order = stable_order(key)
    starts = run_starts(key[order])  # (K,)
    place = places_in_history(dataset)[rows]
    last = np.maximum.reduceat(place[order], starts) if len(rows) else place
    owner = user[order[starts]]  # ascending
    by_time = np.lexsort((last, owner))
    size = np.bincount(owner)
    of_basket = np.empty(len(starts), dtype=np.int64)
    of_basket[by_time] = np.arange(len(starts)) - np.repeat(np.cumsum(size) - size, size)
    found = np.empty(len(rows), dtype=np.int64)
    found[order] = np.repeat(of_basket, np.diff(np.r_[starts, len(rows)]))
    return found


def _codes(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """A number for the basket of every row among those of its user, int64 (N,)."""
    name = dataset.context.with_role("basket_id")
    time = dataset.timestamp
    if name is None:
        if time is None:
            raise DataError(
                f"{dataset.report.source} has neither timestamps nor basket ids, so nothing tells"
                " which rows are one basket; set data.columns.timestamp or data.columns.basket_id,"
                " or choose evaluation=leave_last_out"
            )
        return time[rows] - time.min()
    column = dataset.context[name]
    if column.categories is None:
        raise ConfigError(
            f"data.kinds.{name}={column.kind}: ids of baskets are read as id or category; leave the"
            " setting out"
        )
    code = column.values[rows].astype(np.int64)
    _warn_of_long_baskets(dataset, rows, code)
    missing = code < 0
    if missing.any():
        if time is None:
            raise DataError(
                f"{dataset.report.source}: {int(missing.sum()):,} rows have no basket_id"
                " (data.columns.basket_id) and there are no timestamps to tell their baskets by;"
                " fill the column, or set data.columns.timestamp"
            )
        code[missing] = len(column.categories) + time[rows[missing]] - time.min()
    return code


def _warn_of_long_baskets(dataset: Dataset, rows: np.ndarray, code: np.ndarray) -> None:
    """Ids that come again on another day are no ids of baskets: numbers of receipts start anew."""
    if dataset.day is None:
        return
    known = np.flatnonzero(code >= 0)
    user, day = dataset.user[rows[known]].astype(np.int64), dataset.day[rows[known]]
    key = user * (int(code.max(initial=0)) + 1) + code[known]
    order = stable_order(key)
    starts = run_starts(key[order])
    if not len(starts):
        return
    days = np.maximum.reduceat(day[order], starts) - np.minimum.reduceat(day[order], starts)
    if (several := int((days > 1).sum())) > 0:  # one night may lie within a basket
        warnings.warn(
            f"{several:,} of {len(starts):,} baskets of {dataset.report.source} spread over more"
            " than two days, the longest over"
            f" {int(days.max()) + 1:,}: an id (data.columns.basket_id) that is used again makes one"
            " basket of several; leave the column out to go by timestamps",
            stacklevel=2,
        )
