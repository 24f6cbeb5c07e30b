"""Events, users and items of one source, checked and cleaned, with every column that it has.

Axes: N events, U and I ids of users and items that occur in any of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recsys.data.impressions import Impressions
from recsys.data.report import DataReport
from recsys.data.schema import Columns, Field, Schema


@dataclass(frozen=True)
class CandidateTable:
    """A published list of items to rank for each test user, row by row: codes and relevance, each
    (C,).
    """

    user: np.ndarray
    item: np.ndarray
    relevant: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """One row per event (a purchase, a rating), in the order of the source; attributes of users and
    items beside.

    Attributes:
        user, item: int32 (N,) codes into `user_ids` and `item_ids`.
        timestamp: int64 (N,) seconds since 1970 UTC, or None.
        day: int32 (N,) days since 1970 on the shop's clock, or None.
        user_ids, item_ids: every id of the events, in natural order.
        report: what was read and dropped.
        is_test: bool (N,), rows of a published test part; None where the split is ours to make.
        candidates: published candidate lists, or None.
        quantity: float32 (N,) units, or None where the source has no such column.
        context: every further column of the events, aligned with `user`; read when asked for.
        users, items: attributes, aligned with `user_ids` and `item_ids`; read when asked for.
        roles: columns of the events that became the arrays above.
        ignored: table ("events", "users", "items") to columns that were left out.
        impressions: what was shown, where the source tells it from purchases; None else.
    """

    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray | None
    day: np.ndarray | None
    user_ids: np.ndarray
    item_ids: np.ndarray
    report: DataReport
    is_test: np.ndarray | None = None
    candidates: CandidateTable | None = None
    quantity: np.ndarray | None = None
    context: Columns = field(default_factory=Columns)
    users: Columns = field(default_factory=Columns)
    items: Columns = field(default_factory=Columns)
    roles: tuple[Field, ...] = ()
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    impressions: Impressions | None = None

    def __len__(self) -> int:
        return len(self.user)

    @property
    def schema(self) -> Schema:
        """Every column with its role and kind."""
        return Schema(self.roles, self.context, self.users, self.items, self.ignored)

    @cached_property
    def item_names(self) -> dict[str, str]:
        """Item id to a name for people, of the items that have one."""
        column = self.items.with_role("name")
        if column is None:
            return {}
        names = self.items[column].values
        return {
            item: str(name)
            for item, name in zip(self.item_ids, names, strict=True)
            if name is not None
        }
