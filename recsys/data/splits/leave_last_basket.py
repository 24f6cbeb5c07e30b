"""Test and validation are the last baskets of each user."""

import warnings
from dataclasses import dataclass

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.splits.baskets import places_of_baskets
from recsys.data.splits.phase import Phase


@dataclass(frozen=True)
class LeaveLastBasket:
    """Test is each user's last basket, all of its rows, validation the one before: the protocol of
    next-basket recommendation. See `recsys.data.splits.baskets` for what a basket is.

    A user with two baskets has no validation, a user with one is only fitted. Queries are of the
    day of a user's last fitted purchase: when the next basket comes is not known.

    Source: Li et al., A Next Basket Recommendation Reality Check, TOIS 2023.
    """

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Holds out by rank from the end of each user's baskets.

        Raises:
            DataError: nothing tells which rows are one basket.
        """
        rows = np.arange(len(dataset))
        place = places_of_baskets(dataset, rows)
        warnings.warn(
            "leave-last-basket leaks time: the model is fitted on baskets of other users that lie"
            " after the one it predicts; prefer evaluation=global_time"
            " evaluation.split.truth=first_basket",
            stacklevel=2,
        )
        if dataset.timestamp is None:
            warnings.warn(
                f"{dataset.report.source} has no timestamps: the last basket of a user is that of"
                " the last row in the table; set data.columns.timestamp if there are times",
                stacklevel=2,
            )
        baskets = np.zeros(len(dataset.user_ids), dtype=np.int64)
        np.maximum.at(baskets, dataset.user, place + 1)
        several = baskets[dataset.user]
        from_end = several - 1 - place
        test = (from_end == 0) & (several >= 2)
        val = (from_end == 1) & (several >= 3)
        return {
            "val": Phase(rows[~test & ~val], rows[val], own_clock=True),
            "test": Phase(rows[~test], rows[test], own_clock=True),
        }
