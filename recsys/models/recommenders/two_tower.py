"""Two towers, of customers and of items. Axes: B users, C candidates, I items, U users of the
vocabulary, D factors, P pairs of an item and a term, F terms, K categories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.schema import names_of
from recsys.models.buffers import make_room
from recsys.models.inputs import (
    HISTORY,
    USER,
    InputVocabulary,
    ModelInput,
    Query,
)
from recsys.models.item_tower import ItemTower, NewItems
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, repeats
from recsys.models.recommenders.column_fields import QueryValues
from recsys.models.recommenders.content import Content
from recsys.models.recommenders.item_profiles import of_length_one
from recsys.ranges import BelowOne, Count, NonNegative, Positive, Whole, Width

# Weights of content that are tried, and on how many users.
_WEIGHTS, _SAMPLED_USERS = tuple(2.0**power for power in range(9)), 512
_OF_DATA = ("term", "weight", "starts", "alike", "share")
# Where the scale of products of factors starts: of length 1 at most, they are far below 1.
_SCALE = 30.0


class TwoTower(nn.Module):
    """score(u, i) = s v_u · z_i + b_i + γ content(u, i), where

        z_i = d_i + Σ_terms w_t e_t                       the item: id and attributes,
        v_u = mean_j∈history z_j + Σ_columns a_c + d_u    the customer: purchases, attributes and
                                                          context, and id,

    s and γ are learned, and content is the score of `Content`, the cosine of rare terms, of which
    no factors have to be learned. Instead of the id of an unknown item stand those of the
    `num_neighbours` known items that its terms are most like, weighted by the cosine; instead of
    that of an unknown customer nothing. In training, ids are hidden at random, bias included, and a
    purchase is never read to predict itself: so a customer or an item that is new is an ordinary
    case, and all that is known beside counts.

    Numbers are read by which of ten equally frequent ranges they lie in. Missing and unknown values
    add nothing.

    Source: hidden ids: Volkovs, Yu and Poutanen, DropoutNet: Addressing Cold Start in Recommender
    Systems, NeurIPS 2017 (that is `min_items=1 num_neighbours=0 content_weight=0`); neighbours:
    Gantner et al., Learning Attribute-to-Feature Mappings for Cold-Start Recommendations, ICDM
    2010; sums of attributes: Kula, Metadata Embeddings for User and Item Cold-start
    Recommendations, 2015; the purchase that is predicted left out of the history: Kabbur, Ning and
    Karypis, FISM, KDD 2013.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: categories of users' and context columns, terms of items' columns.
        embedding_dim: D.
        columns, references, idf_power, ngrams: of the items, see `Content`; columns=[]: items by
            their ids alone.
        user_columns: categories and numbers of the users' table; None: all of them.
        context_columns: columns beside an event, such as channel, "time.hour" or "time.weekday".
        id_dropout: share of the ids of customers and items that are hidden in training.
        term_dropout: share of the terms of items that are not read in training.
        min_items: a term that fewer items have gets no factors, for it would be an id in disguise;
            None: no term has any.
        num_neighbours: items that stand for one whose id is hidden or unknown.
        content_weight: where γ starts; 0 leaves content out; None: where content alone explains the
            purchases best, as one of powers of two.
        init_std: standard deviation of the initial factors, times √D.

    Raises:
        ConfigError: the data has no such columns.
    """

    supported_losses = ("full_softmax", "warp")
    reasons_kind = "exact"
    starts: Tensor
    term: Tensor
    weight: Tensor
    known_users: Tensor
    known_items: Tensor
    alike: Tensor
    share: Tensor
    vectors: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        embedding_dim: Width = 64,
        columns: Sequence[str] | None = None,
        references: Sequence[str] = (),
        idf_power: NonNegative = 2.0,
        user_columns: Sequence[str] | None = None,
        context_columns: Sequence[str] = (),
        id_dropout: BelowOne = 0.25,
        term_dropout: BelowOne = 0.3,
        min_items: Count | None = None,
        num_neighbours: Whole = 10,
        content_weight: NonNegative | None = None,
        init_std: Positive = 0.1,
        ngrams: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.user_columns = num_categories.user_inputs(
            None if user_columns is None else names_of(user_columns, "model.user_columns")
        )
        context = names_of(context_columns, "model.context_columns")
        self.context_columns = num_categories.context_inputs(context)
        self.content: Content | None = None
        if columns or (columns is None and num_categories.item_columns()):
            self.content = Content(
                num_users, num_items, num_categories, columns, references, idf_power, ngrams
            )
        has_factors = self.content is not None and min_items is not None
        num_terms = self.content.num_terms if self.content and has_factors else 0
        self.num_neighbours = num_neighbours if self.content else 0
        self.id_dropout, self.term_dropout, self.min_items = id_dropout, term_dropout, min_items
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        self.term_factors = nn.Embedding(num_terms, embedding_dim)
        self.bias = nn.Parameter(torch.zeros(num_items))
        self.content_weight, self._chosen = content_weight, dict[str, float]()
        # logarithms: steps of an optimizer multiply them
        self.log_content_weight = nn.Parameter(torch.tensor(content_weight or 1.0).log())
        self.log_scale = nn.Parameter(torch.tensor(_SCALE).log())
        self.values = QueryValues((*self.user_columns, *self.context_columns), num_categories)
        sizes = self.values.sizes
        tables = [nn.Embedding(size + 1, embedding_dim, padding_idx=size) for size in sizes]
        for table in (self.user, self.item, self.term_factors, *tables):
            nn.init.normal_(table.weight, std=init_std / embedding_dim**0.5)
        for table, size in zip(tables, sizes, strict=True):
            nn.init.zeros_(table.weight[size])
        self.columns = nn.ModuleList(tables)
        self.register_buffer("known_users", torch.zeros(num_users + 1, dtype=torch.bool))
        self.register_buffer("known_items", torch.zeros(num_items, dtype=torch.bool))
        for name, kind in (("starts", torch.int64), ("term", torch.int64), ("weight", None)):
            self.register_buffer(name, torch.zeros(0, dtype=kind))
        self.register_buffer("vectors", torch.zeros(num_items, embedding_dim), persistent=False)
        self.register_buffer(
            "alike", torch.zeros(num_items, self.num_neighbours, dtype=torch.int64)
        )
        self.register_buffer("share", torch.zeros(num_items, self.num_neighbours))
        self.register_load_state_dict_post_hook(_store_vectors)

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """Id, history, columns of the users' table and of the request."""
        return (USER, HISTORY, *self.values.inputs)

    @property
    def floats_per_pair(self) -> int:
        """The history as a bag, and what `Content` needs."""
        return 2 + (0 if self.content is None else self.content.floats_per_pair)

    @property
    def floats_per_reason(self) -> tuple[int, int]:
        """Factors of a candidate and of a purchase, and what `Content` needs."""
        own, each = self.content.floats_per_reason if self.content else (0, 0)
        return own + self.item.embedding_dim, each + 2

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """Terms of its columns."""
        return () if self.content is None else self.content.item_inputs()

    def chosen(self) -> Mapping[str, float]:
        """Where γ started, where it was not given."""
        return self._chosen

    def item_towers(self) -> tuple[ItemTower, ...]:
        """New items by their terms and the known items that they are most like; none where it reads
        no attributes of items, or was trained by a version that did not keep how rare terms are.
        """
        if self.content is None or not len(self.content.rarity):
            return ()
        rarity = torch.zeros(self.content.num_terms + 1)
        if self.min_items is not None:
            items_with = self._items_with()
            of_terms = torch.log(self.known_items.sum() / items_with.clamp(min=1))
            rarity[:-1] = torch.where(items_with >= self.min_items, of_terms, 0.0)
        rows = partial(self._new_rows, rarity)
        tower = self.content.tower(rows, self.known_items, self.num_neighbours)
        counts = self._content_weight() is not None
        pads = {"content.terms": self.content.num_terms} if counts else {}
        return (replace(tower, pads=pads),)

    def _new_rows(self, rarity_of_terms: Tensor, new: NewItems) -> dict[str, Tensor]:
        assert self.content is not None
        number, vectors = new.term.shape[0], new.weight.new_zeros(new.term.shape[0], 1)
        if self.num_neighbours:
            vectors = (new.share.unsqueeze(2) * self.item.weight[new.alike]).sum(dim=1)
        if self.min_items is not None:
            rarity = rarity_of_terms[new.term]  # (N, T)
            length = rarity.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
            factors = functional.pad(self.term_factors.weight, (0, 0, 0, 1))[new.term]
            vectors = vectors + ((rarity / length).unsqueeze(2) * factors).sum(dim=1)
        rows = {
            "vectors": vectors.expand(-1, self.item.weight.shape[1]),
            "bias": new.weight.new_zeros(number),
            "known_items": torch.zeros(number, dtype=torch.bool, device=new.weight.device),
        }
        if self._content_weight() is not None:
            of_content = self.content.new_rows(new).items()
            rows |= {f"content.{name}": values for name, values in of_content}
        return rows

    def no_weight_decay(self) -> list[nn.Parameter]:
        """How much the content and the factors count."""
        return [self.log_content_weight, self.log_scale]

    @torch.no_grad()
    def observe(self, interactions: Interactions) -> None:
        """Takes terms of items, ranges of numbers, and who and what is known."""
        self.known_users[:-1] = interactions.distinct.lengths() > 0
        self.known_items = interactions.buyers > 0
        self.values.observe(interactions)
        if self.content is not None:
            self.content.fit(interactions)
            if self.content_weight is None:
                weight = self._best_content_weight(interactions)
                self._chosen["content_weight"] = weight
                self.log_content_weight.fill_(weight).log_()
            if self.min_items is not None:
                self._observe_terms(self.min_items)
            if self.num_neighbours:
                self._observe_neighbours()
        self.train(self.training)

    def _observe_terms(self, min_items: int) -> None:
        """Pairs of an item and a term that has factors: `min_items` or more have it."""
        content = self.content
        assert content is not None
        items_with = self._items_with()
        kept = (items_with >= min_items)[content.term]  # (P,)
        item, self.term = content.item[kept], content.term[kept]
        weight = torch.log(self.known_items.sum() / items_with.clamp(min=1))[self.term]
        self.weight = of_length_one(item, weight, self.num_items)
        self.starts = torch.searchsorted(item, torch.arange(self.num_items))

    def _items_with(self) -> Tensor:
        """Known items that have a term, (F,)."""
        assert self.content is not None
        item, term = self.content.item, self.content.term
        return torch.bincount(term[self.known_items[item]], minlength=self.content.num_terms)

    def _observe_neighbours(self) -> None:
        """The known items that each is most like, itself left out, and their shares."""
        assert self.content is not None
        self.alike, self.share = self.content.profiles().nearest(
            self.known_items, self.num_neighbours
        )

    def train(self, mode: bool = True) -> "TwoTower":
        """As of every module; where training ends the vectors of items stay as they are."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                self.vectors = self._items(self.known_items)
        return self

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        bag = bag_of_items(query.history, self.num_items)
        size = bag.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
        bag = bag / size
        has_id = self.known_items
        if self.training:
            has_id = has_id & (torch.rand_like(self.bias) >= self.id_dropout)
        items = self._items(has_id) if self.training else self.vectors  # (I, D)
        scale, content_weight = self.log_scale.exp(), self._content_weight()
        of_history = (bag @ items) @ items.T * scale
        if self.content is not None and content_weight is not None:
            content = self.content.score_all(query)
            of_history = of_history + content_weight * content
        if self.training:
            own = scale * items.square().sum(dim=1)
            if self.content is not None and content_weight is not None:
                own = own + content_weight * self.content.has_terms()
            # the mean over the other purchases
            of_history = (of_history - bag * own) * (size / (size - 1).clamp(min=1))
        of_user = self._user(query) @ items.T * scale
        return of_history + of_user + self.bias * has_id

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """What each purchase adds to the mean of the history, by factors and by content; the rest
        is of the customer's id, attributes and context, and of the item.
        """
        history = query.history
        known = history.clamp(max=self.num_items - 1)
        once = (history < self.num_items) / repeats(history, self.num_items)  # (B, L)
        size = once.sum(dim=1).round().clamp(min=1).view(-1, 1, 1)
        wanted, scale = self.vectors[items], self.log_scale.exp()  # (B, C, D)
        purchases = wanted @ self.vectors[known].transpose(1, 2) * once.unsqueeze(1) * scale / size
        content_weight = self._content_weight()
        if self.content is not None and content_weight is not None:
            of_content = self.content.reasons(query, items).purchases
            purchases = purchases + content_weight * of_content
        of_user = (wanted @ self._user(query).unsqueeze(2)).squeeze(2) * scale
        return Reasons(purchases, of_user + (self.bias * self.known_items)[items])

    def serves(self, query: Query) -> Tensor:
        """Whether anything of a query is known: the id, a purchase or a column. (B,)."""
        known = self.known_users[query.user] | (query.history < self.num_items).any(dim=1)
        return known | self.values.known(query)

    def _content_weight(self) -> Tensor | None:
        """γ; None where content does not count."""
        if self.content is None or self.content_weight == 0:
            return None
        return self.log_content_weight.exp()

    def _best_content_weight(self, interactions: Interactions) -> float:
        """The power of two with which a softmax of content alone gives the purchases of some users
        the highest likelihood, each predicted from their others.
        """
        assert self.content is not None
        lengths = interactions.distinct.lengths()
        some = torch.nonzero(lengths > 1).squeeze(1)
        some = some[torch.randperm(len(some))[:_SAMPLED_USERS]]
        row, item = interactions.distinct.take(some)
        history = interactions.distinct.padded(some, self.num_items)
        size = lengths[some].unsqueeze(1)
        scores = self.content.score_all(Query(some, history)) * size  # (B, I)
        scores[row, item] -= self.content.has_terms()[item]
        scores = (scores / (size - 1))[:, self.known_items]
        place = (self.known_items.cumsum(0) - 1)[item]
        of_purchases, losses = scores[row, place], []
        for weight in _WEIGHTS:
            normaliser = (weight * scores).logsumexp(dim=1)[row]
            losses.append((normaliser - weight * of_purchases).mean())
        return _WEIGHTS[int(torch.stack(losses).argmin())]

    def _items(self, has_id: Tensor) -> Tensor:
        """Vectors of items, whose ids count where `has_id` (I,). (I, D)."""
        ids = self.item.weight * has_id.unsqueeze(1)
        if self.num_neighbours:
            instead = functional.embedding_bag(
                self.alike, self.item.weight, per_sample_weights=self.share, mode="sum"
            )
            ids = ids + instead * ~has_id.unsqueeze(1)
        if not len(self.term):
            return ids
        weight = self.weight
        if self.training:
            weight = functional.dropout(weight, self.term_dropout)
        return ids + functional.embedding_bag(
            self.term,
            self.term_factors.weight,
            self.starts,
            per_sample_weights=weight,
            mode="sum",
        )

    def _user(self, query: Query) -> Tensor:
        """Vectors of users but for what they bought, (B, D)."""
        known = self.known_users[query.user]
        if self.training:
            known = known & (torch.rand(len(known), device=known.device) >= self.id_dropout)
        user = self.user(query.user.clamp(max=self.num_users - 1)) * known.unsqueeze(1)
        for table, places in zip(self.columns, self.values(query), strict=True):
            user = user + table(places)
        return user

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # what earlier versions called it
        if (edges := state_dict.pop(f"{prefix}edges", None)) is not None:
            state_dict[f"{prefix}values.edges"] = edges
        make_room(self, _OF_DATA, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _store_vectors(model: nn.Module, _: object) -> None:
    """Vectors of items follow loaded weights."""
    model.train(model.training)
