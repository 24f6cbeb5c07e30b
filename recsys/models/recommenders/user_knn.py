"""User k-NN. Axes: B users in a block, C candidates, I items, U users, K neighbours, N pairs of a
user and an item bought.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.errors import ExportError
from recsys.models.inputs import USER, Query
from recsys.models.recommenders.neighbours import cosine_neighbours
from recsys.ranges import Count, NonNegative


class UserKNN(nn.Module):
    """score(u, i) = Σ of the similarities of u to those of the K nearest users who bought i.

    The answer is made of other people's purchases, which the model keeps: it can be judged, not
    exported.

    Source: Herlocker et al., An Algorithmic Framework for Performing Collaborative Filtering, SIGIR
    1999, for purchases: cosine of the sets of items, shrunk, and no division by the sum of
    similarities.

    Args:
        num_users, num_items: size of the vocabularies.
        num_neighbours: K.
        shrinkage: the higher, the less similarities count that rest on few common items.
    """

    neighbours: Tensor
    similarity: Tensor
    pairs: Tensor
    inputs = (USER,)
    floats_per_pair = 6  # of a sparse product: an int64 column and a value, twice

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_neighbours: Count = 100,
        shrinkage: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.shrinkage = shrinkage
        size = (num_users, min(num_neighbours, num_users - 1))
        self.register_buffer("neighbours", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("similarity", torch.zeros(size))
        self.register_buffer("pairs", torch.zeros(2, 0, dtype=torch.int64))  # (2, N)
        self.register_load_state_dict_pre_hook(_make_room)

    def fit(self, interactions: Interactions) -> None:
        """Compares the purchases of every two users who have one in common."""
        bought = interactions.distinct
        nearest = cosine_neighbours(interactions.matrix(), self.neighbours.shape[1], self.shrinkage)
        self.neighbours.copy_(nearest.row)
        self.similarity.copy_(nearest.similarity)
        user = torch.repeat_interleave(torch.arange(self.num_users), bought.lengths())
        self.pairs = torch.stack([user, bought.values]).to(self.pairs.device)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I).

        Raises:
            ExportError: asked for a graph.
        """
        if torch.compiler.is_exporting():
            raise ExportError(
                "it answers from the purchases of all users, and a bundle would pass them on;"
                " export item_knn, ease or ials instead"
            )
        near = self.neighbours[query.user]  # (B, K)
        row = torch.arange(len(near), device=near.device).repeat_interleave(near.shape[1])
        weight = _sparse(
            torch.stack([row, near.flatten()]),
            self.similarity[query.user].flatten(),
            (len(near), self.num_users),
        )
        ones = torch.ones(self.pairs.shape[1], device=near.device)
        bought = _sparse(self.pairs, ones, (self.num_users, self.num_items))
        with warnings.catch_warnings():
            # the product passes through a layout that torch calls a beta
            warnings.filterwarnings("ignore", "Sparse CSR", UserWarning)
            return torch.sparse.mm(weight, bought).to_dense()


def _sparse(index: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
    """A matrix from places (2, N), ascending and each once, and values (N,)."""
    return torch.sparse_coo_tensor(index, value, size, is_coalesced=True, check_invariants=False)


def _make_room(model: UserKNN, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """The number of purchases is the data's, not the constructor's."""
    if (pairs := state.get(f"{prefix}pairs")) is not None:
        model.pairs = model.pairs.new_zeros(pairs.shape)
