"""Purchases whose pattern popularity cannot know."""

import warnings

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.splits.leave_last_out import LeaveLastOut


def two_tastes(num_users: int = 60, num_items: int = 40) -> Dataset:
    """Even users buy even items, odd users odd ones: popularity cannot know."""
    generator = np.random.default_rng(0)
    user = np.repeat(np.arange(num_users), 10)
    item = 2 * generator.integers(num_items // 2, size=len(user)) + user % 2
    ids = [np.arange(size).astype(str).astype(object) for size in (num_users, num_items)]
    report = DataReport("two tastes", users=num_users, items=num_items)
    time = np.arange(len(user), dtype=np.int64) * 86_400
    return Dataset(
        user.astype(np.int32),
        item.astype(np.int32),
        time,
        (time // 86_400).astype(np.int32),
        *ids,
        report,
    )


def validation_part(transactions: Dataset) -> PhaseData:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="leave-last-out leaks time")
        phases = LeaveLastOut()(transactions, seed=0)
    return index_phase(transactions, "val", phases["val"])
