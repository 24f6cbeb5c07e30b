"""What a recommender learns from, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.shards import Shard
from recsys.errors import ConfigError
from recsys.models.recommender import Query
from recsys.training.batches.pairs import PairBatch, PairBatches
from recsys.training.batches.users import UserBatch, UserBatches
from recsys.training.losses import (
    PAIR_LOSSES,
    USER_LOSSES,
    frequency_scale,
    log_q_correction,
    quantity_weight,
    recency_weight,
    tempered,
)
from recsys.training.optimization import require_numbers


@dataclass(frozen=True)
class Objective:
    """What a batch holds and how it is judged.

    Attributes:
        name: a loss of `recsys.training.losses`.
        batch_size: rows of a batch: positives, or users where the loss reads all they bought.
        num_negatives: drawn for each positive; none where the loss reads the whole catalogue.
        half_life_days: a positive weighs half as much for every so many days since its last
            purchase; None: all weigh the same.
        quantity_alpha: a positive weighs 1 + quantity_alpha log(1 + units bought); 0: all weigh the
            same.
        popularity_power: negatives are drawn in proportion to the buyers of an item to this power;
            0: uniformly.
        temperature: scores are divided by it, in a softmax.
        log_q: negatives of a sampled softmax are corrected for how likely they were drawn.
        regularization: L2 penalty of factors, for each by how much it is fitted to (see
            `frequency_scale`), where the loss is one of users.
        unobserved_weight: of a pair without a purchase, in that and in `weighted_squares`.
    """

    name: str
    batch_size: int
    num_negatives: int = 0
    half_life_days: float | None = None
    quantity_alpha: float = 0.0
    popularity_power: float = 0.0
    temperature: float = 1.0
    log_q: bool = False
    regularization: float = 0.0
    unobserved_weight: float = 0.3

    def __post_init__(self) -> None:
        require_numbers(
            "loss",
            batch_size=self.batch_size,
            num_negatives=self.num_negatives,
            quantity_alpha=self.quantity_alpha,
            popularity_power=self.popularity_power,
            temperature=self.temperature,
            regularization=self.regularization,
            unobserved_weight=self.unobserved_weight,
        )
        if self.half_life_days is not None:
            require_numbers("loss", half_life_days=self.half_life_days)
        if self.name not in PAIR_LOSSES | USER_LOSSES:
            raise ConfigError(
                f"loss.name={self.name!r} is unknown; choose from"
                f" {', '.join(PAIR_LOSSES | USER_LOSSES)}"
            )
        if self.name in PAIR_LOSSES and self.num_negatives < 1:
            raise ConfigError(
                f"loss.num_negatives={self.num_negatives}: {self.name} needs at least 1"
            )
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise ConfigError(
                f"loss.half_life_days={self.half_life_days}: it has to be above 0, or null"
            )
        if self.batch_size < 1:
            raise ConfigError(f"loss.batch_size={self.batch_size}: it has to be at least 1")
        for key in ("quantity_alpha", "popularity_power", "regularization", "unobserved_weight"):
            if not getattr(self, key) >= 0:
                raise ConfigError(f"loss.{key}={getattr(self, key)}: it has to be 0 or more")
        if not self.temperature > 0:
            raise ConfigError(f"loss.temperature={self.temperature}: it has to be above 0")
        if not isinstance(self.log_q, bool):
            raise ConfigError(f"loss.log_q={self.log_q!r}: choose true or false")
        self._refuse_what_has_no_effect()

    def _refuse_what_has_no_effect(self) -> None:
        softmax = ("sampled_softmax", "full_softmax")
        if self.temperature != 1 and self.name not in softmax:
            raise ConfigError(
                f"loss.temperature={self.temperature:g} is for {' and '.join(softmax)}, and"
                f" loss.name is {self.name}: set it to 1"
            )
        if self.log_q and self.name != "sampled_softmax":
            raise ConfigError(
                f"loss.log_q=true is for sampled_softmax, and loss.name is {self.name}: set it to"
                " false"
            )
        if self.regularization and self.name not in USER_LOSSES:
            raise ConfigError(
                f"loss.regularization={self.regularization:g} is for {', '.join(USER_LOSSES)}, and"
                f" loss.name is {self.name}: set it to 0 and use train.weight_decay"
            )
        if self.name in USER_LOSSES:
            for key in ("num_negatives", "popularity_power"):
                if getattr(self, key):
                    raise ConfigError(
                        f"loss.{key}={getattr(self, key)}: {self.name} draws no negatives, it reads"
                        " the whole catalogue: set it to 0"
                    )


class RankingProblem:
    """Purchases to learn from; everything a batch needs lies on the device.

    Args:
        interactions: what to fit on.
        objective: see there.
        seed: with the epoch and the process it decides order and negatives.
    """

    def __init__(self, interactions: Interactions, objective: Objective, seed: int) -> None:
        self._interactions, self._objective, self._seed = interactions, objective, seed

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> PairBatches | UserBatches:
        """Batches of pairs, or of users where the loss is one of users."""
        options: dict[str, Any] = {
            "batch_size": self._objective.batch_size,
            "seed": self._seed,
            "device": device,
            "epoch": epoch,
            "shard": shard,
            "weight": self._weight(),
        }
        if self._objective.regularization:
            self._measure_rows(device)
        if self._objective.name in USER_LOSSES:
            return UserBatches(self._interactions, **options)
        return PairBatches(
            self._interactions,
            num_negatives=self._objective.num_negatives,
            popularity_power=self._objective.popularity_power,
            log_q=self._objective.log_q,
            **options,
        )

    def loss(self, model: Any, batch: PairBatch | UserBatch) -> tuple[Tensor, int]:
        """The loss of a batch, a scalar, and its scored pairs (purchases, with a full softmax)."""
        query = Query(batch.user, batch.user.new_zeros(len(batch.user), 0))
        if isinstance(batch, UserBatch):
            if model.reads_history:
                query = Query(batch.user, batch.bags(model.num_items))
            of_users = USER_LOSSES[self._objective.name]
            scores = self._tempered(model.score_all(query))
            own = {}
            if self._objective.name == "weighted_squares":
                own = {"unobserved_weight": self._objective.unobserved_weight}
            loss = of_users(scores, batch.row, batch.item, batch.weight, **own)
            if self._objective.regularization:
                loss = loss + self._penalty(model, batch)
            return loss, batch.item.numel()
        of_pairs = PAIR_LOSSES[self._objective.name]
        scores = self._tempered(model(query, batch.items))
        if batch.log_q is not None:
            scores = log_q_correction(scores, batch.log_q)
        return of_pairs(scores, batch.weight), batch.items.numel()

    def _measure_rows(self, device: torch.device) -> None:
        """How much every user (U,) and item (I,) is fitted to."""
        users, items = self._interactions.distinct.lengths(), self._interactions.buyers
        weight = self._objective.unobserved_weight
        self._user_scale = frequency_scale(users, len(items), weight).to(device)
        self._item_scale = frequency_scale(items, len(users), weight).to(device)

    def _penalty(self, model: Any, batch: UserBatch) -> Tensor:
        """Of the batch's users and its share of the items, a purchase of the batch; a scalar."""
        of_users, of_items = model.squared_norms(batch.user)  # (B,), (I,)
        share = len(batch.user) / len(self._user_scale)
        total = (self._user_scale[batch.user] * of_users).sum()
        total = total + share * (self._item_scale * of_items).sum()
        return self._objective.regularization * total / batch.item.numel()

    def _tempered(self, scores: Tensor) -> Tensor:
        temperature = self._objective.temperature
        return scores if temperature == 1 else tempered(scores, temperature)

    def _weight(self) -> Tensor | None:
        """Of every positive, recency times quantity where both are asked for."""
        objective, weights = self._objective, []
        if objective.half_life_days is not None:
            days = self._interactions.days_since
            if days is None:
                raise ConfigError(
                    f"loss.half_life_days={objective.half_life_days:g} needs timestamps, which the"
                    " data does not have; set it to null"
                )
            weights.append(recency_weight(days, objective.half_life_days))
        if objective.quantity_alpha:
            quantity = self._interactions.units
            if quantity is None:
                raise ConfigError(
                    f"loss.quantity_alpha={objective.quantity_alpha:g} needs quantities, which the"
                    " data does not have; set data.columns.quantity, or loss.quantity_alpha=0"
                )
            weights.append(quantity_weight(quantity, objective.quantity_alpha))
        return torch.stack(weights).prod(dim=0) if weights else None
