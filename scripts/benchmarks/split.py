"""The purchases that both sides of a comparison are given: dense indices in an npz file.

Needs numpy alone: peers read it in environments of their own.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class PairSplit:
    """Distinct pairs to fit on and to predict, sorted by user, then item.

    Attributes:
        num_users, num_items: sizes of the vocabularies; indices are below them.
        train_user, train_item: int64 (P,) each.
        test_user, test_item: int64 (T,) each; none of these pairs stands in train.
    """

    num_users: int
    num_items: int
    train_user: np.ndarray
    train_item: np.ndarray
    test_user: np.ndarray
    test_item: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the npz file."""
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path | str) -> "PairSplit":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            sizes = (int(arrays["num_users"]), int(arrays["num_items"]))
            return cls(*sizes, *(arrays[name] for name in list(cls.__annotations__)[2:]))
