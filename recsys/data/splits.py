"""Which rows a model is fitted on, and which purchases it is asked about afterwards.

A split makes phases. In phase "val" the model is chosen; in phase "test" it is fitted again on
train and validation and judged once; phase "ship" fits on everything and asks nothing.
"""

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.data.keys import run_starts, stable_order
from recsys.data.transactions import SECONDS_A_DAY, Transactions
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
    """

    fit: np.ndarray
    truth: np.ndarray
    candidates: bool = False
    sampled_negatives: int = 0


class Split(Protocol):
    """Rows to phases; `seed` matters only where a split is random."""

    def __call__(self, transactions: Transactions, seed: int) -> dict[str, Phase]:
        """Phase name to rows: "val" and "test", or "ship"."""
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

    def __call__(self, transactions: Transactions, seed: int) -> dict[str, Phase]:
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

    def __call__(self, transactions: Transactions, seed: int) -> dict[str, Phase]:
        """Holds out by rank from the end of each user's history."""
        warnings.warn(
            "leave-last-out leaks time: the model is fitted on purchases of other users that lie"
            " after the one it predicts; prefer evaluation=global_time",
            stacklevel=2,
        )
        user = transactions.user
        order = np.arange(len(user))
        if transactions.timestamp is None:
            order = np.random.default_rng(seed).permutation(len(user))
        else:
            order = stable_order(transactions.timestamp)
        order = order[stable_order(user[order])]  # by user, then time, then row
        size = np.bincount(user)
        end = np.cumsum(size)
        from_end = np.empty(len(user), dtype=np.int64)
        from_end[order] = np.repeat(end, size) - 1 - np.arange(len(user))
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

    def __call__(self, transactions: Transactions, seed: int) -> dict[str, Phase]:
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
class FitOnEverything:
    """No evaluation: the model that is shipped reads every row."""

    def __call__(self, transactions: Transactions, seed: int) -> dict[str, Phase]:
        """One phase that asks nothing."""
        rows = np.arange(len(transactions))
        return {"ship": Phase(rows, rows[:0])}
