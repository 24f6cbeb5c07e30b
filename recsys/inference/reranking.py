"""Chooses lists from pools of the best items, place by place, for many users at once.

A list is greedy: each place gets the item with the highest gain that the limits leave, the earlier
in its pool where two are equal. Only the places are a loop.

Axes: B users, P items of a pool, K places of a list, T terms of the item that has most, G terms, D
numbers of a vector, I items of the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
# of float32, added where a variance or a length might be 0
_EPSILON = float(np.finfo(np.float32).eps)
# share of an item's variance below which the list explains it but for rounding
_SPANNED = np.float32(1e-6)
# of terms; as many are compared faster at once than place by place
_FEW_PAIRS = 2**14
# share of the customer's own mix in the mix of a list, so that no term has none (Steck 2018)
_SMOOTHING = 0.01


def relevance_in_pools(scores: Floats, is_item: NDArray[np.bool_]) -> Floats:
    """Scores of pools (B, P) from 0, the lowest of each, to 1, the highest; 0 where there is no
    item.
    """
    high = np.where(is_item, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    low = np.where(is_item, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    span = np.where(high > low, high - low, 1)
    relevance: Floats = np.where(is_item, (scores - low) / span, 0).astype(np.float32)
    return relevance


class Similarity(Protocol):
    """How alike the items of a pool are."""

    def to(self, chosen: Places) -> Floats:
        """Cosines of all items to one of the pool, whose place is given (B,): (B, P)."""
        ...


class TermSimilarity:
    """Cosine of items as sets of terms: terms in common / √(terms of one x terms of the other).

    Args:
        terms: places of terms, G pads, no term of an item twice (B, P, T).
        size: G.
    """

    def __init__(self, terms: NDArray[np.int32], size: int) -> None:
        self._size, self._row = size, np.arange(len(terms))
        number = (terms < size).sum(axis=2)
        self._weight = (1 / np.sqrt(np.maximum(number, 1))).astype(np.float32)  # (B, P)
        self._pairs: Floats | None = None
        if terms.size * terms.shape[1] * terms.shape[2] <= _FEW_PAIRS:
            same = terms[:, :, None, :, None] == terms[:, None, :, None, :]
            same &= (terms < size)[:, :, None, :, None]
            shared = same.sum(axis=(3, 4), dtype=np.float32)
            self._pairs = shared * self._weight[:, :, None] * self._weight[:, None, :]
            return
        # row by row, one flag for each term and one for padding
        self._flat = self._row[:, None, None] * (size + 1) + terms
        self._is_in = np.zeros(len(terms) * (size + 1), dtype=bool)

    def to(self, chosen: Places) -> Floats:
        """(B,) -> (B, P)."""
        if self._pairs is not None:
            cosines: Floats = self._pairs[self._row, chosen]
            return cosines
        flags = self._flat[self._row, chosen]  # (B, T)
        self._is_in[flags] = True
        self._is_in[self._size :: self._size + 1] = False
        shared = self._is_in[self._flat].sum(axis=2)  # (B, P)
        self._is_in[flags] = False
        weight = self._weight[self._row, chosen][:, None]
        return (shared * self._weight * weight).astype(np.float32)


class VectorSimilarity:
    """Cosine of vectors (B, P, D); of a vector of zeros it is 0."""

    def __init__(self, vectors: Floats) -> None:
        length = np.linalg.norm(vectors, axis=2, keepdims=True)
        self._vectors = vectors / np.maximum(length, _EPSILON)
        self._row = np.arange(len(vectors))

    def to(self, chosen: Places) -> Floats:
        """(B,) -> (B, P)."""
        vector = self._vectors[self._row, chosen]  # (B, D)
        cosines: Floats = (self._vectors @ vector[:, :, None])[:, :, 0]
        return cosines


class Objective(Protocol):
    """What an item would add to a list, as far as the list goes."""

    def gains(self) -> Floats:
        """Of every item of the pools, (B, P)."""
        ...

    def add(self, chosen: Places) -> None:
        """Puts one item on each list (B,)."""
        ...


class Relevance:
    """The relevance alone, (B, P)."""

    def __init__(self, relevance: Floats) -> None:
        self._relevance = relevance

    def gains(self) -> Floats:
        """(B, P)."""
        return self._relevance

    def add(self, chosen: Places) -> None:
        """Changes nothing."""


class Mmr:
    """(1 - diversity) x relevance - diversity x the highest similarity to an item of the list; the
    first item is the most relevant one.

    Source: Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries, SIGIR 1998; cosines below 0 count as 0, as in pyversity.
    """

    def __init__(self, relevance: Floats, similarity: Similarity, diversity: float) -> None:
        self._similarity, self._diversity = similarity, np.float32(diversity)
        self._kept = np.float32(1 - diversity) * relevance
        self._highest = np.zeros_like(relevance)
        self._gains = relevance

    def gains(self) -> Floats:
        """(B, P)."""
        return self._gains

    def add(self, chosen: Places) -> None:
        """(B,)."""
        cosines = np.minimum(self._similarity.to(chosen), np.float32(1))
        np.maximum(self._highest, cosines, out=self._highest)
        self._gains = self._kept - self._diversity * self._highest


class Dpp:
    """The growth of the determinant of the kernel w_i x similarity_ij x w_j over the list, where
    w = exp((1 - diversity) x z), z the relevance as a z-score within the pool.

    Where the determinant cannot grow, the more relevant item comes first.

    Source: Chen, Zhang and Zhou, Fast Greedy MAP Inference for Determinantal Point Process to
    Improve Recommendation Diversity, NeurIPS 2018, algorithm 1; the weights are those of pyversity.

    Args:
        relevance: (B, P).
        similarity: of the items.
        diversity: from 0 to 1.
        places: K.
        is_item: where the pools hold an item, bool (B, P).
    """

    def __init__(
        self,
        relevance: Floats,
        similarity: Similarity,
        diversity: float,
        places: int,
        is_item: NDArray[np.bool_],
    ) -> None:
        self._similarity = similarity
        number = np.maximum(is_item.sum(axis=1, keepdims=True), 1)
        mean = np.where(is_item, relevance, 0).sum(axis=1, keepdims=True) / number
        spread = np.where(is_item, relevance - mean, 0)
        deviation = np.sqrt((spread**2).sum(axis=1, keepdims=True) / number) + _EPSILON
        self._weight = np.exp((1 - diversity) * spread / deviation).astype(np.float32)
        self._variance = self._weight**2 + np.float32(_EPSILON)
        # of less than nothing, in the order of relevance
        self._otherwise = relevance - relevance.max(axis=1, keepdims=True) - 1
        self._parts = np.zeros((places, *relevance.shape), dtype=np.float32)
        self._row, self._done = np.arange(len(relevance)), 0

    def gains(self) -> Floats:
        """(B, P)."""
        return np.where(self._variance > 0, self._variance, self._otherwise)

    def add(self, chosen: Places) -> None:
        """(B,)."""
        row, parts = self._row, self._parts[: self._done]
        covariance = self._weight * self._similarity.to(chosen)
        covariance *= self._weight[row, chosen][:, None]
        explained = np.einsum("kbp,kb->bp", parts, parts[:, row, chosen])
        variance = self._variance[row, chosen]
        root = np.sqrt(variance) + np.float32(_EPSILON)
        # of an item that the list spanned before it was on it, nothing but rounding is left
        part = np.where((variance > 0)[:, None], (covariance - explained) / root[:, None], 0)
        self._parts[self._done] = part
        self._done += 1
        left = self._variance - part.astype(np.float32) ** 2
        self._variance = np.where(left > _SPANNED * self._weight**2, left, np.float32(0))


class Calibrated:
    """(1 - weight) x another objective - weight x KL(p ‖ q), where p is the mix of terms in what
    the customer bought and q that of the list with the item on it, (1 - .01) q + .01 p.

    The mix is not looked at for customers of whom p is all 0.

    Source: Steck, Calibrated Recommendations, RecSys 2018, equations 5, 6 and 7.

    Args:
        objective: the other one.
        mix: p (B, G).
        terms: of the pools' items, G pads (B, P, T); an item with several is a part of each.
        weight: λ, from 0 to 1.
    """

    def __init__(
        self, objective: Objective, mix: Floats, terms: NDArray[np.int32], weight: float
    ) -> None:
        self._objective, self._weight = objective, np.float32(weight)
        size = mix.shape[1]
        self._mix = np.pad(mix, ((0, 0), (0, 1)))  # (B, G + 1)
        self._terms, self._row = terms, np.arange(len(terms))
        given = terms < size
        self._part = given / np.maximum(given.sum(axis=2, keepdims=True), 1)  # (B, P, T)
        self._flat = self._row[:, None, None] * (size + 1) + terms
        self._mix_of_terms = self._mix.ravel()[self._flat]
        self._counts = np.zeros_like(self._mix, dtype=np.float64)
        self._done = 0

    def gains(self) -> Floats:
        """(B, P)."""
        mix, length = self._mix, self._done + 1
        rest = (1 - _SMOOTHING) * self._counts / length + _SMOOTHING * mix  # (B, G + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.where(mix > 0, mix * np.log(mix / rest), 0).sum(axis=1)  # (B,)
            before = rest.ravel()[self._flat]  # (B, P, T)
            after = before + (1 - _SMOOTHING) * self._part / length
            less = np.where(
                self._mix_of_terms > 0, self._mix_of_terms * np.log(after / before), 0
            ).sum(axis=2)
        cost = self._weight * (divergence[:, None] - less)
        gains: Floats = (1 - self._weight) * self._objective.gains() - cost
        return gains.astype(np.float32)

    def add(self, chosen: Places) -> None:
        """(B,)."""
        self._objective.add(chosen)
        terms = self._terms[self._row, chosen]  # (B, T)
        self._counts[self._row[:, None], terms] += self._part[self._row, chosen]
        self._counts[:, -1] = 0
        self._done += 1


class Cap:
    """At most `most` items of a list have the same term.

    Args:
        terms: of the pools' items, G pads (B, P, T).
        size: G.
        most: 1 or more.
    """

    def __init__(self, terms: NDArray[np.int32], size: int, most: int) -> None:
        self._size, self._most = size, most
        self._row = np.arange(len(terms))
        self._single = None
        if terms.shape[2] == 1:
            self._single = terms[:, :, 0]
            # of the term that the item of the pool has; padding is never full
            self._counts = np.where(self._single < size, 0, -(2**30)).astype(np.int32)
            return
        self._flat = self._row[:, None, None] * (size + 1) + terms
        self._counts = np.zeros(len(terms) * (size + 1), dtype=np.int32)

    def add(self, chosen: Places, is_new: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Counts items (B,), those that are new on a list; which items may not come any more
        (B, P).
        """
        if self._single is not None:
            same = self._single == self._single[self._row, chosen][:, None]
            self._counts += same & is_new[:, None]
            return self._counts >= self._most
        self._counts[self._flat[self._row, chosen][is_new]] += 1
        self._counts[self._size :: self._size + 1] = 0
        full: NDArray[np.bool_] = (self._counts[self._flat] >= self._most).any(axis=2)
        return full


class Exposure:
    """How many lists of a call show each item, and how many may.

    Where more lists want an item than may have it, those have it that gain most by it.

    Args:
        num_items: I.
        most: lists that may show an item, 1 or more.
    """

    def __init__(self, num_items: int, most: int) -> None:
        self._most = most
        self._shown = np.zeros(num_items + 1, dtype=np.int64)

    def withdraw(self, items: Places) -> None:
        """Takes items off lists again; I stands for none."""
        self._shown -= np.bincount(items.ravel(), minlength=len(self._shown))

    def choose(self, gains: Floats, items: Places) -> tuple[Places, NDArray[np.bool_]]:
        """The place in its pool that each list gets (B,), and whether it gets one.

        Args:
            gains: -inf where an item may not come (B, P).
            items: of the pools (B, P).
        """
        gains = np.where(self._shown[items] >= self._most, -np.inf, gains)
        chosen = gains.argmax(axis=1)
        row = np.arange(len(gains))
        found = ~np.isneginf(gains[row, chosen])
        waiting = row[found]
        while len(waiting):
            best = gains[waiting].argmax(axis=1)
            value, item = gains[waiting, best], items[waiting, best]
            waiting, best, item = (each[~np.isneginf(value)] for each in (waiting, best, item))
            order = np.lexsort((waiting, -gains[waiting, best], item))
            starts = np.flatnonzero(np.diff(item[order], prepend=-1))
            ranks = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
            served = np.zeros(len(order), dtype=bool)
            served[order] = self._shown[item[order]] + ranks < self._most
            chosen[waiting[served]] = best[served]
            self._shown += np.bincount(item[served], minlength=len(self._shown))
            waiting = waiting[~served]
            full = self._shown[items[waiting]] >= self._most
            gains[waiting] = np.where(full, -np.inf, gains[waiting])
            found[waiting] = ~np.isneginf(gains[waiting]).all(axis=1)
        return chosen, found


@dataclass(frozen=True)
class Limits:
    """What may come on a list.

    Attributes:
        caps: of every list.
        exposure: of all lists together, or None.
        items: of the pools, for the exposure (B, P).
    """

    caps: Sequence[Cap] = ()
    exposure: Exposure | None = None
    items: Places | None = None


def choose_lists(
    objective: Objective, is_item: NDArray[np.bool_], length: int, limits: Limits | None = None
) -> Places:
    """The lists.

    Args:
        objective: what is gained by an item.
        is_item: where the pools hold an item, bool (B, P).
        length: K.
        limits: of the lists.

    Returns:
        Places in the pools, -1 where nothing is left, int64 (B, K).
    """
    limits = limits or Limits()
    left = is_item.copy()
    row = np.arange(len(left))
    lists = np.full((len(left), length), -1, dtype=np.int64)
    if not left.size:
        return lists
    for place in range(min(length, left.shape[1])):
        gains = np.where(left, objective.gains(), -np.inf)
        if limits.exposure is None:
            chosen = gains.argmax(axis=1)
            found = left[row, chosen]
        else:
            assert limits.items is not None
            chosen, found = limits.exposure.choose(gains, limits.items)
        lists[:, place] = np.where(found, chosen, -1)
        if place + 1 == length:
            break
        left[row, chosen] = False  # where nothing was found it is so already
        for cap in limits.caps:
            left &= ~cap.add(chosen, found)
        objective.add(chosen)
    return lists
