"""Which rows a model is fitted on, and which it is evaluated on: the phases of a split.

In phase "val" the model is chosen; in phase "test" it is fitted again on train and validation and
judged once; phase "full_data" fits on every row and evaluates nothing.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.integer_keys import stable_order


@dataclass(frozen=True)
class Phase:
    """Row numbers into the dataset.

    Attributes:
        fit: rows to fit on.
        truth: rows to predict; empty where nothing is evaluated.
        candidates: published lists are ranked in this phase.
        sampled_negatives: unseen items drawn beside each truth item (seeded), 0: the catalogue is
            ranked.
        fold_in: histories of the queries, beside those that are fitted; None: there are no
            others, and queries are of the end of the fitted part; else of the day of the user's
            last purchase among them.
        catalogue: rows whose items, after the filters, are ranked and learned; None: those that are
            fitted.
        own_clock: queries are of the day of each user's last purchase, also where they are not
            folded in.
    """

    fit: np.ndarray
    truth: np.ndarray
    candidates: bool = False
    sampled_negatives: int = 0
    fold_in: np.ndarray | None = None
    catalogue: np.ndarray | None = None
    own_clock: bool = False


class Split(Protocol):
    """Rows to phases; `seed` matters only where a split is random."""

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Phase name to rows: "val" and "test", or "full_data"; others are judged beside."""
        ...


def places_in_history(dataset: Dataset, random: np.random.Generator | None = None) -> np.ndarray:
    """Place of every row among those of its user, from 0: by time, ties by row; where there is no
    time at random, or by row without `random`. int64 (N,).
    """
    user = dataset.user
    if dataset.timestamp is None:
        order = np.arange(len(user)) if random is None else random.permutation(len(user))
    else:
        order = stable_order(dataset.timestamp)
    order = order[stable_order(user[order])]
    size = np.bincount(user)
    place = np.empty(len(user), dtype=np.int64)
    place[order] = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    return place
