"""What a customer buys next, again or for the first time, from the history alone.

Axes: B users, C candidates, I items, L length of a history, N events of all histories, T time
scales, F features of an item, D factors.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.features.item_trends import NUM_TRENDS, TIME_SCALES, fading_counts, item_trends
from recsys.models.inputs import HISTORY, HISTORY_AGE, Query
from recsys.models.recommender import Reasons
from recsys.ranges import BelowOne, Positive, Width

_SEASON = TIME_SCALES.index(150.0)
_EVER = len(TIME_SCALES) - 1
# of the logarithm of a count: what an item counts that was bought so long ago that it is forgotten
_FORGOTTEN = 0.01
# days since a purchase that never was
_NEVER = 1e4
# instead of 0 in a denominator
_TINY = 1e-30


class _Events(NamedTuple):
    """Histories, flat.

    Attributes:
        row, item: of each event, int64 (N,); item I is padding.
        age: days since, float32 (N,).
        place: of the event's (user, item) in a flat table (B, I + 1), int64 (N,).
        counts: purchases of each (user, item) on each time scale, (B · (I + 1), T).
    """

    row: Tensor
    item: Tensor
    age: Tensor
    place: Tensor
    counts: Tensor


class NextPurchase(nn.Module):
    """Two heads, one for items of the history and one for all others:

        again(u, i) = log(0.01 + Σ exp(-age / 150 days)) + network(when and how often u bought i,
                      how active u is, how i sells, first(u, i))
        first(u, i) = v_u · q_i + b_i + network(how i sells),  v_u = Σ_j w_j e_j / ‖w‖

    w_j = log(1 + 2 Σ exp(-age / 150 days)) over the purchases of item j. An untrained model ranks
    the history by personal frequency weighted by recency, and learns from there.

    Source: `first` is an autoencoder on the normalised history as in Liang et al., Variational
    Autoencoders for Collaborative Filtering, WWW 2018, section 2.1, without hidden layers; that
    own, fading frequency carries repeat purchases: Hu et al., Modeling Personalized Item Frequency
    Information for Next-basket Recommendation, SIGIR 2020.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D.
        hidden_dim: units of the two layers behind `again`; a quarter of them behind `first`.
        dropout: share of each user vector's factors that are zeroed in training.
        history_dropout: share of each user's items that `first` does not read in training.
        init_std: standard deviation of the initial factors.
    """

    trends: Tensor
    scales: Tensor
    inputs = (HISTORY, HISTORY_AGE)
    supported_losses = ("next_purchases",)
    floats_per_pair = 2 * len(TIME_SCALES) + 6
    reasons_kind = "exact"
    floats_per_reason = (256, 8)

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 64,
        hidden_dim: Width = 64,
        dropout: BelowOne = 0.5,
        history_dropout: BelowOne = 0.3,
        init_std: Positive = 0.05,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.history_dropout = history_dropout
        self.register_buffer("trends", torch.zeros(num_items, NUM_TRENDS))
        self.register_buffer("scales", torch.tensor(TIME_SCALES), persistent=False)
        self.read = nn.Parameter(torch.empty(num_items, embedding_dim))
        self.item = nn.Parameter(torch.empty(num_items, embedding_dim))
        self.item_bias = nn.Parameter(torch.zeros(num_items))
        self.trend = nn.Linear(NUM_TRENDS, 1)
        self.trend_layers = _layers(NUM_TRENDS, hidden_dim // 4)
        self.activity = nn.Linear(len(TIME_SCALES), 1)
        self.again_layers = _layers(2 * len(TIME_SCALES) + NUM_TRENDS + 5, hidden_dim, hidden_dim)
        self.again_bias = nn.Parameter(torch.tensor(-3.0))
        self.dropout = nn.Dropout(dropout)
        for table in (self.read, self.item):
            nn.init.normal_(table, std=init_std)
        with torch.no_grad():
            # popular on several time scales, and far less likely than an item of the history
            self.trend.weight.copy_(torch.tensor([[0.0, 0.0, 0.3, 0.3, 0.3, 0.0, 0.0, 0.0]]))
            self.trend.bias.fill_(-8.0)

    def observe(self, interactions: Interactions) -> None:
        """Notes how every item sells at the end of the fitted part.

        Raises:
            ConfigError: the purchases have no days.
        """
        if interactions.day is None:
            raise ConfigError(
                "model=next_purchase weighs purchases by their age, and the data has no timestamps;"
                " set data.columns.timestamp, or choose another model"
            )
        self.trends.copy_(item_trends(interactions, int(interactions.day.max()) + 1))

    def no_weight_decay(self) -> Iterator[nn.Parameter]:
        """The layers: few numbers, learned from many purchases; the factors need the decay."""
        for layers in (self.trend, self.trend_layers, self.activity, self.again_layers):
            yield from layers.parameters()

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """-> logits (B, I) of a purchase in the weeks to come; on another day than the last with
        the trends (I, F) of that day.
        """
        trends = self.trends if trends is None else trends
        events = self._events(query)
        users = query.history.shape[0]
        fading = torch.log1p(
            _summed(
                torch.zeros(users, len(self.scales), device=events.age.device),
                events.row,
                self._fading(events),
            )
        )  # (B, T)
        first = self._first(self._bag(events, self.history_dropout), trends)  # (B, I)
        first = first + self.activity(fading / 4)
        again = self._again(query, events, fading, trends, first.detach())  # (N,)
        return self._replaced(first, events, again)

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        """-> logits (B, I) of the items that are not in the history, -inf of those that are."""
        events = self._events(query)
        trends = self.trends if trends is None else trends
        first = self._first(self._bag(events, 0.0), trends)
        return first.masked_fill(self._bought(events), -torch.inf)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """What carries `first` is the sum over the history, w_j e_j · q_i / ‖w‖: the rest is how
        the item sells and how active the user is. What carries `again` are the purchases of the
        item itself, by what they add to the logarithm, log(0.01 + Σ) - log(0.01): the rest is what
        the network says of when and how often. The purchases of an item share what it adds as
        they fade.
        """
        history, days = query.history, query.days()
        real = history < self.num_items
        known = history.clamp(max=self.num_items - 1)
        fade = torch.exp(-days.unsqueeze(2) / self.scales) * real.unsqueeze(2)  # (B, L, T)
        season = fade[:, :, _SEASON]
        by_item = torch.zeros(history.shape[0], self.num_items + 1, device=days.device).scatter_add(
            1, history, season
        )  # (B, I + 1)
        length = torch.log1p(2 * by_item).norm(dim=1, keepdim=True).clamp(min=1e-12)
        of_item = by_item.gather(1, history).clamp(min=_TINY)  # (B, L)
        weight = 4 * torch.log1p(2 * of_item) / length * season / of_item
        read = self.read[known] * weight.unsqueeze(2)  # (B, L, D)
        carried = self.item[items] @ read.transpose(1, 2)  # (B, C, L)
        sells = self._sells(self.trends)  # (I,)
        fading = torch.log1p(fade.sum(dim=1))  # (B, T)
        rest = sells[items] + self.activity(fading / 4)  # (B, C)

        same = history.unsqueeze(1) == items.unsqueeze(2)  # (B, C, L)
        counts = same.to(fade.dtype) @ fade  # (B, C, T)
        ever = counts[:, :, _SEASON].clamp(min=_TINY)
        gain = torch.log(_FORGOTTEN + counts[:, :, _SEASON]) - math.log(_FORGOTTEN)  # (B, C)
        own = same * (season.unsqueeze(1) * (gain / ever).unsqueeze(2))
        average = sells.mean() + (read @ self.item.mean(dim=0)).sum(dim=1, keepdim=True)  # (B, 1)
        likely = sells[items] + carried.sum(dim=2) - average
        again = self._again_of(items, query, same, counts, fading, likely)
        bought = same.any(dim=2)
        return Reasons(
            torch.where(bought.unsqueeze(2), own, carried), torch.where(bought, again - gain, rest)
        )

    def _again_of(
        self,
        items: Tensor,
        query: Query,
        same: Tensor,
        counts: Tensor,
        fading: Tensor,
        likely: Tensor,
    ) -> Tensor:
        """The logit of candidates that were bought, from where they stand in the history (B, C, L),
        (B, C); any number for the others.
        """
        days, padding = query.days(), query.history == self.num_items
        aged = days.unsqueeze(1)  # (B, 1, L)
        width = items.shape[1]
        since = torch.stack(
            [
                aged.masked_fill(~same, _NEVER).amin(dim=2),
                aged.masked_fill(~same, 0).amax(dim=2),
                days.masked_fill(padding, _NEVER).amin(dim=1, keepdim=True).expand(-1, width),
                days.masked_fill(padding, 0).amax(dim=1, keepdim=True).expand(-1, width),
            ],
            dim=2,
        )  # (B, C, 4)
        logs = torch.log(_FORGOTTEN + counts)
        features = _features(
            logs, fading.unsqueeze(1).expand(-1, width, -1), self.trends[items], since, likely
        )
        return logs[:, :, _SEASON] + self.again_bias + self.again_layers(features).squeeze(2)

    def _events(self, query: Query) -> _Events:
        users, length = query.history.shape
        days = query.days()
        row = torch.arange(users, device=query.history.device).unsqueeze(1).expand(-1, length)
        if torch.compiler.is_exporting():
            row, item, age = row.reshape(-1), query.history.reshape(-1), days.reshape(-1)
        else:
            inside = query.history < self.num_items
            row, item, age = row[inside], query.history[inside], days[inside]
        place = row * (self.num_items + 1) + item
        empty = torch.zeros(users * (self.num_items + 1), len(self.scales), device=age.device)
        counts = _summed(empty, place, fading_counts(age, self.scales))
        return _Events(row, item, age, place, counts)

    def _fading(self, events: _Events) -> Tensor:
        """What each event counts, nothing where it is padding, (N, T)."""
        real = (events.item < self.num_items).unsqueeze(1)
        return fading_counts(events.age, self.scales) * real

    def _bag(self, events: _Events, dropout: float) -> Tensor:
        """The history of every user at length 1, (B, I)."""
        bag = torch.log1p(2 * self._by_item(events.counts[:, _SEASON]))
        if self.training and dropout:
            bag = bag * (torch.rand_like(bag) >= dropout)
        return nn.functional.normalize(bag, dim=1)

    def _by_item(self, flat: Tensor) -> Tensor:
        """A flat table (B · (I + 1),) as rows of users without the padding, (B, I)."""
        return flat.view(-1, self.num_items + 1)[:, : self.num_items]

    def _bought(self, events: _Events) -> Tensor:
        """True where an item is in the history, (B, I)."""
        return self._by_item(events.counts[:, _EVER]) > 0

    def _first(self, bag: Tensor, trends: Tensor) -> Tensor:
        of_item = self._sells(trends)
        # 4: so that factors of one size stand for a vector of length 1 and for one of an item
        user = self.dropout(4 * bag @ self.read)  # (B, D)
        return torch.addmm(of_item, user, self.item.T)

    def _sells(self, trends: Tensor) -> Tensor:
        """What the item itself gives to `first`, (I,)."""
        return self.item_bias + (self.trend(trends) + self.trend_layers(trends)).squeeze(1)

    def _again(
        self, query: Query, events: _Events, fading: Tensor, trends: Tensor, first: Tensor
    ) -> Tensor:
        """Logit of every event's item, (N,): the same for all events of a pair."""
        users, width = query.history.shape[0], self.num_items + 1
        last = torch.full((users * width,), _NEVER, device=first.device).scatter_reduce(
            0, events.place, events.age, "amin"
        )[events.place]
        oldest = torch.zeros(users * width, device=first.device).scatter_reduce(
            0, events.place, events.age, "amax"
        )[events.place]
        padding = query.history == self.num_items
        here = query.days().masked_fill(padding, _NEVER).amin(dim=1)[events.row]
        since = query.days().masked_fill(padding, 0).amax(dim=1)[events.row]
        days = torch.stack([last, oldest, here, since], dim=1)  # (N, 4)
        counts = torch.log(_FORGOTTEN + events.counts[events.place])  # (N, T)
        known = events.item.clamp(max=self.num_items - 1)
        likely = (first - first.mean(dim=1, keepdim=True)).reshape(-1)[
            events.row * self.num_items + known
        ]
        features = _features(counts, fading[events.row], trends[known], days, likely)
        return counts[:, _SEASON] + self.again_bias + self.again_layers(features).squeeze(1)

    def _replaced(self, first: Tensor, events: _Events, again: Tensor) -> Tensor:
        """`first` (B, I) with the logits `again` of the events (N,) in the place of what was
        bought.
        """
        users = len(first)
        # a pair's events share its logit, so that its gradient counts once
        share = again / events.counts[events.place, _EVER]
        table = _summed(share.new_zeros(users * (self.num_items + 1)), events.place, share)
        return torch.where(self._bought(events), self._by_item(table), first)


def _summed(table: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """The table (R, …) with values (N, …) added to the rows that `place` (N,) names."""
    if not torch.compiler.is_exporting():
        return table.index_add(0, place, values)
    # ONNX Runtime adds the ScatterND that index_add becomes in parallel without locks
    if values.dim() == 2:
        place = place.unsqueeze(1).expand(-1, values.shape[1])
    return table.scatter_add(0, place, values)


def _features(
    counts: Tensor, fading: Tensor, trends: Tensor, days: Tensor, likely: Tensor
) -> Tensor:
    """What `again` reads, each part at about the same size: (…, T), (…, T), (…, F), (…, 4), (…)."""
    parts = [
        counts / 2,
        fading / 4,
        trends,
        torch.log1p(days) / 2 - 1,
        likely.unsqueeze(-1) / 2,
    ]
    return torch.cat(parts, dim=-1)


def _layers(width: int, *hidden_dims: int) -> nn.Sequential:
    """ReLU layers to one number, which is 0 at first."""
    layers: list[nn.Module] = []
    for hidden_dim in hidden_dims:
        layers += [nn.Linear(width, hidden_dim), nn.ReLU()]
        width = hidden_dim
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
