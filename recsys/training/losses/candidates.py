"""Loss of a second stage: what was bought among the candidates of the first, or what was shown.

Axes: B users of a batch, P rows to learn from, N negatives a row, M impressions, I items, U users,
K candidates of a group.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.impressions import Shown
from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import ConfigError, DataError
from recsys.models.inputs import (
    HISTORY_AGE,
    HISTORY_QUANTITY,
    DeclaresInputs,
    ModelInput,
    Query,
    pair_columns,
    query_of,
    required,
    shown_columns,
    user_columns,
)
from recsys.models.recommenders.bag_of_items import times_bought
from recsys.models.recommenders.two_stage import Lesson, first_scores
from recsys.ranges import Count


@runtime_checkable
class RanksCandidates(Protocol):
    """A recommender that ranks the candidates of a first stage."""

    if TYPE_CHECKING:  # issubclass takes protocols of methods alone
        lesson: Lesson | None
        num_items: int
        num_candidates: int

        @property
        def inputs(self) -> tuple[ModelInput, ...]:
            """What scores depend on."""
            ...

    def candidate_logits(
        self, query: Query, first: Tensor, times: Tensor, place: Tensor, items: Tensor
    ) -> Tensor:
        """See `TwoStage.candidate_logits`."""
        ...


class Rows(NamedTuple):
    """What to learn from, ascending by user.

    Attributes:
        user, item: (P,) each.
        label: 1 where it was bought, 0 where it was only shown, float32 (P,).
        columns: further inputs of the model, by name, (P,) each.
    """

    user: Tensor
    item: Tensor
    label: Tensor
    columns: Mapping[str, Tensor]

    def take(self, places: Tensor) -> "Rows":
        """The rows at places or of a mask."""
        columns = {name: values[places] for name, values in self.columns.items()}
        return Rows(self.user[places], self.item[places], self.label[places], columns)

    def to(self, device: torch.device) -> "Rows":
        """The rows on another device."""
        columns = {name: values.to(device) for name, values in self.columns.items()}
        user, item, label = (each.to(device) for each in (self.user, self.item, self.label))
        return Rows(user, item, label, columns)


class CandidateBatch(NamedTuple):
    """Users, and rows to learn from.

    Attributes:
        first: standardised scores of the first stage, (B, I).
        times: how often each item was bought before, (B, I).
        place: of the user of each row in the batch, (P,).
        rows: P.
        items: what each row is compared with: the item itself first, (P, 1 + N).
        stands_for: logarithm of the number of items that a negative stands for, 0 for the item
            itself, -inf for what is no negative of the row, float32 (P, 1 + N).
    """

    first: Tensor
    times: Tensor
    place: Tensor
    rows: Rows
    items: Tensor
    stands_for: Tensor


@dataclass(frozen=True)
class Candidates:
    """Binary cross-entropy of impressions where the data have them: what was bought, and what was
    shown beside it and not bought; else a softmax of each purchase among negatives, and one of each
    purchase of what was new to the user among what was new, so that neither the list of all items
    nor that of new ones pays for the other. Half of the negatives are drawn from the candidates of
    the first stage and half from the catalogue, none of them bought later. Each stands for as many
    items as were left out for it: else a score by which an item becomes a candidate would speak
    against it.

    Source: half of the negatives hard, half random: Huang et al., Embedding-based Retrieval in
    Facebook Search, KDD 2020, section 6.1.

    Attributes:
        batch_size: users.
        num_negatives: of each purchase.
        max_targets: purchases of a user that are drawn in an epoch; of impressions all count.
        learn_from: "impressions", "purchases", or None: impressions where there are any.
    """

    batch_size: Count = 32
    num_negatives: Count = 32
    max_targets: Count = 10
    learn_from: Literal["impressions", "purchases"] | None = None

    name: ClassVar[str] = "candidates"
    trains: ClassVar[type] = RanksCandidates

    def objective(
        self, model: RanksCandidates, data: Interactions, *, seed: int
    ) -> "CandidateObjective":
        """See `recsys.training.objective.Loss`.

        Raises:
            ConfigError: impressions are asked for, and the data have none.
            DataError: there is nothing to learn from.
        """
        assert model.lesson is not None
        shown = None if data.columns is None else data.columns.shown
        if shown is None and self.learn_from == "impressions":
            raise ConfigError(
                "loss.learn_from=impressions: the data do not tell what was shown from what was"
                " bought; set data.columns.event_type and data.shown, or leave loss.learn_from out"
            )
        if self.learn_from == "purchases":
            shown = None
        rows = _purchases(model, data, model.lesson)
        if shown is not None:
            rows = _with_impressions(model, data, model.lesson, rows, shown)
        if not len(rows.user):
            raise DataError(
                "loss=candidates predicts the latest purchases of a user from those before, and no"
                " user of the fitted part has two; choose another model"
            )
        return CandidateObjective(
            self, model.lesson, data, rows, shown is not None, model.num_candidates, seed
        )


def _purchases(model: RanksCandidates, data: Interactions, lesson: Lesson) -> Rows:
    """The later purchases of every user."""
    later = lesson.held.later
    user = torch.repeat_interleave(torch.arange(len(later)), later.lengths())
    # places in `distinct`, of whose last event the columns are
    pair = torch.searchsorted(_pairs(data.distinct, data), user * data.num_items + later.values)
    columns = {name: each[pair] for name, each in pair_columns(model, data.columns).items()}
    return Rows(user, later.values, torch.ones(len(user)), columns)


def _with_impressions(
    model: RanksCandidates, data: Interactions, lesson: Lesson, bought: Rows, shown: Shown
) -> Rows:
    """Purchases, and what was shown since the day of a user's first of them and not bought since:
    what was shown before, the history may have been told.
    """
    pairs = _pairs(data.distinct, data)  # ascending
    wanted = shown.user * data.num_items + shown.item
    place = torch.searchsorted(pairs, wanted).clamp(max=max(0, len(pairs) - 1))
    is_bought = pairs[place] == wanted
    has_later = lesson.held.later.lengths() > 0
    kept = has_later[shown.user]
    if shown.day is not None and lesson.held.begins is not None and data.days_since is not None:
        begins = lesson.held.begins[shown.user]
        assert data.day is not None
        last_bought = data.day.max() - data.days_since[place]
        is_bought = is_bought & (last_bought >= begins)
        kept = kept & (shown.day >= begins)
    kept = kept & ~is_bought
    columns = shown_columns(model, data.columns)
    user = torch.cat([bought.user, shown.user[kept]])
    order = torch.argsort(user, stable=True)
    return Rows(
        user,
        torch.cat([bought.item, shown.item[kept]]),
        torch.cat([bought.label, torch.zeros(int(kept.sum()))]),
        {name: torch.cat([bought.columns[name], each[kept]]) for name, each in columns.items()},
    ).take(order)


def _pairs(rows: Ragged, data: Interactions) -> Tensor:
    user = torch.repeat_interleave(torch.arange(len(rows)), rows.lengths())
    return user * data.num_items + rows.values


@dataclass(frozen=True)
class CandidateObjective:
    """Rows to learn from, and the first stage that gives their candidates.

    Attributes:
        settings: of the loss.
        lesson: first stage, earlier and later purchases.
        interactions: of the fitted part.
        rows: P, of all users.
        shown: whether they are impressions.
        num_candidates: of the model.
        seed: with the epoch and the process it decides order and negatives.
    """

    settings: Candidates
    lesson: Lesson
    interactions: Interactions
    rows: Rows
    shown: bool
    num_candidates: int
    seed: int

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "CandidateBatches":
        """Every user with something to learn from once an epoch, in a new order."""
        return CandidateBatches(self, device, epoch, shard)

    def loss(self, model: RanksCandidates, batch: CandidateBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of scored pairs."""
        rows, place = batch.rows, batch.place
        query = Query(rows.user, rows.user.new_zeros(len(place), 0), None, rows.columns)
        logits = model.candidate_logits(
            query, batch.first, batch.times, place, batch.items
        )  # (P, 1 + N)
        if self.shown:
            loss = functional.binary_cross_entropy_with_logits(logits[:, 0], rows.label)
        else:
            logits = logits + batch.stands_for
            loss = (logits.logsumexp(dim=1) - logits[:, 0]).mean()
            is_new = batch.times[place.unsqueeze(1), batch.items] == 0  # (P, 1 + N)
            counts = is_new[:, 0].float()
            is_new[:, 0] = True
            among_new = logits.masked_fill(~is_new, -torch.inf).logsumexp(dim=1) - logits[:, 0]
            loss = loss + (among_new * counts).sum() / counts.sum().clamp(min=1)
        return loss, batch.items.numel()


class CandidateBatches:
    """Users in a new order every epoch, scored by the first stage from their earlier purchases."""

    def __init__(
        self,
        objective: CandidateObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        settings, held = objective.settings, objective.lesson.held
        self._settings, self._shown, self._device = settings, objective.shown, device
        self._num_candidates = objective.num_candidates
        self._first = objective.lesson.first.to(device).eval()
        self._num_items = held.earlier.num_items
        self._history = held.earlier.history.to(device)
        self._of_history = {
            name: Ragged(self._history.indptr, values.to(device))
            for name, values in _of_purchases(self._first, held.earlier, held.age()).items()
        }
        self._columns = {
            name: values.to(device)
            for name, values in user_columns(self._first, objective.interactions.columns).items()
        }
        self._later = held.later.to(device)
        self._rows = objective.rows.to(device)
        self._of_user = _rows_of_users(self._rows.user, len(self._history))
        self._users = torch.nonzero(self._of_user.lengths()).squeeze(1)
        self._order = EpochOrder(
            len(self._users), settings.batch_size, objective.seed, device, epoch, shard
        )

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[CandidateBatch]:
        generator = self._order.generator()
        for which in self._order:
            user = self._users[which]
            first, times = self._scored(user)
            place, number = self._of_user.take(user)  # (P,) each
            if not self._shown:
                chosen = self._drawn(place, generator)
                place, number = place[chosen], number[chosen]
            rows = self._rows.take(number)
            items = rows.item.unsqueeze(1)
            stands_for = torch.zeros_like(items, dtype=torch.float32)
            if not self._shown:
                negatives, of_negatives = self._negatives(user, place, first, times, generator)
                items = torch.cat([items, negatives], dim=1)
                stands_for = torch.cat([stands_for, of_negatives], dim=1)
            yield CandidateBatch(first, times, place, rows, items, stands_for)

    @torch.no_grad()
    def _scored(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the first stage and purchases of users (B,), (B, I) each."""
        history = self._history.padded(user, self._num_items)
        columns = {name: values[user] for name, values in self._columns.items()}
        columns |= {name: each.padded(user, 0) for name, each in self._of_history.items()}
        age = columns.pop(HISTORY_AGE.name, None)
        query = query_of(self._first, user, columns, history, age)
        return first_scores(self._first, query), times_bought(history, self._num_items)

    def _drawn(self, place: Tensor, generator: torch.Generator) -> Tensor:
        """At most `max_targets` rows of each user at random, as positions among (P,)."""
        draw = torch.rand(len(place), generator=generator, device=self._device, dtype=torch.float64)
        order = torch.argsort(place + draw)
        lengths = torch.bincount(place)
        rank = torch.arange(len(place), device=self._device) - (lengths.cumsum(0) - lengths)[place]
        return order[rank < self._settings.max_targets]

    def _negatives(
        self,
        user: Tensor,
        place: Tensor,
        first: Tensor,
        times: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Items (P, N), the first half candidates, and what they stand for (P, N)."""
        num_hard = self._settings.num_negatives // 2
        candidates, size = self._candidates(first, times)  # (B, 2 K), (B, 2)
        shape = len(place), self._settings.num_negatives
        draw = torch.rand(shape, generator=generator, device=self._device, dtype=torch.float64)
        of_new, both = size[place, :1], size[place].sum(dim=1, keepdim=True)
        rank = (draw[:, :num_hard] * both).long()
        column = torch.where(rank < of_new, rank, rank - of_new + candidates.shape[1] // 2)
        hard = candidates[place.unsqueeze(1), column]
        easy = (draw[:, num_hard:] * self._num_items).long()
        items = torch.cat([hard, easy], dim=1)
        # how often each item is drawn on average (B, I)
        expected = torch.full_like(first, (shape[1] - num_hard) / self._num_items)
        real = torch.arange(candidates.shape[1] // 2, device=self._device) < size.unsqueeze(2)
        often = num_hard / size.sum(dim=1, keepdim=True) * real.flatten(1)  # (B, 2 K)
        expected = expected.scatter_add(1, candidates, often)
        expected = expected.masked_fill(self._later.mask(user, self._num_items), torch.inf)
        return items, -torch.log(expected[place.unsqueeze(1), items])

    def _candidates(self, first: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """The best K items of what was not bought before, and of what was: (B, 2 K), and how many
        there are of each, which come first, (B, 2).
        """
        size = min(self._num_candidates, self._num_items)
        found, sizes = [], []
        for group in (times == 0, times > 0):
            found.append(first.masked_fill(~group, -torch.inf).topk(size).indices)
            sizes.append(group.sum(dim=1).clamp(max=size))
        return torch.cat(found, dim=1), torch.stack(sizes, dim=1)


def _of_purchases(
    first: DeclaresInputs, earlier: Interactions, age: Tensor | None
) -> dict[str, Tensor]:
    """Days and units that a first stage reads of every earlier event."""
    found = {}
    if HISTORY_AGE in first.inputs:
        found[HISTORY_AGE.name] = required(age, "age", "timestamp")
    if HISTORY_QUANTITY in first.inputs:
        found[HISTORY_QUANTITY.name] = required(earlier.quantity, "quantity", "quantity")
    return found


def _rows_of_users(user: Tensor, num_users: int) -> Ragged:
    """Places of ascending users (P,), a row a user."""
    lengths = torch.bincount(user, minlength=num_users)
    indptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Ragged(indptr, torch.arange(len(user), device=user.device))
