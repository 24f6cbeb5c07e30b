"""Items as vectors of their terms. Axes: I items, F terms, P pairs of an item and a term."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.schema import names_of
from recsys.errors import ConfigError
from recsys.models.inputs import (
    InputVocabulary,
    ModelInput,
    item_ngrams,
    item_references,
    item_terms,
)
from recsys.models.recommenders.neighbours import nearest_rows


def profile_inputs(
    vocabulary: InputVocabulary,
    columns: Sequence[str] | None,
    references: Sequence[str],
    ngrams: Sequence[str] = (),
) -> tuple[ModelInput, ...]:
    """What a model reads of items: `model.columns` of their table and, among them,
    `model.references` and `model.ngrams`.

    Args:
        vocabulary: terms of the items' columns.
        columns: of the items' table; None: all that have terms.
        references: those of them that name other items by their ids.
        ngrams: those of them whose words are read by their characters too.

    Raises:
        ConfigError: the data has no such columns.
    """
    references = names_of(references, "model.references")
    chosen = vocabulary.item_columns()
    if columns is not None:
        chosen = list(names_of(columns, "model.columns"))
    if not chosen:
        raise ConfigError(
            "the model reads attributes of items, and the data has none with categories, lists"
            " or text: set data.items.path to a table of them, or choose another model"
        )
    ngrams = names_of(ngrams, "model.ngrams")
    for setting, names in (("references", references), ("ngrams", ngrams)):
        if unknown := [name for name in names if name not in chosen]:
            raise ConfigError(
                f"model.{setting}={unknown}: it is not among the columns that the model reads,"
                f" which are {', '.join(chosen)}"
            )
    found = (item_references(each) if each in references else item_terms(each) for each in chosen)
    return (*found, *map(item_ngrams, ngrams))


class ItemProfiles(NamedTuple):
    """Terms of items; the vector of an item has length 1, or 0 where it has none.

    Attributes:
        item, term: of every pair, int64 (P,) each; items ascend.
        weight: float32 (P,).
        rarity: what a term weighs before lengths are made 1, float32 (F,).
    """

    item: Tensor
    term: Tensor
    weight: Tensor
    rarity: Tensor

    def matrix(self, num_items: int) -> csr_array:
        """The vectors, float32 (I, F), sparse."""
        pairs = self.item.numpy(), self.term.numpy()
        return csr_array((self.weight.numpy(), pairs), shape=(num_items, len(self.rarity)))

    def nearest(self, is_fitted: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The fitted items that each item is most like, itself left out, and their shares in it by
        the cosine, which add up to 1, or to 0 where it is like none.

        Args:
            is_fitted: bool (I,).
            k: K; fewer where fewer items are fitted.

        Returns:
            int64 and float32, (I, K) each.
        """
        num_items = len(is_fitted)
        vectors = self.matrix(num_items)
        fitted = torch.nonzero(is_fitted).squeeze(1)
        found = nearest_rows(vectors, vectors[fitted.numpy()], min(k + 1, len(fitted)))
        alike = fitted[found.row]  # (I, K + 1)
        similarity = found.similarity.masked_fill(
            alike == torch.arange(num_items).unsqueeze(1), 0.0
        )
        similarity, place = similarity.topk(min(k, found.row.shape[1]), dim=1)
        share = similarity / similarity.sum(dim=1, keepdim=True).clamp(min=1e-9)
        return alike.gather(1, place), share


def item_profiles(
    interactions: Interactions, inputs: Sequence[ModelInput], idf_power: float
) -> ItemProfiles:
    """Weighs the terms of every item by how few of the fitted items have them:
    log(I / items that have it) to the power `idf_power`.

    Terms that no fitted item has do not count, as nobody who is served can have bought them.

    Args:
        interactions: of a phase, with the columns of its items.
        inputs: what is read of items, see `profile_inputs`.
        idf_power: 1: TF-IDF; higher: rare terms count more.
    """
    if interactions.columns is None:
        raise ConfigError("these interactions come without columns: build them with index_phase")
    num_items = interactions.num_items
    fitted = interactions.buyers > 0  # (I,)
    parts, start = [], 0
    for each in inputs:
        terms = interactions.columns.of_items(each.source)
        item = torch.repeat_interleave(torch.arange(num_items), terms.lengths())
        parts.append(torch.unique(torch.stack([item, terms.values + start]), dim=1))  # (2, P)
        start += len(interactions.columns.categories(each.source))
    item, term = torch.cat(parts, dim=1)
    items_with = torch.bincount(term[fitted[item]], minlength=start)
    rarity = torch.log(fitted.sum() / items_with.clamp(min=1)) ** idf_power  # (F,)
    weight = of_length_one(item, rarity[term], num_items)
    order = torch.argsort(item, stable=True)
    return ItemProfiles(item[order], term[order], weight[order], rarity)


def of_length_one(item: Tensor, weight: Tensor, num_items: int) -> Tensor:
    """Weights of pairs (P,), divided by the length of the vector of their item (P,)."""
    squared = torch.zeros(num_items).index_add(0, item, weight**2)
    return weight / squared.sqrt().clamp(min=1e-12)[item]
