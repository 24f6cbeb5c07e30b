"""From what every purchase adds to a score to the few items that carry it.

Axes: B users, K recommended items of a user, L length of a history, W distinct items in the longest
    one, N reasons of a recommendation, G groups: the distinct items of every user.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A share below this says nothing to a reader: of hundreds of purchases one is as good as the next.
SMALL_SHARE = 0.05


class TopReasons(NamedTuple):
    """The items that add most to a score, best first.

    Attributes:
        place: of the latest purchase of the item in the history, int64 (B, K, N); -1 where fewer
            items add something.
        share: of what all items of the history add or take away, absolute values, 0 … 1, float32
            (B, K, N); 0 there.
        contribution: what the item adds, in units of the score, float32 (B, K, N); 0 there.
    """

    place: NDArray[np.int64]
    share: NDArray[np.float32]
    contribution: NDArray[np.float32]


def top_reasons(
    items: NDArray[np.int64], contributions: NDArray[np.float32], top: int
) -> TopReasons:
    """The items with the highest sums over their purchases; ties go to the one bought later.

    What takes away from a score is no reason for it, and stands in the denominator of the shares
    alone.

    Args:
        items: numbers of the items bought, equal within a row where the item is (B, L).
        contributions: what each purchase adds to each score; 0 where it is padding (B, K, L).
        top: N.
    """
    batch, width, _ = contributions.shape
    sums, place = _by_item(items, contributions)
    count = min(top, sums.shape[2])
    best = np.argsort(-sums, axis=2, kind="stable")[:, :, :count]  # (B, K, N)
    value = np.take_along_axis(sums, best, axis=2)
    adds = value > 0
    total = np.abs(sums).sum(axis=2, keepdims=True)
    found = np.full((batch, width, top), -1, dtype=np.int64)
    shares = np.zeros((2, batch, width, top), dtype=np.float32)
    where = np.take_along_axis(np.broadcast_to(place[:, None], sums.shape), best, axis=2)
    found[:, :, :count] = np.where(adds, where, -1)
    shares[0, :, :, :count] = np.where(adds, value / np.where(adds, total, 1), 0)
    shares[1, :, :, :count] = np.where(adds, value, 0)
    return TopReasons(found, shares[0], shares[1])


def _by_item(
    items: NDArray[np.int64], contributions: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sums over the purchases of each item (B, K, W) and the latest of them (B, W), later first."""
    batch, width, length = contributions.shape
    if not contributions.size:
        return np.zeros((batch, width, 1), np.float32), np.full((batch, 1), -1)
    order = np.argsort(items, axis=1, kind="stable")  # (B, L)
    ordered = np.take_along_axis(items, order, axis=1)
    changes = ordered[:, 1:] != ordered[:, :-1]
    first = np.pad(changes, ((0, 0), (1, 0)), constant_values=True)  # of its group, (B, L)
    last = np.pad(changes, ((0, 0), (0, 1)), constant_values=True)
    flat = np.take_along_axis(contributions, order[:, None], axis=2)
    flat = np.ascontiguousarray(flat.transpose(0, 2, 1)).reshape(batch * length, width)
    group_sums = np.add.reduceat(flat, np.flatnonzero(first), axis=0)  # (G, K)
    row = np.nonzero(first)[0]  # (G,)
    column = np.cumsum(first, axis=1)[first] - 1
    groups = int(first.sum(axis=1).max())
    sums = np.zeros((batch, groups, width), dtype=np.float32)
    place = np.full((batch, groups), -1, dtype=np.int64)
    sums[row, column], place[row, column] = group_sums, order[last]
    later = np.argsort(-place, axis=1)
    place = np.take_along_axis(place, later, axis=1)
    return np.take_along_axis(sums, later[:, :, None], axis=1).transpose(0, 2, 1), place
