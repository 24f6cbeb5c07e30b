"""What was shown to users without being bought: rows of the events that are no purchases.

Axes: N events of the dataset, M impressions, U users of a vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor

from recsys.data.ids import encode_ids
from recsys.data.schema import Columns
from recsys.errors import ConfigError, closest

# reasons in the data report
SHOWN = "an impression (data.shown), no purchase"
OTHER = "an event that is neither in data.bought nor in data.shown"


@dataclass(frozen=True)
class Impressions:
    """Items that were shown, of users and items that have a purchase.

    Attributes:
        user, item: int32 (M,) codes as in the dataset.
        timestamp: int64 (M,) seconds since 1970 UTC, or None.
        day: int32 (M,) days since 1970 on the shop's clock, or None.
        events_before: rows of the dataset that stand before it in the source, int64 (M,).
        context: every further column, aligned with `user`.
    """

    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray | None
    day: np.ndarray | None
    events_before: np.ndarray
    context: Columns = field(default_factory=Columns)

    def __len__(self) -> int:
        return len(self.user)


class Shown(NamedTuple):
    """Impressions of one phase, by index of the vocabulary.

    Attributes:
        user, item: int64 (M,) each.
        day: int32 (M,), or None.
    """

    user: Tensor
    item: Tensor
    day: Tensor | None


def impression_masks(
    events: pa.ChunkedArray | None, bought: Sequence[str], shown: Sequence[str]
) -> dict[str, np.ndarray]:
    """Rows that are no purchases by their type, bool (N,), by the reason why they are left out.

    Args:
        events: the column of event types; None: there is none.
        bought: types that are purchases; empty: all but `shown`.
        shown: types that are impressions.

    Raises:
        ConfigError: types without a column of them, or types that never occur.
    """
    if not bought and not shown:
        return {}
    if events is None:
        raise ConfigError(
            "data.bought and data.shown name types of events, and the data has no column of them:"
            " set data.columns.event_type to its name, or leave them out"
        )
    types = encode_ids(events)
    known = [str(each) for each in types.categories]
    for setting, names in (("bought", bought), ("shown", shown)):
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(
                f"data.{setting}={list(names)}: no event is of type {unknown[0]!r};"
                f" {closest(unknown[0], known)}"
            )
    if both := [name for name in shown if name in bought]:
        raise ConfigError(f"data.bought and data.shown both name {both[0]!r}: leave one out")
    of_shown = np.zeros(len(types), dtype=bool)
    if shown:
        of_shown = np.isin(types.codes, types.categories.get_indexer(pd.Index(shown)))
    is_bought = ~of_shown
    if bought:
        is_bought = np.isin(types.codes, types.categories.get_indexer(pd.Index(bought)))
    return {SHOWN: of_shown, OTHER: ~of_shown & ~is_bought}
