"""Test is a published part."""

from dataclasses import dataclass

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.integer_keys import run_starts, stable_order
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError
from recsys.ranges import Whole

NEGATIVES = 99


@dataclass(frozen=True)
class Presplit:
    """The published test part; validation is one seeded item of each user, out of train.

    Attributes:
        validation_negatives: seeded unseen items beside the validation item, where the test part
            has candidates.
    """

    validation_negatives: Whole = NEGATIVES

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
        user, item = dataset.user[train], dataset.item[train]
        shuffled = np.random.default_rng(seed).permutation(len(train))
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
                train[np.sort(chosen)],
                sampled_negatives=self.validation_negatives if has_candidates else 0,
            ),
            "test": Phase(train, test, candidates=has_candidates),
        }
