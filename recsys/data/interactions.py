"""What one phase of a split works on: a vocabulary, the fitted purchases, and the queries with
their answers.

Axes: U users and I items of the vocabulary, N events, R users who are evaluated, C candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.dataset import CandidateTable, Dataset
from recsys.data.ids import Vocabulary
from recsys.data.integer_keys import distinct_keys, present_codes, run_starts, stable_order
from recsys.data.phase_columns import Indices, PhaseColumns
from recsys.data.ragged import Ragged
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError, DataError

# of items of the truth that the fitted part does not have: they are no truth, or cannot be hit
UnknownItems = Literal["leave_out", "miss"]


@dataclass(frozen=True)
class Interactions:
    """Purchases of the fitted part, user by user in order of time.

    Where the source has timestamps, lines of one user, item and day count as one event.

    Attributes:
        history: item of every event, row by user (latest last): U rows, N values.
        num_items: I.
        day: day of every event on the shop's clock, int32 (N,), since 1970; None where the source
            has no timestamps.
        quantity: units bought in every event, float32 (N,); None where the source has none.
        columns: attributes and context of the phase that is fitted; None where the interactions do
            not come from a dataset.
    """

    history: Ragged
    num_items: int
    day: Tensor | None = None
    quantity: Tensor | None = None
    columns: PhaseColumns | None = field(default=None, compare=False, repr=False)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.history)

    @cached_property
    def distinct(self) -> Ragged:
        """Items that each user bought at least once, ascending."""
        user, item = np.divmod(distinct_keys(self._pairs()), self.num_items)
        return Ragged.from_sorted(user, item, self.num_users)

    @cached_property
    def days_since(self) -> Tensor | None:
        """Days from the last purchase of each pair in `distinct` to the end of the fitted part,
        float32; None without time.
        """
        if self.day is None:
            return None
        pairs = self._pairs()
        order = stable_order(pairs)
        # events of a user are in order of time: the last of a pair is its last purchase
        last = np.r_[run_starts(pairs[order])[1:], len(order)] - 1
        day = self.day.numpy()
        return torch.from_numpy((day.max() - day[order[last]]).astype(np.float32))

    @cached_property
    def newest(self) -> Tensor:
        """Place in `distinct` of the item that each user bought for the first time last, int64
        (U,); 0 where a user bought nothing.
        """
        pairs = self._pairs()
        order = stable_order(pairs)
        first = order[run_starts(pairs[order])]  # event with which each pair begins
        newest = np.zeros(self.num_users, dtype=np.int64)
        lengths = self.distinct.lengths().numpy()
        some = lengths > 0
        starts = self.distinct.indptr.numpy()[:-1][some]
        latest = np.maximum.reduceat(first, starts) if len(starts) else first
        newest[some] = np.flatnonzero(first == np.repeat(latest, lengths[some]))
        return torch.from_numpy(newest)

    @cached_property
    def units(self) -> Tensor | None:
        """Units bought of each pair in `distinct`, float32; None where the source has no
        quantities.
        """
        if self.quantity is None:
            return None
        pairs = self._pairs()
        order = stable_order(pairs)
        return torch.from_numpy(
            _sums(self.quantity.numpy()[order], run_starts(pairs[order])).astype(np.float32)
        )

    @cached_property
    def buyers(self) -> Tensor:
        """Number of users who bought each item, int64 (I,)."""
        return torch.bincount(self.distinct.values, minlength=self.num_items)

    def _pairs(self) -> np.ndarray:
        """A number for the user and the item of every event, int64 (N,)."""
        user = np.repeat(np.arange(self.num_users, dtype=np.int64), self.history.lengths().numpy())
        user *= self.num_items
        user += self.history.values.numpy()
        return user

    def matrix(self) -> csr_array:
        """1 where a user bought an item at least once, float32 (U, I), sparse."""
        indptr, items = self.distinct.indptr.numpy(), self.distinct.values.numpy()
        ones = np.ones(len(items), dtype=np.float32)
        return csr_array((ones, items, indptr), shape=(self.num_users, self.num_items))


@dataclass(frozen=True)
class Candidates:
    """Lists to rank: the users evaluated, int64 (R,); item indices ascending, int64 (R, C), I pads;
    relevance, bool (R, C).
    """

    user: Tensor
    item: Tensor
    relevant: Tensor


@dataclass(frozen=True)
class ColdUsers:
    """Users whom the fitted part has no purchase of and the evaluated period does; they are no
    part of the vocabulary.

    Axes: R such users.

    Attributes:
        user_ids: object of str (R,), in the order of the dataset.
        truth: items that each bought in the evaluated period, ascending: R rows.
        missed: number of further items that nothing can recommend, int64 (R,); 0 where these are
            left out.
        columns: their attributes, and context and clock of their first event of the period.
    """

    user_ids: np.ndarray
    truth: Ragged
    missed: Tensor
    columns: PhaseColumns

    def __len__(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True)
class PhaseData:
    """One phase, indexed.

    Attributes:
        name: "val", "test" or "full_data".
        vocabulary: users and items of the fitted part (and items that only candidates have, and
            users who are only evaluated).
        interactions: what to fit on.
        truth: items that each user bought in the evaluated period, ascending; a row a user of the
            vocabulary.
        candidates: published or sampled lists, or None.
        counts: what was kept and what left, for the report.
        fold_in: the histories of queries, where that is not the fitted part; None else.
        cold: True for the items that the fitted part does not have and the truth does, bool (I,);
            None where these are no part of the vocabulary.
        own_clock: queries are of the day of each user's last purchase, as those of `fold_in` are.
        missed: view ("new", "all") to the number of further items that each user bought in the
            evaluated period and nothing can recommend, int64 (U,); empty where they are left out.
        cold_users: see `ColdUsers`; None where these are not evaluated, or there are none.
    """

    name: str
    vocabulary: Vocabulary
    interactions: Interactions
    truth: Ragged
    candidates: Candidates | None
    counts: dict[str, int]
    fold_in: Interactions | None = None
    cold: Tensor | None = None
    own_clock: bool = False
    missed: Mapping[str, Tensor] = field(default_factory=dict)
    cold_users: ColdUsers | None = None

    @property
    def asked_ids(self) -> np.ndarray:
        """Ids of the users of the vocabulary and, below them, of those who are cold, (U + R,)."""
        known = self.vocabulary.user_ids
        return known if self.cold_users is None else np.r_[known, self.cold_users.user_ids]

    @property
    def columns(self) -> PhaseColumns | None:
        """Attributes of users, context of events and the clock; read when asked for."""
        return self.interactions.columns

    @property
    def histories(self) -> Interactions:
        """What each user bought before the query."""
        return self.interactions if self.fold_in is None else self.fold_in

    @cached_property
    def ages(self) -> Tensor | None:
        """Days from each purchase in `histories` to the day of its user's query, float32
        (N,): the last of the fitted part, or of the own history where that is folded in or the
        phase says so; None without time.
        """
        day = self.histories.day
        if day is None:
            return None
        if self.fold_in is None and not self.own_clock:
            return (day.max() - day).float()
        lengths, end = self.histories.history.lengths(), self.histories.history.indptr[1:]
        some = lengths > 0
        # events of a user are in order of time
        return (day[end[some] - 1].repeat_interleave(lengths[some]) - day).float()


def index_phase(
    dataset: Dataset,
    name: str,
    phase: Phase,
    *,
    min_buyers: int = 1,
    k_core: int = 0,
    seed: int = 0,
    max_users: int | None = None,
    cold_items: bool = False,
    unknown_items: UnknownItems = "leave_out",
    cold_users: bool = False,
) -> PhaseData:
    """Filters and indexes the rows of a phase; vocabulary and filters look at the fitted rows only.

    Args:
        dataset: the whole table.
        name: of the phase.
        phase: its rows.
        min_buyers: items with fewer distinct buyers in the fitted rows are left out.
        k_core: above 0, users and items with fewer distinct partners are left out, again and again
            until none is left.
        seed: of sampled negatives.
        max_users: no more are evaluated: drawn at random, the same ones whatever the seed; None:
            all.
        cold_items: items of the truth that the fitted part does not have belong to the vocabulary,
            for a model that knows them by their attributes.
        unknown_items: "leave_out": what was bought of items that are not in the vocabulary (or
            cold) is no truth; "miss": it is truth of the views "new" and "all" that nobody can hit,
            and a user who bought nothing else is evaluated.
        cold_users: users of the truth whom the fitted part does not have are evaluated, too.

    Raises:
        DataError: fewer than two users or items are left.
    """
    rows = _fitted_rows(dataset, phase, min_buyers, k_core)
    counts = {"fit_rows": len(phase.fit), "fit_rows_dropped_by_filters": len(phase.fit) - len(rows)}
    users = present_codes(dataset.user[rows], len(dataset.user_ids))
    items = present_codes(dataset.item[rows], len(dataset.item_ids))
    num_fitted, fold_in = len(users), rows[:0]
    if phase.fold_in is not None:
        fold_in = phase.fold_in[np.isin(dataset.item[phase.fold_in], items)]
        users = present_codes(np.r_[users, dataset.user[fold_in]], len(dataset.user_ids))
    in_test = dataset.candidates
    if in_test is not None:
        # some were never sold in the fitted part: they can be ranked, not learned
        items = present_codes(np.r_[items, in_test.item], len(dataset.item_ids))
    if num_fitted < 2 or len(items) < 2:
        raise _too_few(dataset, phase, num_fitted, len(items), min_buyers, k_core)
    cold = None
    if cold_items:
        fitted_items = items
        items = present_codes(np.r_[items, dataset.item[phase.truth]], len(dataset.item_ids))
        cold = torch.from_numpy(~np.isin(items, fitted_items))
        counts["cold_items"] = int(cold.sum())
    vocabulary = Vocabulary(dataset.user_ids[users], dataset.item_ids[items])
    indices = Indices.of(dataset, users, items)
    # computed again where a model asks: no row numbers are kept for those that do not
    fitted_rows = partial(_fitted_rows, dataset, phase, min_buyers, k_core)
    columns = PhaseColumns(dataset, fitted_rows, phase.truth, indices)
    interactions = replace(_events(dataset, rows, indices), columns=columns)
    histories = None
    if phase.fold_in is not None:
        counts["fold_in_rows"] = len(phase.fold_in)
        counts["fold_in_rows_of_unknown_items"] = len(phase.fold_in) - len(fold_in)
        counts["users_not_fitted"] = len(users) - num_fitted
        # in phase "known" they are fitted too
        histories = _events(dataset, distinct_keys(np.r_[rows, fold_in]), indices)
    truth = _truth(dataset, phase.truth, indices, counts)
    missed: Mapping[str, Tensor] = {}
    if unknown_items == "miss":
        missed = _missed(dataset, phase, indices, cold)
        nothing_known = counts.pop("truth_users_without_known_item")
        counts["truth_items_missed"] = int(missed["all"].sum())
        counts["truth_users_with_unknown_items_only"] = nothing_known
    strangers = None
    if cold_users:
        strangers = _cold_users(dataset, phase, columns, cold, unknown_items, max_users, counts)
    candidates = None
    if phase.candidates and in_test is not None:
        candidates = _published(in_test, indices, counts)
    if max_users is not None:
        _require_max_users(max_users)
        truth, candidates, missed = _ask_fewer(truth, candidates, missed, max_users, counts)
    if phase.sampled_negatives:
        candidates = _sampled(histories or interactions, truth, phase.sampled_negatives, seed)
    counts |= {"users": len(users), "items": len(items), "events": len(interactions.history.values)}
    counts["positives"] = len(interactions.distinct.values)
    return PhaseData(
        name,
        vocabulary,
        interactions,
        truth,
        candidates,
        counts,
        histories,
        cold,
        phase.own_clock,
        missed,
        strangers,
    )


def _cold_users(
    dataset: Dataset,
    phase: Phase,
    columns: PhaseColumns,
    cold: Tensor | None,
    unknown_items: UnknownItems,
    max_users: int | None,
    counts: dict[str, int],
) -> ColdUsers | None:
    """See `ColdUsers`; `cold` is that of `PhaseData`."""
    known = columns.indices
    codes = dataset.user[phase.truth]
    codes = present_codes(codes[known.to_user[codes] < 0], len(dataset.user_ids))
    truth, missed = _truth_of_cold(dataset, phase, known.of_users(codes), cold, unknown_items)
    asked = np.flatnonzero((truth.lengths() > 0) | (missed > 0))
    counts["truth_users_cold"] = len(asked)
    counts["truth_users_unknown"] -= len(asked)
    if max_users is not None:
        _require_max_users(max_users)
        counts["cold_users_left_out_by_max_users"] = max(0, len(asked) - max_users)
        asked = asked[_drawn(len(asked), max_users).numpy()]
    if not len(asked):
        return None
    codes = codes[np.sort(asked)]
    indices = known.of_users(codes)
    truth, missed = _truth_of_cold(dataset, phase, indices, cold, unknown_items)
    return ColdUsers(dataset.user_ids[codes], truth, missed, replace(columns, indices=indices))


def _truth_of_cold(
    dataset: Dataset,
    phase: Phase,
    indices: Indices,
    cold: Tensor | None,
    unknown_items: UnknownItems,
) -> tuple[Ragged, Tensor]:
    """Truth of the users of `indices`, and the number of items that are missed, (R,)."""
    rows = phase.truth[indices.to_user[dataset.user[phase.truth]] >= 0]
    truth = _truth(dataset, rows, indices, {})
    if unknown_items == "leave_out":
        return truth, torch.zeros(len(truth), dtype=torch.int64)
    return truth, _missed(dataset, phase, indices, cold)["all"]


def _fitted_rows(dataset: Dataset, phase: Phase, min_buyers: int, k_core: int) -> np.ndarray:
    """Rows of the fitted part that survive the filters."""
    if phase.catalogue is None:
        keep = _filter(dataset.user[phase.fit], dataset.item[phase.fit], min_buyers, k_core)
    else:
        user, item = dataset.user[phase.catalogue], dataset.item[phase.catalogue]
        known = item[_filter(user, item, min_buyers, k_core)]
        keep = np.isin(dataset.item[phase.fit], known)
    return phase.fit[keep]


def _filter(user: np.ndarray, item: np.ndarray, min_buyers: int, k_core: int) -> np.ndarray:
    """Rows that survive (N,): items with enough buyers first, then the k-core of what is left."""
    if len(user) == 0 or (min_buyers <= 1 and k_core <= 1):
        return np.ones(len(user), dtype=bool)
    num_items = int(item.max()) + 1
    pairs = user.astype(np.int64) * num_items + item
    pair_user, pair_item = np.divmod(distinct_keys(pairs), num_items)
    item_stays = np.bincount(pair_item) >= min_buyers
    user_stays = np.ones(int(user.max()) + 1, dtype=bool)
    alive = item_stays[pair_item]
    while k_core > 1:
        pair_user, pair_item = pair_user[alive], pair_item[alive]
        user_stays &= np.bincount(pair_user, minlength=len(user_stays)) >= k_core
        item_stays &= np.bincount(pair_item, minlength=len(item_stays)) >= k_core
        alive = user_stays[pair_user] & item_stays[pair_item]
        if alive.all():
            break
    return user_stays[user] & item_stays[item]


def _too_few(
    dataset: Dataset, phase: Phase, num_users: int, num_items: int, min_buyers: int, k_core: int
) -> DataError:
    count, noun = (num_users, "user") if num_users < 2 else (num_items, "item")
    return DataError(
        f"{dataset.report.source}: {count} {noun}{'' if count == 1 else 's'} left to fit on, at"
        f" least 2 are needed; before the filters (evaluation.min_buyers={min_buyers},"
        f" evaluation.k_core={k_core}) the fitted part had users:"
        f" {len(np.unique(dataset.user[phase.fit])):,}, items:"
        f" {len(np.unique(dataset.item[phase.fit])):,}"
    )


def _require_max_users(max_users: object) -> None:
    if isinstance(max_users, bool) or not isinstance(max_users, int) or max_users < 1:
        raise ConfigError(
            f"evaluation.max_users={max_users!r}: it has to be a whole number of 1 or more, or null"
        )


def _events(dataset: Dataset, rows: np.ndarray, indices: Indices) -> Interactions:
    """What was bought in rows (ascending), with codes of the table turned into indices."""
    # as narrow as the table has them: these are the long arrays
    user = indices.to_user.astype(np.int32)[dataset.user[rows]]
    item = indices.to_item.astype(np.int32)[dataset.item[rows]]
    num_items = len(indices.items)
    quantity = None if dataset.quantity is None else dataset.quantity[rows]
    if dataset.timestamp is None or dataset.day is None:
        order = stable_order(user)
    else:
        pair = user.astype(np.int64)
        pair *= num_items
        pair += item
        events, quantity = _once_a_day(dataset.day[rows], pair, quantity)
        del pair
        rows, user, item = rows[events], user[events], item[events]
        time = dataset.timestamp[rows]
        time -= time.min()
        key = user.astype(np.int64)
        key *= int(time.max()) + 1
        key += time
        del time
        order = stable_order(key)  # by user, then time, then row
        del key
    history = Ragged.from_sorted(user[order], item[order], len(indices.users))
    return Interactions(
        history,
        num_items,
        None if dataset.day is None else torch.from_numpy(dataset.day[rows[order]]),
        None if quantity is None else torch.from_numpy(quantity[order]),
    )


def _once_a_day(
    day: np.ndarray, pair: np.ndarray, quantity: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """True for the first line of each pair and day, bool (N,), and the units of all its lines."""
    first_day = int(day.min())
    pair *= int(day.max()) - first_day + 1
    pair += day
    pair -= first_day
    order = stable_order(pair)
    starts = run_starts(pair[order])
    events = np.zeros(len(day), dtype=bool)
    events[order[starts]] = True
    if quantity is not None:
        quantity[order[starts]] = _sums(quantity[order], starts)
        quantity = quantity[events]
    return events, quantity


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum of every run of values (N,) that begins at one of `starts` (M,): float64 (M,)."""
    return np.add.reduceat(values, starts, dtype=np.float64)


def _truth(dataset: Dataset, rows: np.ndarray, indices: Indices, counts: dict[str, int]) -> Ragged:
    codes, to_user, num_items = dataset.user[rows], indices.to_user, len(indices.items)
    user, item = to_user[codes], indices.to_item[dataset.item[rows]]
    counts["truth_rows"] = len(rows)
    counts["truth_rows_of_unknown_items"] = int((item < 0).sum())
    evaluated = present_codes(codes, len(to_user))
    known_users = int((to_user[evaluated] >= 0).sum())
    counts["truth_users"] = len(evaluated)
    counts["truth_users_unknown"] = len(evaluated) - known_users
    if len(rows):
        counts["truth_users_only_fitted"] = len(indices.users) - known_users
    known = (user >= 0) & (item >= 0)
    user, item = np.divmod(distinct_keys(user[known] * num_items + item[known]), num_items)
    truth = Ragged.from_sorted(user, item, len(indices.users))
    counts["truth_users_without_known_item"] = known_users - int((truth.lengths() > 0).sum())
    return truth


def _missed(
    dataset: Dataset, phase: Phase, indices: Indices, cold: Tensor | None
) -> dict[str, Tensor]:
    """See `PhaseData.missed`. An item that the filters left out is unknown to the models, and yet
    not new to a user who bought it.
    """
    learned = indices.to_item >= 0
    if cold is not None:
        learned[indices.items[cold.numpy()]] = False
    num_items = len(dataset.item_ids)

    def pairs(rows: np.ndarray) -> np.ndarray:
        """Known users and items that are not learned, each pair once."""
        user, item = indices.to_user[dataset.user[rows]], dataset.item[rows]
        unknown = (user >= 0) & ~learned[item]
        return distinct_keys(user[unknown] * num_items + item[unknown])

    wanted, before = pairs(phase.truth), pairs(phase.fit)
    if phase.fold_in is not None:
        before = np.r_[before, pairs(phase.fold_in)]
    return {
        view: torch.from_numpy(np.bincount(keys // num_items, minlength=len(indices.users)))
        for view, keys in (("all", wanted), ("new", wanted[~np.isin(wanted, before)]))
    }


def _ask_fewer(
    truth: Ragged,
    candidates: Candidates | None,
    missed: Mapping[str, Tensor],
    max_users: int,
    counts: dict[str, int],
) -> tuple[Ragged, Candidates | None, Mapping[str, Tensor]]:
    """The truth, the candidates and what is missed of `max_users` of the users who have any, the
    others counted.
    """
    evaluated = truth.lengths() > 0
    if missed:
        evaluated = evaluated | (missed["all"] > 0)
    if candidates is not None:
        evaluated[candidates.user] = True
    users = torch.nonzero(evaluated).squeeze(1)
    counts["asked_users_left_out_by_max_users"] = max(0, len(users) - max_users)
    if len(users) <= max_users:
        return truth, candidates, missed
    drawn = _drawn(len(users), max_users)
    kept = torch.zeros(len(truth), dtype=torch.bool)
    kept[users[drawn]] = True
    lengths = torch.where(kept, truth.lengths(), 0)
    fewer = Ragged(
        torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        truth.values[kept.repeat_interleave(truth.lengths())],
    )
    if candidates is not None:
        stay = kept[candidates.user]
        candidates = Candidates(*(part[stay] for part in vars(candidates).values()))
    return fewer, candidates, {view: count * kept for view, count in missed.items()}


def _drawn(size: int, number: int) -> Tensor:
    """Some of `size` places; not by the seed of the run: runs of several seeds are compared user by
    user.
    """
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))[:number]


def _published(
    table: CandidateTable, indices: Indices, counts: dict[str, int]
) -> Candidates | None:
    user, item = indices.to_user[table.user], indices.to_item[table.item]
    known = (user >= 0) & (item >= 0)
    counts["candidate_rows_unknown"] = int((~known).sum())
    if not known.any():
        return None
    user, item, relevant = user[known], item[known], table.relevant[known]
    # an item listed twice for a user is ranked once, and counts as relevant if one of its rows does
    order = np.lexsort((~relevant, item, user))
    user, item, relevant = user[order], item[order], relevant[order]
    first = np.r_[True, (np.diff(user) != 0) | (np.diff(item) != 0)]
    counts["candidate_rows_repeated"] = int((~first).sum())
    user, item, relevant = user[first], item[first], relevant[first]
    evaluated, row, size = np.unique(user, return_inverse=True, return_counts=True)
    column = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    items = np.full((len(evaluated), size.max()), len(indices.items), dtype=np.int64)
    hits = np.zeros(items.shape, dtype=bool)
    items[row, column], hits[row, column] = item, relevant
    return Candidates(torch.from_numpy(evaluated), torch.from_numpy(items), torch.from_numpy(hits))


def _sampled(
    interactions: Interactions, truth: Ragged, num_negatives: int, seed: int
) -> Candidates:
    """One truth item of each user among items that the user bought neither before nor in the
    evaluated period.
    """
    evaluated = torch.nonzero(truth.lengths()).squeeze(1)  # (R,)
    positive = truth.values[truth.indptr[evaluated]]  # (R,)
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    for block in torch.split(torch.arange(len(evaluated)), 1024):
        users = evaluated[block]
        priority = torch.rand(len(users), interactions.num_items, generator=generator)
        priority[interactions.distinct.mask(users, interactions.num_items)] = -1.0
        priority[truth.mask(users, interactions.num_items)] = -1.0
        drawn = priority.topk(min(num_negatives, interactions.num_items - 1))
        blocks.append(torch.where(drawn.values < 0, interactions.num_items, drawn.indices))
    items = torch.cat([positive[:, None], torch.cat(blocks)], dim=1)
    items, order = items.sort(dim=1)
    return Candidates(evaluated, items, order == 0)
