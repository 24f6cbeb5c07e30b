"""A second stage that ranks the candidates of a first one. Axes: B users, C candidates, I items, U
users of the vocabulary, K candidates of a group, F fields, D numbers of a field, L length of a
history.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.held_out import HeldOut, hold_out
from recsys.data.interactions import Interactions
from recsys.data.schema import names_of
from recsys.models.fallback import served_users
from recsys.models.inputs import (
    HISTORY,
    USER,
    InputVocabulary,
    ModelInput,
    Query,
    item_inputs,
    item_terms,
)
from recsys.models.recommender import DecidesWhomItServes
from recsys.models.recommenders.bag_of_items import times_bought
from recsys.models.recommenders.blend import standardised
from recsys.models.recommenders.column_fields import ItemFields, QueryFields
from recsys.ranges import BelowOne, Count, OpenShare, Positive, Width

# below every standardised score, which are at most √I
_NOWHERE = -1e4
# Over so many deviations above the border of the candidates the second stage gains its say.
_RAMP = 0.25
# A logit of minus this is where scores of candidates bend towards 0.
_LIFT = 4.0
# Fields of pairs: the score of the first stage, of an item that is new to the user and of one that
# is not, and how often it was bought.
_PAIR_FIELDS = 3


class Lesson(NamedTuple):
    """What the second stage learns from; see `TwoStage`.

    Attributes:
        first: the first stage, fitted on the earlier purchases alone.
        held: earlier and later purchases.
    """

    first: Any
    held: HeldOut


class TwoStage(nn.Module):
    """A first stage scores the catalogue, a second one ranks its candidates by everything known.

    The scores z of the first stage are standardised user by user (mean 0, deviation 1 over all
    items). Candidates are the `num_candidates` best items that the user had not bought, and as many
    of those bought before, so that either list, the one of new items and the one of all, is ranked
    by the second stage. The fields of a candidate are embeddings of the user id, the columns of the
    user and of the request, the mean of the items bought; of the item id and its attributes, the
    mean over the terms of a column; and of numbers, x = sign(z) log(1 + |z|), apart for items
    bought before and not, and the logarithm of how often the user bought the item. The logit is
    network(fields) + v x, with v learned: so training starts from the order of the first stage.

    score = ramp · softplus(4 + logit), above 0, for the candidates, and z - the border of the
    candidates, at most 0, for all others, which keep the order of the first stage (items bought
    before and not each among themselves). The ramp rises from 0 to 1 within a quarter of a
    deviation above the border. So scores are continuous where candidates end: a rounding error of
    the first stage moves an item by as little, and runtimes agree.

    Nothing leaks: the latest `holdout` of the purchases of each user are what the second stage
    learns to predict, or what was shown beside them. Candidates, scores and history are those of
    the purchases before, by a first stage that is fitted on these alone. The one that is used is
    fitted on everything; scores of both mean the same, as they are standardised.

    Ids of unknown users and of items that nobody bought are zeros. In training a share of the ids
    is hidden, so that attributes count too. Where the first stage does not know a user, the
    logarithm of the buyers stands for its scores.

    Source: two stages: Covington, Adams and Sargin, Deep Neural Networks for YouTube
    Recommendations, RecSys 2016.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: categories of users' and context columns, terms of items' columns.
        first: builds the first stage from these three.
        network: builds the second from `num_fields` and `field_dim`, (…, F, D) -> (…).
        num_candidates: of what was not bought before, and as many of what was.
        embedding_dim: D.
        columns: of the items' table: categories and lists; None: all of these.
        user_columns: categories and numbers of the users' table; None: all of them.
        context_columns: columns beside an event, such as channel, "time.hour" or "time.weekday".
        holdout: share of the purchases of each user that are predicted in training.
        id_dropout: share of the ids that are hidden in training.
        init_std: standard deviation of the initial embeddings, times √D.

    Raises:
        ConfigError: the data has no such columns.
    """

    supported_losses = ("candidates",)
    item_fields: Tensor
    known_users: Tensor
    popularity: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        first: Callable[..., Any],
        network: Callable[..., Any],
        num_candidates: Count = 200,
        embedding_dim: Width = 16,
        columns: Sequence[str] | None = None,
        user_columns: Sequence[str] | None = None,
        context_columns: Sequence[str] = (),
        holdout: OpenShare = 0.2,
        id_dropout: BelowOne = 0.2,
        init_std: Positive = 0.1,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.num_candidates, self.holdout, self.id_dropout = num_candidates, holdout, id_dropout
        sizes: dict[str, Any] = {"num_users": num_users, "num_items": num_items}
        if "num_categories" in inspect.signature(first).parameters:
            sizes["num_categories"] = num_categories
        self._make_first = partial(first, **sizes)
        self.first = self.unfitted_first()
        if columns is None:
            columns = num_categories.category_columns(lists=True)
        of_items = [item_terms(name) for name in names_of(columns, "model.columns")]
        of_user = num_categories.user_inputs(
            None if user_columns is None else names_of(user_columns, "model.user_columns")
        )
        context = names_of(context_columns, "model.context_columns")
        of_query = (*of_user, *num_categories.context_inputs(context))
        std = init_std / embedding_dim**0.5
        self.columns = QueryFields(of_query, num_categories, embedding_dim, std)
        self.items = ItemFields(num_items, of_items, num_categories, embedding_dim, std)
        self.user = nn.Embedding(num_users, embedding_dim)
        self.numbers = nn.Parameter(torch.empty(_PAIR_FIELDS, embedding_dim))
        for weight in (self.user.weight, self.numbers):
            nn.init.normal_(weight, std=std)
        # id and history beside the columns, and the id of the item
        num_fields = 2 + len(of_query) + 1 + len(of_items) + _PAIR_FIELDS
        self.network = network(num_fields=num_fields, field_dim=embedding_dim)
        self.log_first_weight = nn.Parameter(torch.full((2,), 2.0).log())
        floats = num_fields * embedding_dim * 4 * 2 * min(num_candidates, num_items) / num_items
        self.floats_per_pair = int(self.first.floats_per_pair) + 8 + math.ceil(floats)
        self.register_buffer("popularity", torch.zeros(num_items))
        self.register_buffer("known_users", torch.zeros(num_users + 1, dtype=torch.bool))
        self.register_buffer(
            "item_fields",
            torch.zeros(num_items, 1 + len(of_items), embedding_dim),
            persistent=False,
        )
        self.lesson: Lesson | None = None
        self.register_load_state_dict_post_hook(_store_items)

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """Id, history, columns, and what the first stage reads."""
        return tuple(dict.fromkeys((USER, HISTORY, *self.columns.inputs, *self.first.inputs)))

    @property
    def keeps_purchases(self) -> bool:
        """Whether the weights of the first stage are purchases of single users."""
        return bool(getattr(self.first, "keeps_purchases", False))

    @property
    def graph_floats_per_pair(self) -> int:
        """That of the first stage and what the second one adds."""
        own = self.floats_per_pair - int(self.first.floats_per_pair)
        return own + int(getattr(self.first, "graph_floats_per_pair", self.first.floats_per_pair))

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of both stages."""
        return tuple(dict.fromkeys((*self.items.inputs, *item_inputs(self.first))))

    def no_weight_decay(self) -> list[nn.Parameter]:
        """How much the first stage counts."""
        return [self.log_first_weight]

    def unfitted_first(self) -> Any:
        """A first stage as it begins, with the numbers that it would draw alone."""
        with torch.random.fork_rng(devices=[]):
            return self._make_first()

    def hold_out(self, interactions: Interactions) -> HeldOut:
        """Earlier and later purchases of each user."""
        return hold_out(interactions, self.holdout)

    @torch.no_grad()
    def observe(self, interactions: Interactions) -> None:
        """Takes attributes of items, ranges of numbers, and who and what is known."""
        self.known_users[:-1] = interactions.distinct.lengths() > 0
        popularity = torch.log1p(interactions.buyers.float())
        self.popularity.copy_(standardised(popularity.unsqueeze(0))[0])
        self.columns.values.observe(interactions)
        self.items.observe(interactions)
        self.train(self.training)

    def train(self, mode: bool = True) -> "TwoStage":
        """As of every module; where training ends the fields of items stay as they are."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                self.item_fields = self.items(self.items.known)
        return self

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        asked, served = served_users(self.first, query, self.known_users[:-1])
        first = torch.where(served.unsqueeze(1), first_scores(self.first, asked), self.popularity)
        times = times_bought(query.history, self.num_items)
        users = self._user_fields(query, _bought(times, self.item_fields))
        size = min(self.num_candidates, self.num_items)
        scores, candidates = torch.zeros_like(first), []
        for group in (times == 0, times > 0):
            value, item = torch.where(group, first, _NOWHERE).topk(size)  # (B, K)
            border = torch.full_like(value[:, :1], _NOWHERE)
            if size < self.num_items:
                border = value[:, -1:]
            scores = torch.where(group, first - border, scores)
            logit = self._logits(users, self.item_fields[item], value, times.gather(1, item))
            ramp = ((value - border) / _RAMP).clamp(max=1)
            place = torch.where(value > _NOWHERE, item, self.num_items)
            candidates.append((place, functional.softplus(logit + _LIFT) * ramp))
        # one column more than items, for candidates that a group lacks
        wide = functional.pad(scores, (0, 1))
        for place, score in candidates:
            wide = wide.scatter(1, place, score)
        return wide[:, : self.num_items]

    def candidate_logits(
        self, query: Query, first: Tensor, times: Tensor, place: Tensor, items: Tensor
    ) -> Tensor:
        """Logits of candidates (P, C), where training has them; which ids are hidden in it is drawn
        anew each time.

        Args:
            query: P users and their columns; the history is not read.
            first: standardised scores of the first stage for B users (B, I).
            times: how often each of these bought each item before (B, I).
            place: of the user of each query among these (P,).
            items: candidates (P, C).
        """
        has_id = self.items.known
        if self.training:
            has_id = has_id & (torch.rand(len(has_id), device=has_id.device) >= self.id_dropout)
        fields = self.items(has_id)  # (I, Fi, D)
        users = self._user_fields(query, _bought(times, fields)[place])
        # the gradient of an embedding takes a tenth of the time that one of an index does
        found = functional.embedding(items, fields.flatten(1)).view(*items.shape, *fields.shape[1:])
        rows = place.unsqueeze(1)
        return self._logits(users, found, first[rows, items], times[rows, items])

    def serves(self, query: Query) -> Tensor:
        """Whether anything of a query is known: the id, a purchase or a column. (B,)."""
        known = self.known_users[query.user] | (query.history < self.num_items).any(dim=1)
        if isinstance(self.first, DecidesWhomItServes):
            known = known | self.first.serves(query)
        return known | self.columns.values.known(query)

    def _user_fields(self, query: Query, bought: Tensor) -> Tensor:
        """Id, items bought (B, D), and columns: (B, Fu, D)."""
        known = self.known_users[query.user]
        if self.training:
            known = known & (torch.rand(len(known), device=known.device) >= self.id_dropout)
        user = self.user(query.user.clamp(max=self.num_users - 1)) * known.unsqueeze(1)
        return torch.stack([user, bought, *self.columns(query)], dim=1)

    def _logits(self, users: Tensor, items: Tensor, first: Tensor, times: Tensor) -> Tensor:
        """Fields of users (B, Fu, D) and of candidates (B, C, Fi, D), numbers (B, C) -> (B, C)."""
        first = first.sign() * torch.log1p(first.abs())
        bought = (times > 0).float()
        by_group = torch.stack([first * (1 - bought), first * bought], dim=2)  # (B, C, 2)
        numbers = torch.cat([by_group, torch.log1p(times).unsqueeze(2)], dim=2)
        wide = users.unsqueeze(1).expand(-1, items.shape[1], -1, -1)
        pairs = numbers.unsqueeze(3) * self.numbers  # (B, C, 3, D)
        logits: Tensor = self.network(torch.cat([wide, items, pairs], dim=2))
        return logits + (self.log_first_weight.exp() * by_group).sum(dim=2)


def first_scores(first: Any, query: Query) -> Tensor:
    """Scores of a first stage, standardised user by user, (B, I); 0 where it scores all alike."""
    return standardised(first.score_all(query))


def _bought(times: Tensor, fields: Tensor) -> Tensor:
    """The mean of the items bought, of which each is the sum of its fields (I, Fi, D): (B, D)."""
    bag = times.clamp(max=1)
    return (bag @ fields.sum(dim=1)) / bag.sum(dim=1, keepdim=True).clamp(min=1)


def _store_items(model: nn.Module, _: object) -> None:
    """Fields of items follow loaded weights."""
    model.train(model.training)
