"""Test and validation are the last purchases of each user."""

import warnings
from dataclasses import dataclass

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.splits.phase import Phase, places_in_history


@dataclass(frozen=True)
class LeaveLastOut:
    """Test is each user's last purchase, validation the one before; ties by row order, which also
    decides where there is no time.

    A user with two purchases has no validation, a user with one is only fitted. Of what was bought
    together a single row is held out: `LeaveLastBasket` holds out all of it.
    """

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Holds out by rank from the end of each user's history."""
        warnings.warn(
            "leave-last-out leaks time: the model is fitted on purchases of other users that lie"
            " after the one it predicts; prefer evaluation=global_time",
            stacklevel=2,
        )
        if dataset.timestamp is None:
            warnings.warn(
                f"{dataset.report.source} has no timestamps: the last purchase of a user is the"
                " last row in the table; set data.columns.timestamp if there are times",
                stacklevel=2,
            )
        user = dataset.user
        size = np.bincount(user)
        from_end = size[user] - 1 - places_in_history(dataset)
        rows, several = np.arange(len(user)), size[user]
        test = (from_end == 0) & (several >= 2)
        val = (from_end == 1) & (several >= 3)
        return {"val": Phase(rows[~test & ~val], rows[val]), "test": Phase(rows[~test], rows[test])}
