"""What one phase of a split works on: a vocabulary, the fitted purchases, and the questions with
their answers.

Axes: U users and I items of the vocabulary, N events, R users who are asked about, C candidates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.ids import Vocabulary
from recsys.data.ragged import Ragged
from recsys.data.splits import Phase
from recsys.data.transactions import Transactions
from recsys.errors import DataError


@dataclass(frozen=True)
class Interactions:
    """Purchases of the fitted part, user by user in order of time.

    Where the source has timestamps, lines of one user, item and day count as one event.

    Attributes:
        history: item of every event, row by user (latest last): U rows, N values.
        num_items: I.
        day: day of every event on the shop's clock, int32 (N,), since 1970; None where the source
            has no timestamps.
    """

    history: Ragged
    num_items: int
    day: Tensor | None = None

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.history)

    @cached_property
    def distinct(self) -> Ragged:
        """Items that each user bought at least once, ascending."""
        lengths = self.history.lengths().numpy()
        user = np.repeat(np.arange(self.num_users, dtype=np.int64), lengths)
        keys = np.unique(user * self.num_items + self.history.values.numpy())
        return Ragged.from_sorted(keys // self.num_items, keys % self.num_items, self.num_users)

    @cached_property
    def days_since(self) -> Tensor | None:
        """Days from the last purchase of each pair in `distinct` to the end of the fitted part,
        float32; None without time.
        """
        if self.day is None:
            return None
        user = np.repeat(np.arange(self.num_users, dtype=np.int64), self.history.lengths().numpy())
        keys = user * self.num_items + self.history.values.numpy()
        # events of a user are in order of time: seen from the end, the first of a pair is its last
        # purchase
        _, from_end = np.unique(keys[::-1], return_index=True)
        day = self.day.numpy()
        return torch.from_numpy((day.max() - day[::-1][from_end]).astype(np.float32))

    @cached_property
    def buyers(self) -> Tensor:
        """Number of users who bought each item, int64 (I,)."""
        return torch.bincount(self.distinct.values, minlength=self.num_items)

    def matrix(self) -> csr_array:
        """1 where a user bought an item at least once, float32 (U, I), sparse."""
        indptr, items = self.distinct.indptr.numpy(), self.distinct.values.numpy()
        ones = np.ones(len(items), dtype=np.float32)
        return csr_array((ones, items, indptr), shape=(self.num_users, self.num_items))


@dataclass(frozen=True)
class Candidates:
    """Lists to rank: the users asked, int64 (R,); item indices ascending, int64 (R, C), I pads;
    relevance, bool (R, C).
    """

    user: Tensor
    item: Tensor
    relevant: Tensor


@dataclass(frozen=True)
class PhaseData:
    """One phase, indexed.

    Attributes:
        name: "val", "test" or "ship".
        vocabulary: users and items of the fitted part (and items that only candidates have, and
            users who are only asked about).
        interactions: what to fit on.
        truth: items that each user bought in the period asked about, ascending; a row a user of the
            vocabulary.
        candidates: published or sampled lists, or None.
        counts: what was kept and what left, for the report.
        folded: what users are asked with, where that is not the fitted part; None else.
    """

    name: str
    vocabulary: Vocabulary
    interactions: Interactions
    truth: Ragged
    candidates: Candidates | None
    counts: dict[str, int]
    folded: Interactions | None = None

    @property
    def histories(self) -> Interactions:
        """What each user bought before being asked."""
        return self.interactions if self.folded is None else self.folded

    @cached_property
    def ages(self) -> Tensor | None:
        """Days from each purchase in `histories` to the day on which its user is asked, float32
        (N,): the last of the fitted part, or of the own history where that is folded in; None
        without time.
        """
        day = self.histories.day
        if day is None:
            return None
        if self.folded is None:
            return (day.max() - day).float()
        lengths, end = self.histories.history.lengths(), self.histories.history.indptr[1:]
        some = lengths > 0
        # events of a user are in order of time
        return (day[end[some] - 1].repeat_interleave(lengths[some]) - day).float()


def index_phase(
    transactions: Transactions,
    name: str,
    phase: Phase,
    *,
    min_buyers: int = 1,
    k_core: int = 0,
    seed: int = 0,
) -> PhaseData:
    """Filters and indexes the rows of a phase; vocabulary and filters look at the fitted rows only.

    Args:
        transactions: the whole table.
        name: of the phase.
        phase: its rows.
        min_buyers: items with fewer distinct buyers in the fitted rows are left out.
        k_core: above 0, users and items with fewer distinct partners are left out, again and again
            until none is left.
        seed: of sampled negatives.

    Raises:
        DataError: fewer than two users or items are left.
    """
    user, item = transactions.user[phase.fit], transactions.item[phase.fit]
    if phase.catalogue is None:
        keep = _filter(user, item, min_buyers, k_core)
    else:
        of_user, of_item = transactions.user[phase.catalogue], transactions.item[phase.catalogue]
        keep = np.isin(item, of_item[_filter(of_user, of_item, min_buyers, k_core)])
    counts = {"fit_rows": len(user), "fit_rows_dropped_by_filters": int((~keep).sum())}
    rows, user, item = phase.fit[keep], user[keep], item[keep]
    folded = np.empty(0, dtype=np.int64) if phase.folded is None else phase.folded
    folded = folded[np.isin(transactions.item[folded], item)]
    users = np.union1d(user, transactions.user[folded])
    items = np.unique(item)
    in_test = transactions.candidates
    if in_test is not None:
        # some were never sold in the fitted part: they can be ranked, not learned
        items = np.union1d(items, in_test.item)
    _require_enough(transactions, phase, len(np.unique(user)), len(items), min_buyers, k_core)
    vocabulary = Vocabulary(transactions.user_ids[users], transactions.item_ids[items])
    to_user, to_item = (
        _inverse(users, len(transactions.user_ids)),
        _inverse(items, len(transactions.item_ids)),
    )
    interactions = _events(transactions, rows, to_user[user], to_item[item], len(users), len(items))
    histories = None
    if phase.folded is not None:
        counts["folded_rows"] = len(phase.folded)
        counts["folded_rows_of_unknown_items"] = len(phase.folded) - len(folded)
        counts["users_not_fitted"] = int((interactions.history.lengths() == 0).sum())
        read = np.union1d(rows, folded)
        user, item = to_user[transactions.user[read]], to_item[transactions.item[read]]
        histories = _events(transactions, read, user, item, len(users), len(items))
    truth = _truth(transactions, phase.truth, to_user, to_item, len(users), len(items), counts)
    candidates = None
    if phase.candidates and in_test is not None:
        candidates = _published(
            in_test.user, in_test.item, in_test.relevant, to_user, to_item, len(items), counts
        )
    elif phase.sampled_negatives:
        candidates = _sampled(histories or interactions, truth, phase.sampled_negatives, seed)
    counts |= {"users": len(users), "items": len(items), "events": len(interactions.history.values)}
    counts["positives"] = len(interactions.distinct.values)
    return PhaseData(name, vocabulary, interactions, truth, candidates, counts, histories)


def _filter(user: np.ndarray, item: np.ndarray, min_buyers: int, k_core: int) -> np.ndarray:
    """Rows that survive (N,): items with enough buyers first, then the k-core of what is left."""
    keep = np.ones(len(user), dtype=bool)
    if len(user) == 0 or (min_buyers <= 1 and k_core <= 1):
        return keep
    num_items = int(item.max()) + 1
    pairs, row_pair = np.unique(user.astype(np.int64) * num_items + item, return_inverse=True)
    pair_user, pair_item = pairs // num_items, pairs % num_items
    alive = np.bincount(pair_item)[pair_item] >= min_buyers
    while k_core > 1:
        weight = alive.astype(np.int64)
        survives = (
            alive
            & (np.bincount(pair_user, weight)[pair_user] >= k_core)
            & (np.bincount(pair_item, weight)[pair_item] >= k_core)
        )
        if survives.sum() == alive.sum():
            break
        alive = survives
    return alive[row_pair]


def _require_enough(
    transactions: Transactions,
    phase: Phase,
    num_users: int,
    num_items: int,
    min_buyers: int,
    k_core: int,
) -> None:
    for count, noun in ((num_users, "user"), (num_items, "item")):
        if count < 2:
            before = (
                len(np.unique(transactions.user[phase.fit])),
                len(np.unique(transactions.item[phase.fit])),
            )
            raise DataError(
                f"{transactions.report.source}: {count} {noun}{'' if count == 1 else 's'} left to"
                " fit on, at least 2 are needed; before the filters"
                f" (evaluation.min_buyers={min_buyers}, evaluation.k_core={k_core}) the fitted part"
                f" had users: {before[0]:,}, items: {before[1]:,}"
            )


def _inverse(kept: np.ndarray, size: int) -> np.ndarray:
    """Code in the table to index in the vocabulary, -1 where it is unknown."""
    index = np.full(size, -1, dtype=np.int64)
    index[kept] = np.arange(len(kept))
    return index


def _events(
    transactions: Transactions,
    rows: np.ndarray,
    user: np.ndarray,
    item: np.ndarray,
    num_users: int,
    num_items: int,
) -> Interactions:
    order = np.arange(len(rows))
    if transactions.timestamp is not None and transactions.day is not None:
        day = transactions.day[rows].astype(np.int64)
        day -= day.min()
        key = (user * num_items + item) * (int(day.max()) + 1) + day
        _, order = np.unique(key, return_index=True)  # first line of each user, item and day
        order = order[np.lexsort((rows[order], transactions.timestamp[rows[order]]))]
    order = order[np.argsort(user[order], kind="stable")]
    history = Ragged.from_sorted(user[order], item[order], num_users)
    if transactions.day is None:
        return Interactions(history, num_items)
    return Interactions(history, num_items, torch.from_numpy(transactions.day[rows[order]]))


def _truth(
    transactions: Transactions,
    rows: np.ndarray,
    to_user: np.ndarray,
    to_item: np.ndarray,
    num_users: int,
    num_items: int,
    counts: dict[str, int],
) -> Ragged:
    codes = transactions.user[rows]
    user, item = to_user[codes], to_item[transactions.item[rows]]
    counts["truth_rows"] = len(rows)
    counts["truth_rows_of_unknown_items"] = int((item < 0).sum())
    counts["truth_users"] = len(np.unique(codes))
    counts["truth_users_unknown"] = len(np.unique(codes[user < 0]))
    known = (user >= 0) & (item >= 0)
    counts["truth_users_without_known_item"] = len(np.unique(codes[user >= 0])) - len(
        np.unique(user[known])
    )
    pairs = np.unique(user[known] * num_items + item[known])
    return Ragged.from_sorted(pairs // num_items, pairs % num_items, num_users)


def _published(
    user: np.ndarray,
    item: np.ndarray,
    relevant: np.ndarray,
    to_user: np.ndarray,
    to_item: np.ndarray,
    num_items: int,
    counts: dict[str, int],
) -> Candidates | None:
    user, item = to_user[user], to_item[item]
    known = (user >= 0) & (item >= 0)
    counts["candidate_rows_unknown"] = int((~known).sum())
    if not known.any():
        return None
    user, item, relevant = user[known], item[known], relevant[known]
    # an item listed twice for a user is ranked once, and counts as relevant if one of its rows does
    order = np.lexsort((~relevant, item, user))
    user, item, relevant = user[order], item[order], relevant[order]
    first = np.r_[True, (np.diff(user) != 0) | (np.diff(item) != 0)]
    counts["candidate_rows_repeated"] = int((~first).sum())
    user, item, relevant = user[first], item[first], relevant[first]
    asked, row, size = np.unique(user, return_inverse=True, return_counts=True)
    column = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    items = np.full((len(asked), size.max()), num_items, dtype=np.int64)
    hits = np.zeros(items.shape, dtype=bool)
    items[row, column], hits[row, column] = item, relevant
    return Candidates(torch.from_numpy(asked), torch.from_numpy(items), torch.from_numpy(hits))


def _sampled(
    interactions: Interactions, truth: Ragged, num_negatives: int, seed: int
) -> Candidates:
    """One truth item of each user among items that the user bought neither before nor in the period
    asked about.
    """
    asked = torch.nonzero(truth.lengths()).squeeze(1)  # (R,)
    positive = truth.values[truth.indptr[asked]]  # (R,)
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    for block in torch.split(torch.arange(len(asked)), 1024):
        users = asked[block]
        priority = torch.rand(len(users), interactions.num_items, generator=generator)
        priority[interactions.distinct.mask(users, interactions.num_items)] = -1.0
        priority[truth.mask(users, interactions.num_items)] = -1.0
        drawn = priority.topk(min(num_negatives, interactions.num_items - 1))
        blocks.append(torch.where(drawn.values < 0, interactions.num_items, drawn.indices))
    items = torch.cat([positive[:, None], torch.cat(blocks)], dim=1)
    items, order = items.sort(dim=1)
    return Candidates(asked, items, order == 0)
