"""Whether two readings gave the same: a hash over the values of arrays."""

import hashlib
from collections.abc import Iterable

import numpy as np

from recsys.data.schema import Column


def fingerprint(*arrays: np.ndarray | None) -> str:
    """16 hexadecimal digits that change when any value of any array does."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            plain = (
                np.asarray(array, dtype=str)
                if array.dtype == object
                else np.ascontiguousarray(array)
            )
            digest.update(str((plain.dtype.str, plain.shape)).encode())
            # as they lie in memory, without a copy
            digest.update(plain.data if plain.dtype.kind in "iufb" else plain.tobytes())
    return digest.hexdigest()[:16]


def columns_fingerprint(columns: Iterable[Column]) -> str:
    """16 hexadecimal digits that change when a name, a kind or any value of any column does."""
    digest = hashlib.sha256()
    for each in columns:
        digest.update(repr((each.name, each.kind)).encode())
        if each.values.dtype == object:
            # text of any length, and lists: None is no text
            digest.update(repr(each.values.tolist()).encode("utf-8", "backslashreplace"))
        else:
            digest.update(fingerprint(each.values, each.categories).encode())
    return digest.hexdigest()[:16]
