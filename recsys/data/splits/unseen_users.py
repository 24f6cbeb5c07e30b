"""Test users are never fitted: they are served after reading the first part of their purchases."""

from dataclasses import dataclass, replace

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.splits.phase import Phase, places_in_history
from recsys.errors import ConfigError
from recsys.ranges import BelowOne, OpenShare, require_declared


@dataclass(frozen=True)
class UnseenUsers:
    """Strong generalisation: some users are left out of fitting altogether; queried with the first
    part of their purchases, they are to be served with the rest. Two seeded draws, for validation
    and for the test; first and rest by time, ties by row, or at random where there is no time.

    Phase "known" evaluates the queries of the test for the same users and items, when their first
    parts are fitted too: what is lost on users who were never seen can be read beside it.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section
    4.3; Marlin, Collaborative Filtering: A Machine Learning Perspective, 2004.

    Attributes:
        test_share, validation_share: of the users.
        fold_in_share: of the purchases of each of them, what is read; a user with one purchase is
            not evaluated. 0: nothing is read, so all of them are cold, and what they are evaluated
            on is the view "cold_users".
        known: whether there is a phase "known", which costs another training; there is none where
            nothing is read.
    """

    test_share: OpenShare = 0.2
    validation_share: OpenShare = 0.1
    fold_in_share: BelowOne = 0.8
    known: bool = True

    def __post_init__(self) -> None:
        require_declared(self, "evaluation.split")
        if self.test_share + self.validation_share >= 1:
            raise ConfigError(
                f"evaluation.split.test_share={self.test_share:g} and validation_share="
                f"{self.validation_share:g} leave no user to fit on"
            )

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Draws the users, then cuts their purchases."""
        user = dataset.user
        random = np.random.default_rng(seed)
        size = np.bincount(user, minlength=len(dataset.user_ids))
        drawn = random.permutation(np.flatnonzero(size))
        in_test, in_val = (
            max(1, round(share * len(drawn))) for share in (self.test_share, self.validation_share)
        )
        group = np.zeros(len(size), dtype=np.int64)
        group[drawn[:in_test]], group[drawn[in_test : in_test + in_val]] = 2, 1
        rows = np.arange(len(user))
        if not self.fold_in_share:
            of_row = group[user]
            return {
                name: Phase(rows[of_row < number], rows[of_row == number])
                for name, number in (("val", 1), ("test", 2))
            }
        place = places_in_history(dataset, random)
        # at least one purchase to read and, of two, one to be evaluated on
        read = np.maximum(1, np.minimum(np.round(self.fold_in_share * size), size - 1))
        first = place < read[user]

        def phase(number: int) -> Phase:
            fitted, evaluated = group[user] < number, group[user] == number
            return Phase(rows[fitted], rows[evaluated & ~first], fold_in=rows[evaluated & first])

        test = phase(2)
        known = replace(test, fit=rows[(group[user] < 2) | first], catalogue=test.fit)
        return {"val": phase(1), **({"known": known} if self.known else {}), "test": test}
