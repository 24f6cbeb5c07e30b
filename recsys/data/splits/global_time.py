"""Test and validation are the last days, the same for every user."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.splits.baskets import places_of_baskets
from recsys.data.splits.phase import Phase
from recsys.data.timestamps import SECONDS_A_DAY
from recsys.errors import DataError
from recsys.ranges import NonNegative, Positive, require_declared


@dataclass(frozen=True)
class GlobalTime:
    """Test is the last `test_days` before the last timestamp, validation the `validation_days`
    before those; 0: no phase "val", and a model trains for all its epochs.

    Attributes:
        test_days, validation_days: how long each is.
        truth: of each user everything in the "period", or the "first_basket" in it: one basket a
            user, as the protocols of next-basket recommendation have it, without their leak of
            time. See `recsys.data.splits.baskets` for what a basket is.
    """

    test_days: Positive = 28
    validation_days: NonNegative = 28
    truth: Literal["period", "first_basket"] = "period"

    def __post_init__(self) -> None:
        require_declared(self, "evaluation.split")

    def __call__(self, dataset: Dataset, seed: int) -> dict[str, Phase]:
        """Cuts at two instants, the same for every user."""
        time = dataset.timestamp
        if time is None:
            raise DataError(
                f"{dataset.report.source} has no timestamps, which evaluation=global_time"
                " needs; set data.columns.timestamp, or evaluation=leave_last_out"
            )
        test_start = time.max() - self.test_days * SECONDS_A_DAY
        val_start = test_start - self.validation_days * SECONDS_A_DAY
        rows = np.arange(len(time))
        before, after = time <= val_start, time > test_start
        if not before.any():
            days = (time.max() - time.min()) / SECONDS_A_DAY
            remedy = (
                "lower evaluation.split.test_days and validation_days"
                if days
                else "choose evaluation=leave_last_out"
            )
            raise DataError(
                f"{dataset.report.source} covers {days:.1f} days, fewer than the"
                f" {self.test_days + self.validation_days:g} held out; {remedy}"
            )
        phases = {"test": Phase(rows[~after], self._asked(dataset, rows[after]))}
        if not self.validation_days:
            return phases
        between = self._asked(dataset, rows[~before & ~after])
        return {"val": Phase(rows[before], between)} | phases

    def _asked(self, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        """What is to be predicted of the rows of a period."""
        if self.truth == "period":
            return rows
        return rows[places_of_baskets(dataset, rows) == 0]
