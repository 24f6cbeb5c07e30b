"""Item k-NN. Axes: B users, C candidates, I items, L length of a history, K neighbours."""

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.inputs import HISTORY, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, shared
from recsys.models.recommenders.neighbours import cosine_neighbours
from recsys.ranges import Count, NonNegative


class ItemKNN(nn.Module):
    """score(u, i) = Σ of the similarities of i to those of its K nearest items that u bought.

    Source: Sarwar et al., Item-Based Collaborative Filtering Recommendation Algorithms, WWW 2001,
    for purchases: cosine of the sets of buyers, shrunk, and no division by the sum of similarities.

    Args:
        num_users, num_items: size of the vocabularies.
        num_neighbours: K.
        shrinkage: the higher, the less similarities count that rest on few common buyers.
    """

    neighbours: Tensor
    similarity: Tensor
    inputs = (HISTORY,)
    reasons_kind = "exact"

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_neighbours: Count = 100,
        shrinkage: NonNegative = 10.0,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.shrinkage = shrinkage
        size = (num_items, min(num_neighbours, num_items - 1))
        # what a graph materialises; torch gets along without
        self.floats_per_pair = size[1]
        self.floats_per_reason = (3 * size[1], 4)
        self.register_buffer("neighbours", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("similarity", torch.zeros(size))

    def fit(self, interactions: Interactions) -> None:
        """Compares the buyers of every two items that have one in common."""
        bought = interactions.matrix().T.tocsr()
        nearest = cosine_neighbours(bought, self.neighbours.shape[1], self.shrinkage)
        self.neighbours.copy_(nearest.row)
        self.similarity.copy_(nearest.similarity)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        bag = bag_of_items(query.history, self.num_items)
        near = self.neighbours[items]  # (B, C, K)
        bought = bag.gather(1, near.flatten(1)).view(near.shape)
        return (bought * self.similarity[items]).sum(dim=2)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I)."""
        bag = bag_of_items(query.history, self.num_items)
        if torch.compiler.is_exporting():
            # embedding_bag would become a loop over items
            return (bag[:, self.neighbours] * self.similarity).sum(dim=2)
        return nn.functional.embedding_bag(
            self.neighbours, bag.T.contiguous(), per_sample_weights=self.similarity, mode="sum"
        ).T

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """The similarity of each purchase; the score is their sum, and the rest 0."""
        history, length = query.history, query.history.shape[1]
        place = torch.arange(length, device=history.device).expand_as(history)
        nowhere = torch.full((history.shape[0], self.num_items + 1), length, device=history.device)
        # of an item that was bought often any one place, and then always the same
        place_of = nowhere.scatter(1, history, place)  # (B, I + 1)
        near = place_of.gather(1, self.neighbours[items].flatten(1)).view(
            items.shape[0], items.shape[1], self.neighbours.shape[1]
        )  # (B, C, K)
        empty = torch.zeros(items.shape[0], items.shape[1], length + 1, device=history.device)
        found = empty.scatter_add(2, near, self.similarity[items])  # (B, C, L + 1)
        own = place_of.gather(1, history).unsqueeze(1).expand(-1, items.shape[1], -1)
        of_item = found.gather(2, own)  # (B, C, L)
        return Reasons(shared(of_item, history, self.num_items), torch.zeros_like(found[:, :, 0]))
