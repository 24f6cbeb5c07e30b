"""Users told apart by a column of their table. Axes: U users of the vocabulary, R cold users."""

import numpy as np

from recsys.data.interactions import PhaseData
from recsys.data.phase_columns import USER_KINDS
from recsys.data.schema import Column, Columns
from recsys.errors import ConfigError

# a number is cut into so many parts with as many users each
_PARTS = 4


def segments(data: PhaseData, name: str) -> np.ndarray:
    """Segment of each user of the vocabulary and, below them, of each cold one: the category, or
    the quarter of a number ("18 to 25"), of all users of the dataset; "" where it is not known.
    Object of str (U + R,).

    Raises:
        ConfigError: there is no such column, or it is neither category nor number.
    """
    assert data.columns is not None
    column = require_segment_column(data.columns.dataset.users, name)
    users = [data.columns.indices.users]
    if data.cold_users is not None:
        users.append(data.cold_users.columns.indices.users)
    rows = np.concatenate(users)
    if column.categories is not None:
        return np.append(column.categories.astype(object), "")[column.values[rows]]
    numbers = column.values.astype(np.float64)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.full(len(rows), "", dtype=object)
    borders = np.unique(np.quantile(known, np.arange(1, _PARTS) / _PARTS))
    part = np.searchsorted(borders, numbers, side="left")
    names = np.full(len(borders) + 2, "", dtype=object)
    for place in np.unique(part[~np.isnan(numbers)]):
        there = numbers[(part == place) & ~np.isnan(numbers)]
        names[place] = f"{there.min():g} to {there.max():g}"
    return names[np.where(np.isnan(numbers), -1, part)[rows]]


def require_segment_column(users: Columns, name: str) -> Column:
    """The column by which users are told apart.

    Raises:
        ConfigError: there is no such column, or it is neither category nor number.
    """
    if name not in users:
        there = f"it has {', '.join(users)}" if users else "there is none (data.users.path)"
        raise ConfigError(
            f"evaluation.segment_column={name}: the table of users has no such column; {there}"
        )
    if users[name].kind not in USER_KINDS:
        raise ConfigError(
            f"evaluation.segment_column={name}: its kind is {users[name].kind}; set"
            f" data.users.kinds={{{name}: category}}, or name another column"
        )
    return users[name]
