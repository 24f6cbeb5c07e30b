"""An autoencoder of purchases. Axes: B users, C candidates, I items, L length of a history, D
factors.
"""

import torch
from torch import Tensor, nn

from recsys.models.inputs import HISTORY, Query
from recsys.models.recommender import Reasons
from recsys.models.recommenders.bag_of_items import bag_of_items, shared
from recsys.models.recommenders.dot_products import dot_products
from recsys.ranges import BelowOne, Positive, Width

# Below it single precision knows the slope of tanh better than the difference.
_SMALL = 1e-3


class Autoencoder(nn.Module):
    """score(u, i) = q_i · v_u + b_i, where v_u = tanh(Σ_j∈history e_j / √|history| + c).

    The user is the bag of what was bought, without order, repeats and time: one whom training never
    saw is served as any other. In training a part of the bag is hidden and all of it is predicted.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, the
    denoising autoencoder of section 2.1 with one hidden layer.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: D.
        dropout: share of each user vector's factors that are zeroed in training.
        history_dropout: share of each user's items that are not read in training.
        init_std: standard deviation of the initial factors.
    """

    inputs = (HISTORY,)
    supported_losses = ("full_softmax",)
    floats_per_pair = 2
    reasons_kind = "gradient"

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 200,
        dropout: BelowOne = 0.0,
        history_dropout: BelowOne = 0.5,
        init_std: Positive = 0.05,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.floats_per_reason = (3 * embedding_dim, embedding_dim + 3)
        self.read = nn.Parameter(torch.empty(num_items, embedding_dim))
        self.read_bias = nn.Parameter(torch.zeros(embedding_dim))
        self.item = nn.Parameter(torch.empty(num_items, embedding_dim))
        self.item_bias = nn.Parameter(torch.zeros(num_items))
        self.dropout = nn.Dropout(dropout)
        self.history_dropout = nn.Dropout(history_dropout)
        for table in (self.read, self.item):
            nn.init.normal_(table, std=init_std)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return dot_products(self._user(query), self.item[items]) + self.item_bias[items]

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        return torch.addmm(self.item_bias, self._user(query), self.item.T)

    def reasons(self, query: Query, items: Tensor) -> Reasons:
        """Integrated gradients as the bag, at its length, grows from nothing: with s the sum that
        tanh is taken of without c,

            j adds e_j / √|history| · q_i ⊙ (tanh(s + c) - tanh(c)) / s,

        in closed form, as all factors grow along one line. They add up to what the history adds;
        the rest is what the model says of an empty one.

        Source: Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
        """
        bag = nn.functional.normalize(bag_of_items(query.history, self.num_items), dim=1)
        total, nothing = bag @ self.read, torch.tanh(self.read_bias)  # (B, D), (D,)
        grown = torch.tanh(total + self.read_bias) - nothing
        small = total.abs() < _SMALL
        slope = torch.where(small, 1 - nothing**2, grown / torch.where(small, 1.0, total))
        known = query.history.clamp(max=self.num_items - 1)
        read = self.read[known] * bag.gather(1, known).unsqueeze(2)  # (B, L, D)
        factors = self.item[items]  # (B, C, D)
        of_item = (factors * slope.unsqueeze(1)) @ read.transpose(1, 2)  # (B, C, L)
        rest = factors @ nothing + self.item_bias[items]
        return Reasons(shared(of_item, query.history, self.num_items), rest)

    def _user(self, query: Query) -> Tensor:
        """The vector of every user, (B, D)."""
        bag = nn.functional.normalize(bag_of_items(query.history, self.num_items), dim=1)
        user = torch.addmm(self.read_bias, self.history_dropout(bag), self.read)
        return self.dropout(torch.tanh(user))
