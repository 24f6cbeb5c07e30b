"""EASE. Axes: B users, C candidates, I items, L length of a history."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.inputs import HISTORY, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, shared
from recsys.ranges import Positive

# In `fit`: two matrices in double precision at any time, and the weights.
_BYTES_PER_ITEM_PAIR = 2 * 8 + 4
_ITEMS_OF_A_BLOCK = 1024
# Dense multiplications that take as long as a pair of purchases in a sparse product, or less.
_DENSE_FOR_A_PAIR = 500
# λ where none is given over the mean number of buyers of an item; on MovieLens-1M that is the
# published 1,320.
_PER_BUYER = 5.0


class EASE(nn.Module):
    """score(u, i) = Σ_j∈history W_ji, where W predicts every item from all the others.

    W minimises ‖X - XW‖² + λ‖W‖² with a diagonal of zeros, X (U, I) being who bought what. With
    P = (XᵀX + λ)⁻¹, W_ji = -P_ji / P_ii. Fitted in closed form; a matrix of all pairs of items.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.

    Args:
        num_users, num_items: size of the vocabularies.
        regularization: λ, in purchases; None: five times the mean number of buyers of an item,
            which carries over from dense to sparse data.
        memory_gb: what the fit may take, in 10⁹ bytes.

    Raises:
        ConfigError: the catalogue needs more than `memory_gb`.
    """

    weight: Tensor
    inputs = (HISTORY,)
    floats_per_pair = 2
    reasons_kind = "exact"
    floats_per_reason = (1, 4)

    def __init__(
        self,
        num_users: int,
        num_items: int,
        regularization: Positive | None = None,
        memory_gb: Positive = 8.0,
    ) -> None:
        super().__init__()
        needed_gb = _BYTES_PER_ITEM_PAIR * num_items**2 / 1e9
        if needed_gb > memory_gb:
            raise ConfigError(
                f"EASE over {num_items:,} items needs {needed_gb:,.1f} GB and"
                f" model.memory_gb={memory_gb:g}: leave out rarely bought items (a higher"
                " evaluation.min_buyers), choose model=item_knn or model=ials, which stay small,"
                " or raise model.memory_gb if the machine has more"
            )
        self.num_users, self.num_items = num_users, num_items
        self.regularization = regularization
        self._chosen: dict[str, float] = {}
        self.register_buffer("weight", torch.zeros(num_items, num_items))

    def fit(self, interactions: Interactions) -> None:
        """Inverts the counts of common buyers, or of common purchases where users are few."""
        bought = interactions.matrix()
        # operations: items³, or 2 users · items² and less
        few_users = 2 * bought.shape[0] < bought.shape[1]
        regularization = self.regularization
        if regularization is None:
            regularization = _PER_BUYER * bought.nnz / self.num_items
            self._chosen["regularization"] = regularization
        inverse = (_inverse_by_users if few_users else _inverse_by_items)(bought, regularization)
        inverse /= -inverse.diagonal()  # each column by its own
        self.weight.copy_(inverse.fill_diagonal_(0))

    def chosen(self) -> Mapping[str, float]:
        """λ, where it was not given."""
        return self._chosen

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        return bag_of_items(query.history, self.num_items) @ self.weight

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """The weight of each purchase; the score is their sum, and the rest 0."""
        known = query.history.clamp(max=self.num_items - 1)
        place = known.unsqueeze(1) * self.num_items + items.unsqueeze(2)  # (B, C, L)
        of_item = self.weight.view(-1)[place]
        purchases = shared(of_item, query.history, self.num_items)
        return Reasons(purchases, torch.zeros_like(items, dtype=purchases.dtype))


# in double precision: a λ that is small beside the counts leaves them nearly singular


def _inverse_by_items(bought: csr_array, regularization: float) -> Tensor:
    """X (U, I) -> (XᵀX + λ)⁻¹, (I, I)."""
    common = _common_buyers(bought).double()
    common.diagonal().add_(regularization)
    factor = torch.linalg.cholesky(common)
    del common
    return torch.cholesky_inverse(factor)


def _inverse_by_users(bought: csr_array, regularization: float) -> Tensor:
    """X (U, I) -> λ(XᵀX + λ)⁻¹ = 1 - Xᵀ(XXᵀ + λ)⁻¹X, (I, I).

    Source: Woodbury's identity.
    """
    common = torch.from_numpy((bought @ bought.T).toarray()).double()  # (U, U)
    common.diagonal().add_(regularization)
    factor = torch.linalg.cholesky(common)
    whitened = torch.from_numpy(bought.toarray()).double()
    whitened = torch.linalg.solve_triangular(factor, whitened, upper=False)  # (U, I)
    inverse = _gram(whitened)
    inverse.neg_().diagonal().add_(1)
    return inverse


def _common_buyers(bought: csr_array) -> Tensor:
    """X (U, I) of ones -> XᵀX, float32 (I, I); exact below 2²⁴ users."""
    users, items = bought.shape
    pairs = np.square(np.diff(bought.indptr), dtype=np.float64).sum()
    # X and the product stay within what the fit may take
    if users <= 3 * items and users * items**2 < _DENSE_FOR_A_PAIR * pairs:
        return _gram(torch.from_numpy(bought.toarray()))
    return torch.from_numpy((bought.T @ bought).toarray())


def _gram(matrix: Tensor) -> Tensor:
    """X (U, I) -> XᵀX, (I, I); of what is symmetric only one half is computed."""
    num_items = matrix.shape[1]
    product = matrix.new_empty(num_items, num_items)
    for start in range(0, num_items, _ITEMS_OF_A_BLOCK):
        block, until = slice(start, start + _ITEMS_OF_A_BLOCK), slice(0, start + _ITEMS_OF_A_BLOCK)
        torch.mm(matrix[:, block].T, matrix[:, until], out=product[block, until])
        product[:start, block] = product[block, :start].T
    return product
