"""Whole numbers as keys: what occurs, in which order, where equal ones begin.

`np.unique` hashes (and, where it returns places, sorts by comparison), which takes a hundred times
as long as sorting numbers at tens of millions of rows; hence these.

Axes: N keys, M distinct ones.
"""

import numpy as np
import torch


def distinct_keys(keys: np.ndarray) -> np.ndarray:
    """Each key once, ascending: (N,) -> (M,). Sorts in place."""
    keys.sort()
    return keys[run_starts(keys)]


def run_starts(ascending: np.ndarray) -> np.ndarray:
    """Places where a key differs from the one before it, int64 (M,); ascending keys (N,)."""
    if len(ascending) == 0:
        return np.empty(0, dtype=np.int64)
    starts = np.empty(len(ascending), dtype=bool)
    starts[0] = True
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    return np.flatnonzero(starts)


def stable_order(keys: np.ndarray) -> np.ndarray:
    """Places that sort the keys, equal ones in the order in which they come: int64 (N,)."""
    return torch.from_numpy(keys).sort(stable=True).indices.numpy()


def present_codes(codes: np.ndarray, size: int) -> np.ndarray:
    """Codes below `size` that occur, ascending: (N,) -> (M,)."""
    occurs = np.zeros(size, dtype=bool)
    occurs[codes] = True
    return np.flatnonzero(occurs)
