"""Objectives over users with all their purchases, scored against the whole catalogue.

Axes: B users of a batch, U users, I items, P purchases of the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.errors import ConfigError
from recsys.models.inputs import query_of, reads_history
from recsys.models.recommender import HasSquaredNorms
from recsys.training.batches.users import UserBatch, UserBatches


class FrequencyPenalty:
    """L2 penalty of user and item factors, each scaled by how much it is fitted to.

    Args:
        interactions: to fit on.
        model: with factors of users and items.
        strength: multiplies the penalty.
        unobserved_weight: of `frequency_scale`.

    Raises:
        ConfigError: the model has no such factors.
    """

    def __init__(
        self,
        interactions: Interactions,
        model: object,
        strength: float,
        unobserved_weight: float,
    ) -> None:
        if not isinstance(model, HasSquaredNorms):
            raise ConfigError(
                f"loss.regularization={strength:g} is for models with factors of users and items,"
                f" and {type(model).__name__} has none of these: set it to 0"
            )
        users, items = interactions.distinct.lengths(), interactions.buyers
        self._strength = strength
        self._user_scale = frequency_scale(users, len(items), unobserved_weight)  # (U,)
        self._item_scale = frequency_scale(items, len(users), unobserved_weight)  # (I,)

    def __call__(self, model: HasSquaredNorms, batch: UserBatch) -> Tensor:
        """Penalty of the batch's users and of their share of the items, per purchase; a scalar."""
        device = batch.user.device
        if self._user_scale.device != device:
            self._user_scale = self._user_scale.to(device)
            self._item_scale = self._item_scale.to(device)
        of_users, of_items = model.squared_norms(batch.user)  # (B,), (I,)
        share = len(batch.user) / len(self._user_scale)
        total = (self._user_scale[batch.user] * of_users).sum()
        total = total + share * (self._item_scale * of_items).sum()
        return self._strength * total / batch.item.numel()


def frequency_scale(count: Tensor, others: int, unobserved_weight: float) -> Tensor:
    """Factor of the L2 penalty of each row of factors, so that it keeps pace with what the row is
    fitted to: its `count` of positives (R,) and all `others` on the other side, each of which
    weighs `unobserved_weight`.

    Source: Rendle et al., Revisiting the Performance of iALS on Item Recommendation Benchmarks,
    RecSys 2022, section 3.2, with the exponent 1.
    """
    return count + unobserved_weight * others


@dataclass(frozen=True)
class UserObjective:
    """Scores the whole catalogue for users with all their purchases.

    Attributes:
        interactions: to fit on.
        score_loss: from scores (B, I), the row and item of each purchase, (P,) each, and their
            weights (P,) or None to a scalar.
        batch_size: users of a batch.
        seed: with the epoch and the process it decides the order.
        weight: of every purchase in `interactions.distinct`; None: all weigh the same.
        penalty: added to the loss; None: no regularization.
        columns: further inputs of the model, see `user_columns`.
    """

    interactions: Interactions
    score_loss: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
    batch_size: int
    seed: int
    weight: Tensor | None = None
    penalty: FrequencyPenalty | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def batches(self, device: torch.device, epoch: Callable[[], int], shard: Shard) -> UserBatches:
        """Every user with a purchase once an epoch."""
        return UserBatches(
            self.interactions,
            batch_size=self.batch_size,
            seed=self.seed,
            device=device,
            epoch=epoch,
            shard=shard,
            weight=self.weight,
            columns=self.columns,
        )

    def loss(self, model: Any, batch: UserBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        history = batch.bags(model.num_items) if reads_history(model) else None
        scores = model.score_all(query_of(model, batch.user, batch.columns, history))
        loss = self.score_loss(scores, batch.row, batch.item, batch.weight)
        if self.penalty is not None:
            loss = loss + self.penalty(model, batch)
        return loss, batch.item.numel()
