"""Neural matrix factorisation. Axes: B users, C candidates, I items."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recsys.models.inputs import USER, Query
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.mlp import MLP
from recsys.ranges import BelowOne, Positive, Width, Widths


class NeuMF(nn.Module):
    """logit(u, i) = h · [p_u ⊙ q_i ; tower([p'_u; q'_i])] + b, the two halves with embeddings of
    their own.

    The output layer is linear in the concatenation, so it is the sum of a GMF and an MLP, and is
    kept as one.

    Source: He et al., Neural Collaborative Filtering, WWW 2017, sections 3.4 and 3.4.1.

    Args:
        num_users, num_items: size of the vocabularies.
        embedding_dim: of the GMF half.
        hidden_dims: of the MLP half.
        mlp_embedding_dim: of the MLP half; None: as the GMF half.
        dropout: of user factors and of each layer's output, in training.
        init_std: standard deviation of the initial embeddings.
        output_init: where every weight of h on the GMF half starts; None: at random.
    """

    inputs = (USER,)

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: Width = 64,
        hidden_dims: Widths = (8,),
        mlp_embedding_dim: Width | None = 8,
        dropout: BelowOne = 0.4,
        init_std: Positive = 0.1,
        output_init: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.gmf = GMF(num_users, num_items, embedding_dim, dropout, init_std, output_init)
        self.mlp = MLP(
            num_users, num_items, mlp_embedding_dim or embedding_dim, hidden_dims, dropout, init_std
        )
        self.floats_per_pair = self.mlp.floats_per_pair

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> logits (B, C)."""
        return self.gmf(query, items) + self.mlp(query, items)

    def squared_norms(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Of both halves, of users (B,) -> (B,), and of every item (I,)."""
        of_users, of_items = self.gmf.squared_norms(user)
        more_of_users, more_of_items = self.mlp.squared_norms(user)
        return of_users + more_of_users, of_items + more_of_items

    def score_all(self, query: Query) -> Tensor:
        """-> logits (B, I)."""
        return self.gmf.score_all(query) + self.mlp.score_all(query)

    @torch.no_grad()
    def load_pretrained(
        self, gmf: Mapping[str, Tensor], mlp: Mapping[str, Tensor], alpha: float = 0.5
    ) -> None:
        """Starts from a trained GMF and MLP; `alpha` weighs the output of the GMF, 1 - alpha that
        of the MLP.

        Raises:
            RuntimeError: the states are of models of another shape.
        """
        self.gmf.load_state_dict(dict(gmf))
        self.mlp.load_state_dict(dict(mlp))
        for half, weight in ((self.gmf, alpha), (self.mlp, 1 - alpha)):
            half.output.weight.mul_(weight)
            half.output.bias.mul_(weight)
