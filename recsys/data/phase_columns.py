"""Attributes of users and items, context of events and the shop's clock, as one phase of a split
reads them.

Axes: N rows of the dataset, U users and I items of the vocabulary, P pairs of a user and an item
bought in the fitted part, K categories or terms of a column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys.data.dataset import Dataset
from recsys.data.impressions import Impressions, Shown
from recsys.data.integer_keys import present_codes, run_starts, stable_order
from recsys.data.item_terms import TERM_KINDS, ngrams_of, ranges_of, terms_of
from recsys.data.ragged import Ragged
from recsys.data.schema import Column, Columns
from recsys.errors import ConfigError

CLOCK = ("time.hour", "time.weekday")
USER_KINDS = ("category", "number")
_TABLES = {"users": "users", "context": "events"}
# "items.COLUMN": terms of the items; "references.COLUMN": items that it names, and the item itself;
# "ngrams.COLUMN": characters of its words
ITEMS, REFERENCES, NGRAMS = "items.", "references.", "ngrams."
USERS, CONTEXT = "users.", "context."


@dataclass(frozen=True)
class Indices:
    """Codes of users and items in a dataset beside their indices in the vocabulary of a phase.

    Attributes:
        users, items: codes, (U,) and (I,), ascending.
        to_user, to_item: index of every code of the dataset, -1 where it has none.
    """

    users: np.ndarray
    items: np.ndarray
    to_user: np.ndarray
    to_item: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset, users: np.ndarray, items: np.ndarray) -> "Indices":
        """Of these codes."""
        to_user = np.full(len(dataset.user_ids), -1, dtype=np.int64)
        to_item = np.full(len(dataset.item_ids), -1, dtype=np.int64)
        to_user[users], to_item[items] = np.arange(len(users)), np.arange(len(items))
        return cls(users, items, to_user, to_item)

    def of_users(self, users: np.ndarray) -> "Indices":
        """Of other users, by their codes, and the same items."""
        to_user = np.full_like(self.to_user, -1)
        to_user[users] = np.arange(len(users))
        return replace(self, users=users, to_user=to_user)


@dataclass(frozen=True)
class PhaseColumns:
    """Columns by their source ("users.COLUMN", "context.COLUMN", "time.hour", "time.weekday"), read
    when they are first asked for.

    Each is given for three occasions, in which context and clock differ: a pair of the fitted part
    has the values of its last event, a fitted user those of the last event of all, and a user who
    is evaluated those of the first event of the truth; an impression has its own. Attributes of
    users are always the same.

    Attributes:
        dataset: the whole table.
        fitted_rows: gives the rows that are fitted, ascending.
        truth_rows: rows of the period that is evaluated.
        indices: of the vocabulary.
    """

    dataset: Dataset
    fitted_rows: Callable[[], np.ndarray]
    truth_rows: np.ndarray
    indices: Indices
    _categories: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def categories(self, source: str) -> np.ndarray:
        """Categories or terms of a column that occur in the fitted part, in natural order, object
        (K,).

        Raises:
            ConfigError: there is no such column, or it has no categories.
        """
        if source not in self._categories and source.startswith((ITEMS, REFERENCES, NGRAMS)):
            item, term, terms = self._terms(source)
            fitted = np.isin(item, self.dataset.item[self.fitted_rows()])
            self._categories[source] = terms[present_codes(term[fitted], len(terms))]
        if source not in self._categories:
            column = self._column(source, category=True)
            rows = self.fitted_rows()
            rows = self._fitted_users if source.startswith("users.") else rows
            assert column.categories is not None
            codes = column.values[rows]
            present = present_codes(codes[codes >= 0], len(column.categories))
            self._categories[source] = column.categories[present]
        return self._categories[source]

    def of_pairs(self, source: str, category: bool) -> Tensor:
        """Values of every pair in `Interactions.distinct`, (P,)."""
        return self._values(source, category, self._pair_rows)

    def of_users(self, source: str, category: bool) -> Tensor:
        """Values of every user at the last event of the fitted part, (U,)."""
        return self._values(source, category, self._last_rows)

    def of_queries(self, source: str, category: bool) -> Tensor:
        """Values of every user at the first event of the truth, (U,)."""
        return self._values(source, category, self._truth_of_users)

    def of_shown(self, source: str, category: bool) -> Tensor:
        """Values of every impression in `shown`, (M,)."""
        return self._values(source, category, self._shown_rows, self._impressions)

    @cached_property
    def shown(self) -> Shown | None:
        """Impressions of the fitted part: those up to the last fitted purchase of their user, as
        what was shown later may belong to a purchase that is not fitted. None where the source does
        not tell them from purchases.
        """
        found, rows = self.dataset.impressions, self._shown_rows
        if found is None:
            return None
        day = None if found.day is None else torch.from_numpy(found.day[rows])
        user, item = self.indices.to_user[found.user[rows]], self.indices.to_item[found.item[rows]]
        return Shown(torch.from_numpy(user), torch.from_numpy(item), day)

    @property
    def _impressions(self) -> Impressions:
        assert self.dataset.impressions is not None
        return self.dataset.impressions

    @cached_property
    def _shown_rows(self) -> np.ndarray:
        found = self.dataset.impressions
        if found is None:
            return np.empty(0, dtype=np.int64)
        # last fitted purchase of every user of the dataset; without times by the place in the table
        last = np.full(len(self.indices.to_user), np.iinfo(np.int64).min)
        rows, time, when = self.fitted_rows(), self.dataset.timestamp, found.timestamp
        np.maximum.at(last, self.dataset.user[rows], rows if time is None else time[rows])
        when = found.events_before if when is None else when
        known = (self.indices.to_user[found.user] >= 0) & (self.indices.to_item[found.item] >= 0)
        return np.flatnonzero(known & (when <= last[found.user]))

    def item_columns(self, kinds: Sequence[str] = TERM_KINDS) -> list[str]:
        """Names of the columns of the items that have terms, of some kinds."""
        return [name for name in self.dataset.items if self.dataset.items[name].kind in kinds]

    def user_columns(self) -> list[str]:
        """Names of the columns of the users that are categories or numbers."""
        found = self.dataset.users.items()
        return [name for name, each in found if each.kind in USER_KINDS and each.role is None]

    def is_number(self, source: str) -> bool:
        """Whether "users.COLUMN" or "context.COLUMN" is a number."""
        table, _, name = source.partition(".")
        columns = self.dataset.users if table == "users" else self.dataset.context
        return _named(columns, name, _TABLES[table]).kind == "number"

    def of_items(self, source: str) -> Ragged:
        """Terms of every item, as indices into `categories`: a row per item, I rows. Terms that no
        fitted item has are left out.

        Raises:
            ConfigError: there is no such column, or it has no terms.
        """
        item, term, terms = self._terms(source)
        index = pd.Index(self.categories(source)).get_indexer(pd.Index(terms))[term]
        row = self.indices.to_item[item]
        known = (row >= 0) & (index >= 0)
        order = stable_order(row[known])
        return Ragged.from_sorted(row[known][order], index[known][order], len(self.indices.items))

    def _terms(self, source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Item of the dataset and term of every pair, and the terms; see `terms_of`."""
        table, _, name = source.partition(".")
        ids = self.dataset.item_ids
        column = _named(self.dataset.items, name, "items")
        if f"{table}." == NGRAMS:
            return ngrams_of(column)
        if f"{table}." == ITEMS and column.kind == "number":
            return ranges_of(column, np.unique(self.dataset.item[self.fitted_rows()]))
        item, term, terms = terms_of(column)
        if f"{table}." == ITEMS:
            return item, term, terms
        index = pd.Index(terms).union(pd.Index(ids), sort=False)
        own = index.get_indexer(pd.Index(ids))
        return (
            np.r_[item, np.arange(len(ids))],
            np.r_[index.get_indexer(pd.Index(terms))[term], own],
            index.to_numpy(dtype=object),
        )

    def _values(
        self,
        source: str,
        category: bool,
        rows: np.ndarray,
        events: Dataset | Impressions | None = None,
    ) -> Tensor:
        """Of events in `rows`, -1 for none: category codes int64, K where unknown or missing; or
        float32 numbers, NaN where missing.
        """
        events = self.dataset if events is None else events
        if source in CLOCK:
            return torch.from_numpy(self._clock(source, rows, events))
        column = self._column(source, category)
        if events is not self.dataset and source.startswith(CONTEXT):
            column = events.context[column.name]
        if source.startswith("users."):
            # a user has attributes whether or not there is an event
            own = rows is self._pair_rows or events is not self.dataset
            rows = events.user[rows] if own else self.indices.users
        if not category:
            values = np.where(rows < 0, np.nan, column.values[rows])
            return torch.from_numpy(values.astype(np.float32))
        assert column.categories is not None
        fitted = self.categories(source)
        position = pd.Index(fitted).get_indexer(pd.Index(column.categories))
        index = np.append(np.where(position < 0, len(fitted), position), len(fitted))
        return torch.from_numpy(index[np.where(rows < 0, -1, column.values[rows])])

    def _column(self, source: str, category: bool) -> Column:
        table, _, name = source.partition(".")
        if table not in _TABLES:
            raise ConfigError(
                f"a model reads {source!r}: choose users.COLUMN, context.COLUMN, {', '.join(CLOCK)}"
            )
        columns = self.dataset.users if table == "users" else self.dataset.context
        column = _named(columns, name, _TABLES[table])
        wanted = ("category", "id") if category else ("number",)
        if column.kind not in wanted:
            raise ConfigError(
                f"the model reads the column {name!r} of the {_TABLES[table]} as a {wanted[0]}, and"
                f" its kind is {column.kind}: set its kind to {wanted[0]}, or choose another model"
            )
        return column

    def _clock(self, source: str, rows: np.ndarray, events: Dataset | Impressions) -> np.ndarray:
        """Hour of the day (0 to 23) or day of the week (0 is Monday) on the shop's clock."""
        seconds = events.timestamp
        if seconds is None:
            raise ConfigError(
                f"the model reads {source}, and the data has no timestamps; set"
                " data.columns.timestamp, or choose another model"
            )
        times = pd.to_datetime(np.where(rows < 0, 0, seconds[rows]), unit="s", utc=True)
        local = times.tz_convert(self.dataset.report.timezone)
        values = local.hour if source == "time.hour" else local.weekday
        return np.where(rows < 0, np.nan, values.to_numpy()).astype(np.float32)

    @cached_property
    def _ordered_rows(self) -> np.ndarray:
        return self._by_time(self.fitted_rows())

    @cached_property
    def _pair_rows(self) -> np.ndarray:
        rows = self._ordered_rows
        pair = self.indices.to_user[self.dataset.user[rows]] * len(self.indices.items)
        pair += self.indices.to_item[self.dataset.item[rows]]
        return _last_of_each(pair, rows)

    @cached_property
    def _fitted_users(self) -> np.ndarray:
        return present_codes(self.dataset.user[self.fitted_rows()], len(self.indices.to_user))

    @cached_property
    def _last_rows(self) -> np.ndarray:
        rows = self._ordered_rows
        return self._by_user(_last_of_each(self.dataset.user[rows].astype(np.int64), rows))

    @cached_property
    def _truth_of_users(self) -> np.ndarray:
        # the first: the last in reverse order
        rows = self._by_time(self.truth_rows)[::-1]
        return self._by_user(_last_of_each(self.dataset.user[rows].astype(np.int64), rows))

    def _by_time(self, rows: np.ndarray) -> np.ndarray:
        time = self.dataset.timestamp
        if time is None or not len(rows):
            return rows
        return rows[stable_order(time[rows] - time[rows].min())]

    def _by_user(self, rows: np.ndarray) -> np.ndarray:
        """The row of every user (U,), -1 for none, from at most one row per user."""
        found = np.full(len(self.indices.users), -1, dtype=np.int64)
        user = self.indices.to_user[self.dataset.user[rows]]
        found[user[user >= 0]] = rows[user >= 0]
        return found


def _named(columns: Columns, name: str, table: str) -> Column:
    if name not in columns:
        known = f"it has {', '.join(columns)}" if columns else "it has no such columns"
        raise ConfigError(f"the model reads the column {name!r} of the {table}, and {known}")
    return columns[name]


def _last_of_each(key: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The last of the rows (N,) of each key (N,), by ascending key."""
    if not len(rows):
        return rows
    order = stable_order(key)
    last = np.r_[run_starts(key[order])[1:], len(order)] - 1
    return rows[order[last]]
