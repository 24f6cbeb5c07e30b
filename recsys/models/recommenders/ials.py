"""Implicit alternating least squares. Axes: B rows of a block, C candidates, I items, D factors,
P distinct purchases, R rows of the side that is solved, S rows of the other side, U users.
"""

import warnings
from collections.abc import Iterator, Mapping
from statistics import geometric_mean
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.models.inputs import USER, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import repeats
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import Count, Positive, Width

# Rows that are solved together: a few MB of factors, residuals and directions.
_BLOCK_ROWS = 2048
# Steps of conjugate gradients a row and epoch. As they start from the epoch before, more of them
# make an epoch slower and no better.
_STEPS = 2
# Steps of conjugate gradients of a reason, which start from nothing.
_STEPS_OF_REASONS = 10
# Products with XᵀX that turn a random space towards the first singular vectors.
_POWER_ITERATIONS = 3
# What all pairs together weigh beside the purchases, where nothing is said.
UNOBSERVED_RATIO = 6.5
# The values of λ that are tried where none is given, and epochs of each.
_PATH = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
_PATH_EPOCHS = 2
# Values that find hidden purchases so nearly as well as the best one are as good: a draw of them
# tells them apart no better.
_AS_GOOD = 0.97
# To judge a λ, purchases are hidden until they are this share of all, or need so many scores.
_HIDDEN_SHARE, _HIDDEN_SCORES = 0.1, 5e7
# Scores of hidden purchases that are computed together.
_BLOCK_SCORES = 2**22
# Instead of 0 in a denominator, where a row is solved already.
_TINY = 1e-30


class IALS(nn.Module):
    """score(u, i) = w_u · h_i, where w and h minimise, over purchases S and all pairs,

        Σ_S (w_u·h_i - 1)² + α₀ Σ_all (w_u·h_i)² + Σ_u λ_u ‖w_u‖² + Σ_i λ_i ‖h_i‖²,

    λ_u = λ (|S_u| + α₀ I)^ν and λ_i = λ (|S_i| + α₀ U)^ν. Every epoch improves all users, then all
    items, by a few steps of conjugate gradients. It starts from the singular vectors of who bought
    what, from where half the epochs do, or fewer.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008; both scalings of λ: Rendle et al., Revisiting the Performance of iALS on Item
    Recommendation Benchmarks, RecSys 2022. Conjugate gradients: Takács, Pilászy and Tikk,
    Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering,
    RecSys 2011. A start from a decomposition: Hidasi and Tikk, Initializing Matrix Factorization
    Methods on Implicit Feedback Databases, JUCS 2013.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D.
        epochs: times that both sides are solved.
        regularization: λ; None: `fit` chooses it by purchases that it hides from itself.
        unobserved_weight: α₀; None: so that all pairs together weigh 6.5 times the purchases, which
            carries over from one density to another.
        frequency_exponent: ν, 1 for a λ in proportion to what a row is fitted to, 0 for the same λ
            everywhere.
        start: "svd" or "random".
        init_std: standard deviation of random initial factors, times √D.
    """

    penalties: Tensor
    spectrum: Tensor
    vectors: Tensor
    inputs = (USER,)
    floats_per_pair = 1
    reasons_kind = "exact"

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 128,
        epochs: Count = 4,
        regularization: Positive | None = None,
        unobserved_weight: Positive | None = None,
        frequency_exponent: float = 1.0,
        start: Literal["svd", "random"] = "svd",
        init_std: Positive = 0.1,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.start = start
        self.epochs = epochs
        self.regularization = regularization
        self.unobserved_weight = unobserved_weight
        self.frequency_exponent = frequency_exponent
        self._chosen: dict[str, float] = {}
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=init_std / embedding_dim**0.5)
        self.floats_per_reason = (6 * embedding_dim, embedding_dim + 4)
        # λ and α₀ of the users' least squares, which their reasons need
        self.register_buffer("penalties", torch.full((2,), torch.nan))
        self.register_buffer("spectrum", torch.zeros(embedding_dim), persistent=False)
        self.register_buffer("vectors", torch.eye(embedding_dim), persistent=False)
        self.register_load_state_dict_post_hook(_decomposed)

    def fit(self, interactions: Interactions) -> None:
        """Solves users and items in turn."""
        for _ in self.epochs_of(interactions):
            pass

    @torch.no_grad()
    def epochs_of(self, interactions: Interactions) -> Iterator[int]:
        """`fit` that pauses after every epoch and gives its number, from 1."""
        purchases = interactions.distinct
        regularization = self.regularization
        if regularization is None:
            regularization = self.choose_regularization(interactions)
            self._chosen["regularization"] = regularization
        else:
            self._begin(purchases)
        sides = purchases, _transposed(purchases, self.num_items)
        for epoch in range(1, self.epochs + 1):
            self._epoch(sides, regularization)
            yield epoch
        weight = self.unobserved_weight or self._chosen["unobserved_weight"]
        self.penalties.copy_(torch.tensor([regularization, weight]))
        self._decompose()

    def chosen(self) -> Mapping[str, float]:
        """λ and α₀, where they were not given."""
        return self._chosen

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return dot_products(self.user(query.user), self.item(items))

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self.user(query.user) @ self.item.weight.T

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """With W_u = (α₀ HᵀH + Σ_S h hᵀ + λ_u)⁻¹, the user's least squares give w_u = W_u Σ_S h_j,
        so that j adds h_i W_u h_j to the score: the likeness of i and j in the eyes of u. The rest
        is what the last steps of the fit left unsolved.

        It is as the fit took it where the query has the history that was fitted; purchases since
        then change W_u, not w_u.

        Source: Hu, Koren and Volinsky (above), section 5.

        Raises:
            ConfigError: the factors were fitted by a version that did not keep λ and α₀.
        """
        if not torch.compiler.is_exporting() and self.penalties.isnan().any():
            raise ConfigError(
                "these factors of model=ials come from a version that kept no regularization, which"
                " reasons need: train again"
            )
        regularization, unobserved = self.penalties.unbind()
        known = query.history.clamp(max=self.num_items - 1)
        real = query.history < self.num_items
        once = real / repeats(query.history, self.num_items)  # (B, L)
        size = once.sum(dim=1) + unobserved * self.num_items
        penalty = regularization * size**self.frequency_exponent  # (B,)
        # turned so that what all pairs add is a diagonal
        bought = self.item(known) @ self.vectors  # (B, L, D)
        wanted = self.item(items) @ self.vectors  # (B, C, D)
        diagonal = unobserved * self.spectrum + penalty.view(-1, 1, 1)  # (B, 1, D)
        seen = _solved(diagonal, bought * once.sqrt().unsqueeze(2), wanted)  # (B, C, D): W_u h_i
        purchases = (seen @ bought.transpose(1, 2)) * once.unsqueeze(1)  # (B, C, L)
        return Reasons(purchases, self(query, items) - purchases.sum(dim=2))

    def _decompose(self) -> None:
        """HᵀH by its eigenvalues and vectors."""
        gram = (self.item.weight.T @ self.item.weight).detach()
        values, vectors = torch.linalg.eigh(gram.double())
        self.spectrum.copy_(values.clamp(min=0))
        self.vectors.copy_(vectors)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Earlier versions kept no λ and α₀."""
        state_dict.setdefault(f"{prefix}penalties", torch.full((2,), torch.nan))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _begin(self, purchases: Ragged) -> None:
        if self.start == "svd":
            first = _item_vectors(purchases, self.item.weight)
            self.item.weight[:, : first.shape[1]] = first

    @torch.no_grad()
    def choose_regularization(self, interactions: Interactions) -> float:
        """The middle of the λ whose factors find a hidden purchase of every user about as well as
        the best; ends with the factors of the best.

        From weak to strong, each λ goes on from the factors of the one before, until two in a row
        have been worse. (From strong to weak, factors that had vanished would come back late.)
        """
        kept, user, item = _hide_latest(interactions)
        self._begin(kept)
        if len(user) == 0:
            return _PATH[len(_PATH) // 2]
        sides = kept, _transposed(kept, self.num_items)
        best, found, factors = -1.0, list[float](), (self.user.weight, self.item.weight)
        for regularization in _PATH:
            for _ in range(_PATH_EPOCHS):
                self._epoch(sides, regularization)
            quality = _hidden_ndcg(self.user.weight, self.item.weight, kept, user, item)
            found.append(quality)
            if quality > best:
                best, factors = quality, (self.user.weight.clone(), self.item.weight.clone())
            elif max(found[-2:]) < _AS_GOOD * best:
                break
        self.user.weight.copy_(factors[0])
        self.item.weight.copy_(factors[1])
        tried = zip(_PATH, found, strict=False)
        return geometric_mean([each for each, quality in tried if quality >= _AS_GOOD * best])

    def _epoch(self, sides: tuple[Ragged, Ragged], regularization: float) -> None:
        by_user, by_item = sides
        self._solve(by_user, self.item.weight, self.user.weight, regularization)
        self._solve(by_item, self.user.weight, self.item.weight, regularization)

    def _solve(self, rows: Ragged, fixed: Tensor, solved: Tensor, regularization: float) -> None:
        """Steps towards the least squares of every row of `solved` (R, D) on the rows of `fixed`
        (S, D) that stand in `rows`.

        What all pairs add is the same for every row, α₀ fixedᵀ fixed (Hu et al., section 4). Both
        sides are turned, which no score sees, so that it becomes a diagonal: then it costs nothing,
        and it is what the steps are preconditioned by.
        """
        weight = self.unobserved_weight
        if weight is None:
            weight = balanced_weight(len(rows.values), len(solved), len(fixed))
            self._chosen["unobserved_weight"] = weight
        values, vectors = torch.linalg.eigh((fixed.T @ fixed).double())
        turn = vectors.to(fixed.dtype)
        for side in (fixed, solved):
            side.copy_(side @ turn)
        # below a millionth of the largest, single precision knows nothing
        values = values.clamp(min=1e-6 * float(values[-1]))
        everywhere = weight * values.to(fixed.dtype)  # (D,)
        scale = (rows.lengths() + weight * len(fixed)) ** self.frequency_exponent
        penalty = regularization * scale  # (R,)
        for start in range(0, len(solved), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            diagonal = everywhere + penalty[block].unsqueeze(1)  # (B, D)
            _descend(_ones(rows, block, len(fixed)), diagonal, fixed, solved[block])


def _decomposed(model: IALS, _: Any) -> None:
    model._decompose()


def _solved(diagonal: Tensor, rows: Tensor, wanted: Tensor) -> Tensor:
    """(diagonal + Σ h hᵀ)⁻¹ of some vectors, by conjugate gradients.

    Args:
        diagonal: (B, 1, D).
        rows: h, (B, L, D).
        wanted: (B, C, D).
    """
    solved, residual = torch.zeros_like(wanted), wanted
    direction = residual / diagonal
    before = (residual * direction).sum(dim=2, keepdim=True)  # (B, C, 1)
    for _ in range(_STEPS_OF_REASONS):
        image = direction * diagonal + (direction @ rows.transpose(1, 2)) @ rows
        length = before / (direction * image).sum(dim=2, keepdim=True).clamp(min=_TINY)
        solved, residual = solved + length * direction, residual - length * image
        improved = residual / diagonal
        after = (residual * improved).sum(dim=2, keepdim=True)
        direction = improved + after / before.clamp(min=_TINY) * direction
        before = after
    return solved


def balanced_weight(purchases: int, users: int, items: int) -> float:
    """Weight of a pair with which all pairs together weigh 6.5 times the purchases."""
    return UNOBSERVED_RATIO * purchases / (users * items)


def _descend(bought: Tensor, diagonal: Tensor, fixed: Tensor, solved: Tensor) -> None:
    """Conjugate gradients on (diagonal + Σ h hᵀ) w = Σ h for every row, over its purchases.

    Args:
        bought: ones, sparse (B, S).
        diagonal: (B, D).
        fixed: h, (S, D).
        solved: w, (B, D), where they start and end.
    """

    def of_purchases(rows: Tensor, beta: float, alpha: float) -> Tensor:
        # beta + alpha times the dot products of the purchases only
        return torch.sparse.sampled_addmm(bought, rows, fixed.T, beta=beta, alpha=alpha)

    residual = (of_purchases(solved, 1, -1) @ fixed).addcmul_(diagonal, solved, value=-1)
    direction = residual / diagonal
    before = (residual * direction).sum(dim=1, keepdim=True)  # (B, 1)
    for step in range(1, _STEPS + 1):
        image = (of_purchases(direction, 0, 1) @ fixed).addcmul_(diagonal, direction)
        length = before / (direction * image).sum(dim=1, keepdim=True).clamp_(min=_TINY)
        solved.addcmul_(length, direction)
        if step < _STEPS:
            residual.addcmul_(length, image, value=-1)
            improved = residual / diagonal
            after = (residual * improved).sum(dim=1, keepdim=True)
            direction = improved.addcmul_(after / before.clamp_(min=_TINY), direction)
            before = after


def _ones(rows: Ragged, block: slice, width: int) -> Tensor:
    """A block of rows as a sparse matrix, (B, `width`)."""
    indptr = rows.indptr[block.start : block.stop + 1]
    first, last = int(indptr[0]), int(indptr[-1])
    ones = torch.ones(last - first, device=indptr.device)
    size = (len(indptr) - 1, width)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            indptr - first, rows.values[first:last], ones, size, check_invariants=False
        )


def _transposed(rows: Ragged, width: int) -> Ragged:
    """The rows of each value, ascending: `width` rows."""
    ones = np.ones(len(rows.values), dtype=bool)
    shape = (len(rows), width)
    columns = csr_array((ones, rows.values.numpy(), rows.indptr.numpy()), shape=shape).T.tocsr()
    return Ragged(torch.from_numpy(columns.indptr).long(), torch.from_numpy(columns.indices).long())


def _hide_latest(interactions: Interactions) -> tuple[Ragged, Tensor, Tensor]:
    """Takes from random users who bought at least two items the one that they bought for the first
    time last.

    Returns:
        Items of every user that are left; user and item of what was hidden, int64 (N,) each.
    """
    purchases, num_items = interactions.distinct, interactions.num_items
    lengths = purchases.lengths()
    some = torch.nonzero(lengths > 1).squeeze(1)
    most = min(_HIDDEN_SHARE * len(purchases.values), _HIDDEN_SCORES / num_items)
    user = some[torch.randperm(len(some))[: max(1, int(most))]]
    place = interactions.newest[user]
    stays = torch.ones(len(purchases.values), dtype=torch.bool)
    stays[place] = False
    left = lengths.clone()
    left[user] -= 1
    kept = Ragged(functional.pad(left.cumsum(0), (1, 0)), purchases.values[stays])
    return kept, user, purchases.values[place]


def _hidden_ndcg(
    user_factors: Tensor, item_factors: Tensor, kept: Ragged, user: Tensor, item: Tensor
) -> float:
    """NDCG@10 of the hidden `item` of every `user` (N,) among the items that the user has not
    bought.
    """
    total = torch.zeros(())
    rows = max(1, _BLOCK_SCORES // len(item_factors))
    for users, hidden in zip(user.split(rows), item.split(rows), strict=True):
        scores = user_factors[users] @ item_factors.T  # (B, I)
        row, bought = kept.take(users)
        scores[row, bought] = -torch.inf
        above = (scores > scores.gather(1, hidden.unsqueeze(1))).sum(dim=1)
        total += (1 / torch.log2(2.0 + above[above < 10])).sum()
    return float(total) / len(user)


def _item_vectors(purchases: Ragged, sketch: Tensor) -> Tensor:
    """Spans the first right singular vectors of who bought what, each purchase divided by the roots
    of its user's and its item's number; an item's row times the root of its buyers, and the mean
    square length of a row 1. (Which vectors span them, iALS does not see.)

    Source: Halko, Martinsson and Tropp, Finding Structure with Randomness, SIAM Review 2011,
    algorithm 4.4.

    Args:
        purchases: items of every user, U rows.
        sketch: random, (I, D).

    Returns:
        (I, D or I, whichever is less).
    """
    buyers = _transposed(purchases, len(sketch))
    bought = _ones(purchases, slice(0, len(purchases)), len(sketch))  # (U, I)
    bought_by = _ones(buyers, slice(0, len(buyers)), len(purchases))  # (I, U)
    by_user, by_item = (
        rows.lengths().clamp(min=1).unsqueeze(1).float() for rows in (purchases, buyers)
    )
    vectors = sketch
    for _ in range(_POWER_ITERATIONS):
        of_users = bought @ (vectors / by_item.sqrt()) / by_user
        vectors, _ = torch.linalg.qr(bought_by @ of_users / by_item.sqrt())
    vectors = vectors * by_item.sqrt()
    return vectors / vectors.square().sum(dim=1).mean().sqrt()
