"""Ranks for every user who is evaluated, in blocks that fit a memory budget.

Axes: B users in a block, I items, C candidates, K length of the ranked list.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recsys.data.interactions import ColdUsers, PhaseData
from recsys.data.item_columns import groups_of_items, terms_of_items
from recsys.data.ragged import Ragged
from recsys.data.shards import ALONE, Shard
from recsys.errors import ConfigError, TrainingError
from recsys.metrics.ranking import ranking_metrics
from recsys.metrics.ranking.exposure import head_items
from recsys.metrics.ranking.hit_rate import hit_rate
from recsys.metrics.ranking.lists import Lists, list_metrics
from recsys.metrics.ranking.ndcg import ndcg
from recsys.metrics.ranking.recall import recall
from recsys.metrics.ranking_accumulator import ListMetrics, RankingMetrics
from recsys.models.fallback import served_scores
from recsys.models.inputs import (
    HISTORY_QUANTITY,
    DeclaresInputs,
    column_inputs,
    query_columns,
    query_of,
    required,
)
from recsys.models.recommender import Query, Recommender, reads_age, reads_history

VIEWS = ("new", "all", "candidates", "cold_items", "cold_users")
# whose lists are part of the catalogue: they do not say what the shop would show
PARTIAL_VIEWS = ("candidates", "cold_items")
# of each user also by the popularity of what was bought: "ndcg_head@10", "ndcg_tail@10"
BY_POPULARITY = {"hit_rate": hit_rate, "recall": recall, "ndcg": ndcg}


def _padded(rows: Ragged, users: Tensor, value: float) -> Tensor:
    """See `Ragged.padded`; at least one column, also of users without any history."""
    found = rows.padded(users, value)
    return found if found.shape[1] else pad(found, (0, 1), value=value)


def rank_top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best items of every row: higher score first, exact ties to the lower item index.

    `torch.topk` breaks ties arbitrarily, so rows with a tie at the border are ranked again by
    (score, index) in one integer.

    Args:
        scores: float32 (B, I), no NaN.
        k: K, at most I.

    Returns:
        Scores and item indices, each (B, K).
    """
    # one more than asked for tells whether the border cuts through a tie
    values, items = scores.topk(min(k + 1, scores.shape[1]))
    tied = torch.nonzero(values[:, k - 1 : k] == values[:, k:])[:, 0]
    values, items = values[:, :k], items[:, :k]
    items, order = items.sort(dim=1)
    values, resorted = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    items = items.gather(1, resorted)
    if len(tied):
        block = scores[tied] + 0.0  # -0.0 equals 0.0, its bits do not
        bits = block.view(torch.int32)
        ascending = torch.where(
            bits < 0, bits ^ 0x7FFFFFFF, bits
        ).long()  # same order as the floats
        last_first = torch.arange(scores.shape[1] - 1, -1, -1, device=scores.device)
        items[tied] = (ascending * (1 << 32) + last_first).topk(k).indices
        values[tied] = block.gather(1, items[tied])
    return values, items


class RankingResult(NamedTuple):
    """Flat metrics ("new/ndcg@10": 0.05, …); one row a user and view (user, view, num_truth, metric
    columns); and, of every view whose exposure is measured, the share of each group of items in
    purchases and in exposure, (2, G).
    """

    metrics: dict[str, float]
    per_user: pd.DataFrame
    group_shares: dict[str, Tensor]


@dataclass(frozen=True)
class UserBlocks:
    """Users with something to predict, in blocks (B,); every process takes its own users, none is
    evaluated twice. Those who are known and those who are cold share no block.

    Attributes:
        users: indices; `num_known` and above for cold users.
        block_size: most users of a block.
        shard: whose users.
        num_known: users of the vocabulary; None: all are known.
    """

    users: Tensor
    block_size: int
    shard: Shard = ALONE
    num_known: int | None = None

    def __len__(self) -> int:
        return sum(-(-len(own) // self.block_size) for own in self._own())

    def __iter__(self) -> Iterator[Tensor]:
        for own in self._own():
            yield from torch.split(own, self.block_size) if len(own) else ()

    def _own(self) -> list[Tensor]:
        own = self.users[self.shard.rank :: self.shard.world_size]
        if self.num_known is None:
            return [own]
        return [own[own < self.num_known], own[own >= self.num_known]]


class RankingEvaluator:
    """Collects the metrics of one phase; the same code judges during training, after it, and
    closed-form models.

    Views: "new" counts purchases of items that the user never bought in the fitted part, with those
    masked; "all" counts every purchase and masks nothing; "candidates" ranks a given list;
    "cold_items" ranks the items that the fitted part does not have, among themselves, and the other
    views leave these out; "cold_users" ranks the catalogue for the users whom the fitted part does
    not have, with the scores that a bundle gives them (`served_scores`); their indices begin at U.
    A view whose truth is empty is left out.

    What a phase counts as missed joins the size of the truth in "new", "all" and "cold_users":
    nobody can hit it. "candidates" is judged by its lists, and "cold_items" by what these miss.

    Args:
        data: the phase; its truth is ranked, its histories are read and masked.
        views: any of `VIEWS`; "candidates", "cold_items" and "cold_users" are left out where the
            phase has none.
        ks: cut-offs; one beyond the catalogue counts the missing places as misses.
        device: where the scores are.
        block_mb: memory that one block of scores may take.
        keep_users: also keep the metrics of every user.
        by_popularity: also keep those of `BY_POPULARITY` for the head and the tail of the catalogue
            (`head_items`): hits and truth are then only those items, ranks stay those of the whole
            list, and a user who bought none of them is NaN.
        exposure_column: category of the items' table whose exposure is measured; None: none.
    """

    def __init__(
        self,
        data: PhaseData,
        *,
        views: tuple[str, ...],
        ks: tuple[int, ...],
        device: torch.device,
        block_mb: int = 256,
        keep_users: bool = False,
        by_popularity: bool = False,
        exposure_column: str | None = None,
    ) -> None:
        for view in views:
            if view not in VIEWS:
                raise ConfigError(
                    f"there is no view {view!r} (evaluation.views, train.monitor); choose from"
                    f" {', '.join(VIEWS)}"
                )
        if not ks or min(ks) < 1:
            raise ConfigError(
                f"evaluation.ks={list(ks)}: name at least one length of a list, each 1 or more"
            )
        self.device = device
        self._data = data
        self._ks = ks
        self._bytes = block_mb * 2**20
        self._num_items = data.vocabulary.num_items
        self._depth = min(max(ks), self._num_items)
        self._keep_users = keep_users
        self._missed = {view: count.to(device) for view, count in data.missed.items()}
        self._truth = data.truth.to(device)
        self._seen = data.histories.distinct.to(device)
        self._history = data.histories.history.to(device)
        self._num_users = data.vocabulary.num_users
        self._cold_users = data.cold_users if "cold_users" in views else None
        if self._cold_users is not None:
            self._add_cold_users(self._cold_users)
        self._age, self._quantity = (
            None if values is None else Ragged(self._history.indptr, values.to(device))
            for values in (data.ages, data.histories.quantity)
        )
        self._columns: dict[str, Tensor] = {}  # (U,) each, read for the first model that asks
        self._head = head_items(data.interactions.buyers).to(device) if by_popularity else None
        self._cold = None if data.cold is None else data.cold.to(device)
        self._buyers = data.interactions.buyers
        self._popularity = self._buyers.to(device)
        self._list_metrics: dict[str, ListMetrics] = {}
        self._place: Tensor | None = None
        self._group: Tensor | None = None
        if exposure_column is not None and data.columns is not None:
            group, _ = groups_of_items(data.columns, exposure_column)
            self._group = group if data.cold is None else group[~data.cold]
        if data.cold is not None:
            # of a fitted item among the fitted ones, which are what a shop could show
            fitted = pad(~data.cold, (0, 1))
            self._place = torch.where(fitted, fitted.cumsum(0) - 1, fitted.sum()).to(device)
            self._buyers = self._buyers[~data.cold]
        self._catalogue_views = [
            view
            for view in views
            if view not in ("candidates", "cold_users")
            and (view != "cold_items" or data.cold is not None)
        ]
        self._candidates = data.candidates if "candidates" in views else None
        self.reset()

    def _add_cold_users(self, cold: ColdUsers) -> None:
        """Gives them rows below those of the users who are known."""
        none, size = Ragged.empty(len(cold)).to(self.device), (0, len(cold))
        self._truth = self._truth.followed_by(cold.truth.to(self.device))
        self._seen, self._history = (each.followed_by(none) for each in (self._seen, self._history))
        self._missed = {view: pad(each, size) for view, each in self._missed.items()}
        self._missed["cold_users"] = pad(cold.missed.to(self.device), (self._num_users, 0))

    def reset(self) -> None:
        """Forgets what was added."""
        views = self._catalogue_views + (["candidates"] if self._candidates is not None else [])
        views += ["cold_users"] if self._cold_users is not None else []
        size = self._data.vocabulary.num_users
        self._metrics = {
            view: (
                RankingMetrics(
                    self._ks,
                    None if view in PARTIAL_VIEWS else self._buyers,
                    size,
                    self._group,
                ).to(self.device)
            )
            for view in views
        }
        self._per_user: list[pd.DataFrame] = []
        # of the final judgement alone, as they take reading the attributes of items
        self._list_metrics = {
            view: ListMetrics(self._ks).to(self.device)
            for view in views
            if self._keep_users and view not in PARTIAL_VIEWS
        }

    def blocks(self, model: Recommender, shard: Shard = ALONE) -> UserBlocks:
        """Users to evaluate, as many at once as the memory budget allows for this model."""
        evaluated = self._truth.lengths() > 0
        for view in (*self._catalogue_views, "cold_users"):
            if view in self._missed:
                evaluated = evaluated | (self._missed[view] > 0)
        if self._cold_users is not None and not self._catalogue_views:
            evaluated[: self._num_users] = False
        if self._candidates is not None:
            evaluated[self._candidates.user.to(self.device)] = True
        # scores, their mask and the ranking's copies take about four floats a pair beside the
        # model's own
        pair_bytes = 4 * (model.floats_per_pair + 4)
        size = max(1, self._bytes // (pair_bytes * self._num_items))
        return UserBlocks(
            torch.nonzero(evaluated).squeeze(1), min(size, 4096), shard, self._num_users
        )

    def has_truth(self, view: str) -> bool:
        """True where the view has a truth, so that `compute` can say something."""
        if view == "candidates":
            return self._candidates is not None and bool(self._candidates.relevant.any())
        if view == "cold_items" and self._cold is None:
            return False
        if view == "cold_users":
            return self._cold_users is not None
        truth = self._data.truth.to(self.device)
        user = torch.arange(len(truth), device=self.device)
        if self._cold is not None:
            is_cold = self._cold[truth.values]
            if view == "cold_items" or bool(is_cold.all()):
                return view == "cold_items" and bool(is_cold.any())
        wanted, known = (
            torch.repeat_interleave(user, rows.lengths()) * self._num_items + rows.values
            for rows in (truth, self._data.histories.distinct.to(self.device))
        )
        return len(wanted) > 0 and not (view == "new" and bool(torch.isin(wanted, known).all()))

    def metric_names(self) -> list[str]:
        """Names by user that `compute` can return: "new/ndcg@10" and so on."""
        return [
            f"{view}/{name}" for view, metrics in self._metrics.items() for name in metrics.names
        ]

    def update(self, model: Recommender, users: Tensor) -> None:
        """Scores a block of users (B,), all known or all cold, and adds it."""
        if len(users) and int(users[0]) >= self._num_users:
            self._update_cold(model, users)
            return
        query, scores = self.query(model, users), None
        if self._catalogue_views:
            scores = self._numbers(model.score_all(query).float())  # (B, I)
            truth = self._truth.mask(users, self._num_items)
            seen = (
                self._seen.mask(users, self._num_items) if "new" in self._catalogue_views else None
            )
            warm_scores, warm_truth = scores, truth
            if self._cold is not None:
                warm_scores = scores.masked_fill(self._cold, -torch.inf)
                warm_truth = truth & ~self._cold
            for view in self._catalogue_views:
                if view == "cold_items":
                    assert self._cold is not None
                    cold_scores = scores.masked_fill(~self._cold, -torch.inf)
                    self._add_ranked(view, users, cold_scores, truth & self._cold)
                elif view == "new" and seen is not None:
                    self._add_ranked(
                        view, users, warm_scores.masked_fill(seen, -torch.inf), warm_truth & ~seen
                    )
                else:
                    self._add_ranked(view, users, warm_scores, warm_truth)
        if self._candidates is not None:
            self._add_candidates(model, query, users, scores)

    def _update_cold(self, model: Recommender, users: Tensor) -> None:
        query = self.query(model, users)
        scores = self._numbers(served_scores(model, query, self._popularity.float()).float())
        truth = self._truth.mask(users, self._num_items)
        if self._cold is not None:
            scores, truth = scores.masked_fill(self._cold, -torch.inf), truth & ~self._cold
        self._add_ranked("cold_users", users, scores, truth)

    def query(self, model: DeclaresInputs, users: Tensor) -> Query:
        """The declared inputs of the model for these users (B,), U for all who are cold; context
        and clock are those of the first event of the truth.

        Raises:
            ConfigError: the data does not have one of them.
        """
        history = age = None
        columns = {}
        for each in column_inputs(model):
            if each.name not in self._columns:
                self._columns |= self._read_columns(model)
            columns[each.name] = self._columns[each.name][users]
        if reads_history(model):
            history = _padded(self._history, users, self._num_items)
        if reads_age(model):
            age = _padded(required(self._age, "age", "timestamp"), users, 0)
        if HISTORY_QUANTITY in model.inputs:
            quantity = required(self._quantity, "quantity", "quantity")
            columns[HISTORY_QUANTITY.name] = _padded(quantity, users, 0)
        return query_of(model, users.clamp(max=self._num_users), columns, history, age)

    def _read_columns(self, model: DeclaresInputs) -> dict[str, Tensor]:
        """Columns that the model reads, (U,) each, and below them of those who are cold."""
        found = query_columns(model, self._data.columns)
        if self._cold_users is not None:
            below = query_columns(model, self._cold_users.columns)
            found = {name: torch.cat([values, below[name]]) for name, values in found.items()}
        return {name: values.to(self.device) for name, values in found.items()}

    def of_view(self, view: str, users: Tensor) -> tuple[Tensor, Tensor]:
        """What a view ranks for these users (B,), and the truth among it, each bool (B, I)."""
        if view == "candidates":
            return self._listed(users)
        truth = self._truth.mask(users, self._num_items)
        allowed = torch.ones_like(truth)
        if self._cold is not None:
            allowed &= self._cold if view == "cold_items" else ~self._cold
        if view == "new":
            allowed &= ~self._seen.mask(users, self._num_items)
        return allowed, truth & allowed

    def _listed(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The candidates of users (B,), and those of them that are relevant, each bool (B, I)."""
        candidates, row = self._candidates, self._list_of(users)
        assert candidates is not None
        has_list = (row >= 0).unsqueeze(1)
        items = candidates.item.to(self.device)[row.clamp(min=0)]  # (B, C), I pads
        relevant = candidates.relevant.to(self.device)[row.clamp(min=0)]
        none = torch.zeros(len(users), self._num_items + 1, dtype=torch.bool, device=self.device)
        listed = none.scatter(1, items, has_list.expand_as(items))[:, :-1]
        return listed, none.scatter(1, items, relevant & has_list)[:, :-1]

    def _list_of(self, users: Tensor) -> Tensor:
        """Row of the candidates of every user (B,), -1 for none."""
        assert self._candidates is not None
        listed = self._candidates.user.to(self.device)
        row_of = torch.full((self._data.vocabulary.num_users,), -1, device=self.device)
        row_of[listed] = torch.arange(len(listed), device=self.device)
        return row_of[users]

    def compute(self) -> dict[str, float]:
        """Flat metrics of what was added, over all processes."""
        found: dict[str, float] = {}
        for view, metrics in self._metrics.items():
            means = metrics.compute()
            if view in self._list_metrics:
                means |= self._list_metrics[view].compute()
            found |= {f"{view}/{name}": value for name, value in means.items() if means["users"]}
        return found

    def group_shares(self, k: int) -> dict[str, Tensor]:
        """By view, the share of each group of items in purchases and in exposure, (2, G)."""
        found = {view: metrics.group_shares(k) for view, metrics in self._metrics.items()}
        return {view: shares.cpu() for view, shares in found.items() if shares is not None}

    def per_user(self) -> pd.DataFrame:
        """One row a user and view: user, view, num_truth and the metrics."""
        if not self._per_user:
            names = dict.fromkeys(
                name for metrics in self._metrics.values() for name in metrics.names
            )
            return pd.DataFrame(columns=["user", "view", "num_truth", *names]).astype(
                {"user": "int64"}
            )
        return pd.concat(self._per_user, ignore_index=True)

    def _numbers(self, scores: Tensor, of_all: bool = True) -> Tensor:
        """The scores (B, …) as they are; TrainingError where a user has NaN or infinity, or of all
        items nothing but -infinity, which would rank in the order of the items.
        """
        best = scores.amax(dim=1)  # NaN is the largest of its row
        lost = best.isnan() | (best.isinf() if of_all else best.isposinf())
        if bool(lost.any()):
            raise TrainingError(
                f"phase {self._data.name}: the scores of {int(lost.sum()):,} of {len(lost):,} users"
                " are NaN or infinite, so nothing can be ranked: the model has diverged; lower"
                " train.lr, set train.gradient_clip, or look for extreme settings of the model"
            )
        return scores

    def _add_ranked(self, view: str, users: Tensor, scores: Tensor, truth: Tensor) -> None:
        values, items = rank_top(scores, self._depth)  # (B, K)
        hits = truth.gather(1, items)
        # a masked item that fills up the list of a user who bought nearly everything is not
        # recommended
        shown = listed = torch.where(values == -torch.inf, self._num_items, items)
        if self._place is not None:
            shown = self._place[shown]
        row, item = self._truth.take(users)  # a few pairs, where the masks are whole rows
        relevant = truth[row, item].long()
        none = relevant.new_zeros(len(users))
        num_truth = none.index_add(0, row, relevant)
        popular = None
        if self._head is not None:
            num_head = none.index_add(0, row, relevant * self._head[item])
            popular = self._head[items], num_head, num_truth - num_head
        if view in self._missed:
            num_truth = num_truth + self._missed[view][users]
        self._add(view, users, hits, num_truth, shown, popular)
        if view in self._list_metrics:
            rank, indptr, term = self._known_of_items
            lists = Lists(listed, hits, num_truth, rank, indptr, term)
            self._list_metrics[view].update(list_metrics(lists, self._ks), num_truth > 0)

    @cached_property
    def _known_of_items(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Place of every item by its buyers, and its terms; see `Lists`."""
        order = self._popularity.argsort(descending=True, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=self.device)
        rank = pad(rank, (0, 1), value=self._num_items)
        columns = self._data.columns
        terms = None if columns is None else terms_of_items(columns)
        if terms is None:
            return rank, None, None
        return rank, terms.indptr.to(self.device), terms.values.to(self.device)

    def _bought(self, users: Tensor) -> Tensor:
        """Mean buyers of what users bought before, NaN for nothing, float64 (B,)."""
        row, item = self._seen.take(users)
        none = torch.zeros(len(users), dtype=torch.float64, device=self.device)
        total = none.index_add(0, row, self._popularity[item].double())
        return total / none.index_add(0, row, torch.ones_like(row, dtype=torch.float64))

    def _add_candidates(
        self, model: Recommender, query: Query, users: Tensor, catalogue: Tensor | None
    ) -> None:
        """`catalogue` holds the scores of all items (B, I), where another view asked for them."""
        candidates, row = self._candidates, self._list_of(users)
        assert candidates is not None
        listed = row >= 0
        if not bool(listed.any()):
            return
        items = candidates.item.to(self.device)[row[listed]]  # (B, C), ascending, I pads
        relevant = candidates.relevant.to(self.device)[row[listed]]
        padding = items == self._num_items
        places = items.masked_fill(padding, 0)
        scores = (
            self._numbers(model.forward(query.rows(listed), places).float(), of_all=False)
            if catalogue is None
            else catalogue[listed].gather(1, places)
        ).masked_fill(padding, -torch.inf)
        # the columns ascend by item, so a stable sort leaves ties to the lower index
        order = scores.sort(dim=1, descending=True, stable=True).indices
        hits = relevant.gather(1, order)
        popular = None
        if self._head is not None:
            is_head = self._head[items.masked_fill(padding, 0)]
            num_head = (relevant & is_head).sum(dim=1)
            popular = is_head.gather(1, order), num_head, relevant.sum(dim=1) - num_head
        self._add("candidates", users[listed], hits, relevant.sum(dim=1), None, popular)

    def _add(
        self,
        view: str,
        users: Tensor,
        hits: Tensor,
        num_truth: Tensor,
        shown: Tensor | None,
        popular: tuple[Tensor, Tensor, Tensor] | None,
    ) -> None:
        per_user = ranking_metrics(hits, num_truth, self._ks)
        bought = self._bought(users) if view in self._list_metrics else None
        self._metrics[view].update(per_user, shown, bought)
        if self._keep_users:
            if popular is not None:
                per_user = per_user | self._by_popularity(hits, *popular)
            columns = {name: values.cpu().numpy() for name, values in per_user.items()}
            frame = pd.DataFrame(
                {"user": users.cpu().numpy(), "view": view, "num_truth": num_truth.cpu().numpy()}
                | columns
            )
            self._per_user.append(frame[frame["num_truth"] > 0])

    def _by_popularity(
        self, hits: Tensor, is_head: Tensor, num_head: Tensor, num_tail: Tensor
    ) -> dict[str, Tensor]:
        """Metrics of the head's and the tail's share in hits (B, K) and truth (B,), each (B,); what
        is not in the catalogue is in neither.
        """
        parts = {"head": (hits & is_head, num_head), "tail": (hits & ~is_head, num_tail)}
        return {
            f"{name}_{part}@{k}": metric(*share, k)
            for part, share in parts.items()
            for name, metric in BY_POPULARITY.items()
            for k in self._ks
        }


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: PhaseData,
    *,
    views: tuple[str, ...] = VIEWS,
    ks: tuple[int, ...] = (10,),
    device: torch.device | str = "cpu",
    block_mb: int = 256,
    by_popularity: bool = False,
    exposure_column: str | None = None,
) -> RankingResult:
    """Judges a fitted model on a phase, users and all.

    Returns:
        Metrics by "view/name@k" and the table of users; see `RankingEvaluator`.
    """
    evaluator = RankingEvaluator(
        data,
        views=views,
        ks=ks,
        device=torch.device(device),
        block_mb=block_mb,
        keep_users=True,
        by_popularity=by_popularity,
        exposure_column=exposure_column,
    )
    model.to(device).eval()
    assert isinstance(model, Recommender)
    for users in evaluator.blocks(model):
        evaluator.update(model, users)
    shares = evaluator.group_shares(10 if 10 in ks else ks[0])
    return RankingResult(evaluator.compute(), evaluator.per_user(), shares)
