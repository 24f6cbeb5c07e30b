"""Which rows a model is fitted on, and which purchases it is asked about afterwards.

A split makes phases. In phase "val" the model is chosen; in phase "test" it is fitted again on
train and validation and judged once; phase "ship" fits on everything and asks nothing.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.integer_keys import run_starts, stable_order
from recsys.data.timestamps import SECONDS_A_DAY
from recsys.errors import ConfigError, DataError


@dataclass(frozen=True)
class Phase:
    """Row numbers into the transactions.

    Attributes:
        fit: rows to fit on.
        truth: rows to predict; empty where nothing is asked.
        candidates: published lists are ranked in this phase.
        sampled_negatives: unseen items drawn beside each truth item (seeded), 0: the catalogue is
            ranked.
        fold_in: rows that users are asked with, beside those that are fitted; None: there are no
            others, and everyone is asked at the end of the fitted part. Else everyone is asked on
            the day of the own last purchase.
        catalogue: rows whose items, after the filters, are ranked and learned; None: those that are
            fitted.
    """

    fit: np.ndarray
    truth: np.ndarray
    candidates: bool = False
    sampled_negatives: int = 0
    fold_in: np.ndarray | None = None
    catalogue: np.ndarray | None = None


class Split(Protocol):
    """Rows to phases; `seed` matters only where a split is random."""

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """Phase name to rows: "val" and "test", or "ship"; others are judged beside."""
        ...


@dataclass(frozen=True)
class GlobalTime:
    """Test is the last `test_days` before the last timestamp, validation the `validation_days`
    before those.
    """

    test_days: float = 28
    validation_days: float = 28

    def __post_init__(self) -> None:
        for name in ("test_days", "validation_days"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"evaluation.split.{name}={getattr(self, name)}: it has to be above 0"
                )

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """Cuts at two instants, the same for every user."""
        time = transactions.timestamp
        if time is None:
            raise DataError(
                f"{transactions.report.source} has no timestamps, which evaluation=global_time"
                " needs; set data.columns.timestamp, or evaluation=leave_last_out"
            )
        test_start = time.max() - self.test_days * SECONDS_A_DAY
        val_start = test_start - self.validation_days * SECONDS_A_DAY
        rows = np.arange(len(time))
        before, after = time <= val_start, time > test_start
        if not before.any():
            raise DataError(
                f"{transactions.report.source} covers"
                f" {(time.max() - time.min()) / SECONDS_A_DAY:.1f} days, fewer than the"
                f" {self.test_days + self.validation_days:g} held out; lower"
                " evaluation.split.test_days and validation_days"
            )
        return {
            "val": Phase(rows[before], rows[~before & ~after]),
            "test": Phase(rows[~after], rows[after]),
        }


@dataclass(frozen=True)
class LeaveLastOut:
    """Test is each user's last purchase, validation the one before; ties by row order; random where
    there is no time.

    A user with two purchases has no validation, a user with one is only fitted.
    """

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """Holds out by rank from the end of each user's history."""
        warnings.warn(
            "leave-last-out leaks time: the model is fitted on purchases of other users that lie"
            " after the one it predicts; prefer evaluation=global_time",
            stacklevel=2,
        )
        user = transactions.user
        size = np.bincount(user)
        from_end = size[user] - 1 - _places(transactions, np.random.default_rng(seed))
        rows, several = np.arange(len(user)), size[user]
        test = (from_end == 0) & (several >= 2)
        val = (from_end == 1) & (several >= 3)
        return {
            "val": Phase(rows[~test & ~val], rows[val]),
            "test": Phase(rows[~test], rows[test]),
        }


@dataclass(frozen=True)
class Presplit:
    """The published test part; validation is one seeded item of each user, out of train.

    Attributes:
        validation_negatives: seeded unseen items beside the validation item, where the test part
            has candidates.
    """

    validation_negatives: int = 99

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """Draws the validation items; the test part is as published."""
        if transactions.is_test is None:
            raise ConfigError(
                "evaluation=presplit needs published parts; set data=presplit, or another"
                " evaluation"
            )
        rows = np.arange(len(transactions))
        train, test = rows[~transactions.is_test], rows[transactions.is_test]
        user, item = transactions.user[train], transactions.item[train]
        shuffled = np.random.default_rng(seed).permutation(len(train))
        by_user = shuffled[stable_order(user[shuffled])]
        chosen = by_user[run_starts(user[by_user])]
        # out of train means every row of the item; a user with one item keeps it
        drawn = np.full(len(transactions.user_ids), -1)
        drawn[user[chosen]] = item[chosen]
        fit = item != drawn[user]
        several = np.bincount(user[fit], minlength=len(drawn))[user] > 0
        fit |= ~several
        chosen = chosen[several[chosen]]
        has_candidates = transactions.candidates is not None
        return {
            "val": Phase(
                train[fit],
                train[np.sort(chosen)],
                sampled_negatives=self.validation_negatives if has_candidates else 0,
            ),
            "test": Phase(train, test, candidates=has_candidates),
        }


@dataclass(frozen=True)
class UnseenUsers:
    """Strong generalisation: some users are left out of fitting altogether; asked with the first
    part of their purchases, they are to be served with the rest. Two seeded draws, for validation
    and for the test; first and rest by time, ties by row, or at random where there is no time.

    Phase "known" puts the questions of the test to the same users, about the same items, when their
    first parts are fitted too: what is lost on users who were never seen can be read beside it.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section
    4.3; Marlin, Collaborative Filtering: A Machine Learning Perspective, 2004.

    Attributes:
        test_share, validation_share: of the users.
        fold_in_share: of the purchases of each of them, what is read; a user with one purchase is
            not asked.
        known: whether there is a phase "known", which costs another training.
    """

    test_share: float = 0.2
    validation_share: float = 0.1
    fold_in_share: float = 0.8
    known: bool = True

    def __post_init__(self) -> None:
        for name in ("test_share", "validation_share", "fold_in_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f"evaluation.split.{name}={getattr(self, name)}: it has to be between 0 and 1"
                )
        if self.test_share + self.validation_share >= 1:
            raise ConfigError(
                f"evaluation.split.test_share={self.test_share:g} and validation_share="
                f"{self.validation_share:g} leave no user to fit on"
            )

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """Draws the users, then cuts their purchases."""
        user = transactions.user
        random = np.random.default_rng(seed)
        size = np.bincount(user, minlength=len(transactions.user_ids))
        drawn = random.permutation(np.flatnonzero(size))
        in_test, in_val = (
            max(1, round(share * len(drawn))) for share in (self.test_share, self.validation_share)
        )
        group = np.zeros(len(size), dtype=np.int64)
        group[drawn[:in_test]], group[drawn[in_test : in_test + in_val]] = 2, 1
        place = _places(transactions, random)
        # at least one purchase to read and, of two, one to be asked about
        read = np.maximum(1, np.minimum(np.round(self.fold_in_share * size), size - 1))
        first, rows = place < read[user], np.arange(len(user))

        def phase(number: int) -> Phase:
            fitted, asked = group[user] < number, group[user] == number
            return Phase(rows[fitted], rows[asked & ~first], fold_in=rows[asked & first])

        test = phase(2)
        known = replace(test, fit=rows[(group[user] < 2) | first], catalogue=test.fit)
        return {"val": phase(1), **({"known": known} if self.known else {}), "test": test}


def _places(transactions: Dataset, random: np.random.Generator) -> np.ndarray:
    """Place of every row among those of its user, from 0: by time, ties by row; at random where
    there is no time. int64 (N,).
    """
    user = transactions.user
    if transactions.timestamp is None:
        order = random.permutation(len(user))
    else:
        order = stable_order(transactions.timestamp)
    order = order[stable_order(user[order])]
    size = np.bincount(user)
    place = np.empty(len(user), dtype=np.int64)
    place[order] = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    return place


@dataclass(frozen=True)
class FitOnEverything:
    """No evaluation: the model that is shipped reads every row."""

    def __call__(self, transactions: Dataset, seed: int) -> dict[str, Phase]:
        """One phase that asks nothing."""
        rows = np.arange(len(transactions))
        return {"ship": Phase(rows, rows[:0])}
