"""Implicit alternating least squares. Axes: B rows in a block, C candidates, I items, D factors,
R rows of the side that is solved, S rows of the other side, L longest row of a block.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.models.inputs import USER, Query
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import Count, Positive, Width

# Floats of a block: the gathered factors of its rows, their systems and the factors of those. They
# stay in a core's cache from one step to the next.
_BLOCK_FLOATS = 2**20
# Products with XᵀX that turn a random space towards the first singular vectors.
_POWER_ITERATIONS = 3


class IALS(nn.Module):
    """score(u, i) = w_u · h_i, where w and h minimise, over purchases S and all pairs,

        Σ_S (w_u·h_i - 1)² + α₀ Σ_all (w_u·h_i)² + Σ_u λ_u ‖w_u‖² + Σ_i λ_i ‖h_i‖²,

    λ_u = λ (|S_u| + α₀ I)^ν and λ_i = λ (|S_i| + α₀ U)^ν. Every epoch solves all users exactly,
    then all items (Cholesky, in blocks of rows of similar length). It starts from the singular
    vectors of who bought what, from where half the epochs do, or fewer.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008; both scalings of λ: Rendle et al., Revisiting the Performance of iALS on Item
    Recommendation Benchmarks, RecSys 2022. A start from a decomposition: Hidasi and Tikk,
    Initializing Matrix Factorization Methods on Implicit Feedback Databases, JUCS 2013.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D.
        epochs: times that both sides are solved.
        regularization: λ.
        unobserved_weight: α₀.
        frequency_exponent: ν, 1 for a λ in proportion to what a row is fitted to, 0 for the same λ
            everywhere.
        start: "svd" or "random".
        init_std: standard deviation of random initial factors, times √D.
    """

    inputs = (USER,)
    floats_per_pair = 1

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 128,
        epochs: Count = 4,
        regularization: Positive = 0.005,
        unobserved_weight: Positive = 0.3,
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
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=init_std / embedding_dim**0.5)

    def fit(self, interactions: Interactions) -> None:
        """Solves users and items in turn.

        Raises:
            ConfigError: λ is too small for single precision.
        """
        for _ in self.epochs_of(interactions):
            pass

    @torch.no_grad()
    def epochs_of(self, interactions: Interactions) -> Iterator[int]:
        """`fit` that pauses after every epoch and gives its number, from 1."""
        bought = interactions.matrix()
        if self.start == "svd":
            first = torch.from_numpy(_item_vectors(bought, self.item.weight.numpy()))
            self.item.weight[:, : first.shape[1]] = first
        by_item = bought.T.tocsr()
        items_of = interactions.distinct
        users_of = Ragged(
            torch.from_numpy(by_item.indptr).long(), torch.from_numpy(by_item.indices).long()
        )
        for epoch in range(1, self.epochs + 1):
            self._solve(items_of, self.item.weight, self.user.weight)
            self._solve(users_of, self.user.weight, self.item.weight)
            yield epoch

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return dot_products(self.user(query.user), self.item(items))

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return self.user(query.user) @ self.item.weight.T

    def _solve(self, rows: Ragged, fixed: Tensor, solved: Tensor) -> None:
        """Least squares of every row of `solved` (R, D) on the rows of `fixed` (S, D) that stand
        in `rows`.

        Source: Hu et al., section 4: what all pairs add is the same for every row, α₀ fixedᵀ fixed.
        """
        dim = fixed.shape[1]
        everywhere = self.unobserved_weight * (fixed.T @ fixed)  # (D, D)
        lengths = rows.lengths()
        scale = (lengths + self.unobserved_weight * len(fixed)) ** self.frequency_exponent
        penalty = self.regularization * scale  # (R,)
        padded = torch.cat([fixed, fixed.new_zeros(1, dim)])  # what pads a row adds nothing
        for block in _blocks(lengths, dim):
            bought = padded[rows.padded(block, len(fixed))]  # (B, L, D)
            system = everywhere + bought.mT @ bought  # (B, D, D)
            system.diagonal(dim1=1, dim2=2).add_(penalty[block].unsqueeze(1))
            target = bought.sum(dim=1).unsqueeze(2)  # (B, D, 1)
            factor, failed = torch.linalg.cholesky_ex(system)
            if bool(failed.any()):
                raise ConfigError(
                    f"model.regularization={self.regularization} is too small to solve iALS with"
                    f" model.embedding_dim={dim}: raise it, or lower the dimension"
                )
            solved[block] = torch.cholesky_solve(target, factor).squeeze(2)


def _blocks(lengths: Tensor, dim: int) -> Iterator[Tensor]:
    """Row numbers by length, the longest first, in blocks (B,) that fit `_BLOCK_FLOATS`."""
    ordered, row = lengths.sort(descending=True)
    start = 0
    while start < len(row):
        size = max(1, _BLOCK_FLOATS // (dim * (int(ordered[start]) + 2 * dim)))
        yield row[start : start + size]
        start += size


def _item_vectors(bought: csr_array, sketch: np.ndarray) -> np.ndarray:
    """Spans the first right singular vectors of who bought what, each purchase divided by the roots
    of its user's and its item's number; an item's row times the root of its buyers, and the mean
    square length of a row 1. (Which vectors span them, iALS does not see.)

    Source: Halko, Martinsson and Tropp, Finding Structure with Randomness, SIAM Review 2011,
    algorithm 4.4.

    Args:
        bought: (U, I).
        sketch: random, (I, D).

    Returns:
        float32 (I, D or I, whichever is less).
    """
    by_user, by_item = (np.maximum(bought.sum(axis=axis), 1) for axis in (1, 0))
    scaled = (diags_array(by_user**-0.5) @ bought @ diags_array(by_item**-0.5)).tocsr()
    vectors = sketch
    for _ in range(_POWER_ITERATIONS):
        vectors, _ = np.linalg.qr(scaled.T @ (scaled @ vectors))
    vectors = vectors * by_item[:, None] ** 0.5
    return (vectors / np.sqrt(np.square(vectors).sum(axis=1).mean())).astype(np.float32)
