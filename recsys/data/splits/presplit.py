"""Test is a published part."""

from dataclasses import dataclass

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.integer_keys import run_starts, stable_order
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError
from recsys.ranges import BelowOne, Whole, require_declared

NEGATIVES = 99


@dataclass(frozen=True)
class Presplit:
    """The published test part; validation is one seeded item of each user, out of train, and a
    share of the items with everyone who bought them.

    Attributes:
        validation_negatives: seeded unseen items beside the validation item, where the test part
            has candidates.
        validation_cold_items: share of the items that are held out altogether, seeded, so that they
            are cold in validation as others are in the test.
        validation_cold_users: share of the users who are held out altogether, likewise.
    """

    validation_negatives: Whole = NEGATIVES
    validation_cold_items: BelowOne = 0.0
    validation_cold_users: BelowOne = 0.0

    def __post_init__(self) -> None:
        require_declared(self, "evaluation.split")

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Draws the validation items; the test part is as published."""
        if dataset.is_test is None:
            raise ConfigError(
                "evaluation=presplit needs published parts; set data=presplit, or another"
                " evaluation"
            )
        if dataset.candidates is None and self.validation_negatives != NEGATIVES:
            raise ConfigError(
                f"evaluation.split.validation_negatives={self.validation_negatives} has no effect"
                " without candidates: set data.candidates_path, or leave it out"
            )
        rows = np.arange(len(dataset))
        train, test = rows[~dataset.is_test], rows[dataset.is_test]
        random = np.random.default_rng(seed)
        is_cold = np.zeros(len(dataset.item_ids), dtype=bool)
        if self.validation_cold_items:
            bought = np.unique(dataset.item[train])
            size = round(self.validation_cold_items * len(bought))
            is_cold[random.choice(bought, size, replace=False)] = True
        held_out = is_cold[dataset.item[train]]
        if self.validation_cold_users:
            there = np.unique(dataset.user[train])
            size = round(self.validation_cold_users * len(there))
            held_out |= np.isin(dataset.user[train], random.choice(there, size, replace=False))
        cold = train[held_out]
        every_row, train = train, train[~held_out]
        user, item = dataset.user[train], dataset.item[train]
        shuffled = random.permutation(len(train))
        by_user = shuffled[stable_order(user[shuffled])]
        chosen = by_user[run_starts(user[by_user])]
        # out of train means every row of the item; a user with one item keeps it
        drawn = np.full(len(dataset.user_ids), -1)
        drawn[user[chosen]] = item[chosen]
        fit = item != drawn[user]
        several = np.bincount(user[fit], minlength=len(drawn))[user] > 0
        fit |= ~several
        chosen = chosen[several[chosen]]
        has_candidates = dataset.candidates is not None
        return {
            "val": Phase(
                train[fit],
                np.sort(np.r_[train[chosen], cold]),
                sampled_negatives=self.validation_negatives if has_candidates else 0,
            ),
            "test": Phase(every_row, test, candidates=has_candidates),
        }
