"""Users with all their purchases, scored against the whole catalogue.

Axes: B users of a batch, L most purchases of one of them, P distinct purchases of all of them, U
users, I items.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import EpochOrder, Shard
from recsys.errors import ConfigError
from recsys.models.inputs import (
    HISTORY_AGE,
    HISTORY_QUANTITY,
    ReadsItems,
    query_of,
    reads_history,
    required,
    user_columns,
)
from recsys.models.recommender import HasSquaredNorms, Recommender
from recsys.models.recommenders.ials import IALS, balanced_weight
from recsys.ranges import Count, NonNegative, Positive
from recsys.training.objectives.weights import purchase_weight

# Of `fitting_strength`, chosen on the validation of seven data sets; and factors of its iALS.
_STRENGTH, _FACTORS = 1.2, 64


class UserBatch(NamedTuple):
    """A user a row with all positives.

    Attributes:
        user: (B,).
        row, item: the positives, flat: row of the batch (P,) and item (P,).
        weight: of each positive, (P,), or None where all weigh the same.
        columns: further inputs of the model by name, (B,) each, at the user's last event.
        of_pairs: days since each positive was last bought and its units, (P,) each, where the model
            reads them.
        fitted: items that somebody bought, ascending, where the model knows others too: these are
            nothing that anybody decided against, and no negatives. None: all.
    """

    user: Tensor
    row: Tensor
    item: Tensor
    weight: Tensor | None
    columns: Mapping[str, Tensor] = {}
    of_pairs: Mapping[str, Tensor] = {}
    fitted: Tensor | None = None

    def place_of(self, item: Tensor) -> Tensor:
        """Places of items among the fitted ones."""
        assert self.fitted is not None
        return torch.searchsorted(self.fitted, item)

    def bags(self, values: Tensor, pad: int) -> Tensor:
        """Values of the positives (P,) as histories (B, L), filled with `pad` on the right."""
        size = torch.bincount(self.row, minlength=len(self.user))
        indptr = functional.pad(size.cumsum(0), (1, 0))
        return Ragged(indptr, values).padded(torch.arange(len(size), device=size.device), pad)


class FrequencyPenalty:
    """L2 penalty of user and item factors, each scaled by how much it is fitted to.

    Args:
        interactions: to fit on.
        strength: multiplies the penalty.
        unobserved_weight: of `frequency_scale`.
    """

    def __init__(
        self, interactions: Interactions, strength: float, unobserved_weight: float
    ) -> None:
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


def fitting_strength(interactions: Interactions, seed: int) -> float:
    """Strength of the penalty that suits the purchases: how much of them is noise shows in the λ
    that `IALS` chooses in seconds, for factors of the same form. The scores of least squares end at
    1; those of a softmax grow with what a row tells. So the strength falls with the purchases of
    users and items, n and m on average, as noise does: it is 1.2 λ (1/√n + 1/√m).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = IALS(interactions.num_users, interactions.num_items, _FACTORS)
        chosen = model.choose_regularization(interactions)
    purchases = len(interactions.distinct.values)
    rows = interactions.num_users, interactions.num_items
    return _STRENGTH * chosen * sum((count / purchases) ** 0.5 for count in rows)


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
        of_pairs: further inputs of the model, see `pair_numbers`.
        found: see `chosen`.
        only_fitted: whether items that nobody bought are no negatives.
    """

    interactions: Interactions
    score_loss: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
    batch_size: int
    seed: int
    weight: Tensor | None = None
    penalty: FrequencyPenalty | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    of_pairs: Mapping[str, Tensor] = field(default_factory=dict)
    found: Mapping[str, float] = field(default_factory=dict)
    only_fitted: bool = False

    def chosen(self) -> Mapping[str, float]:
        """What the loss was not given and takes from the data."""
        return self.found

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> "UserBatches":
        """Every user with a purchase once an epoch."""
        return UserBatches(self, device, epoch, shard)

    def loss(self, model: Any, batch: UserBatch) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and its number of purchases."""
        history = batch.bags(batch.item, model.num_items) if reads_history(model) else None
        numbers = {name: batch.bags(values, 0) for name, values in batch.of_pairs.items()}
        age = numbers.pop(HISTORY_AGE.name, None)
        query = query_of(model, batch.user, {**batch.columns, **numbers}, history, age)
        scores = model.score_all(query)
        item = batch.item
        if batch.fitted is not None:
            scores, item = scores[:, batch.fitted], batch.place_of(item)
        loss = self.score_loss(scores, batch.row, item, batch.weight)
        if self.penalty is not None:
            loss = loss + self.penalty(model, batch)
        return loss, batch.item.numel()


class UserBatches:
    """Every user with a purchase once an epoch, in a new order, with all of them."""

    def __init__(
        self,
        objective: UserObjective,
        device: torch.device,
        epoch: Callable[[], int],
        shard: Shard,
    ) -> None:
        weight, columns = objective.weight, objective.columns
        self._purchases = objective.interactions.distinct.to(device)
        self._weight = None if weight is None else Ragged(self._purchases.indptr, weight.to(device))
        self._columns = {name: values.to(device) for name, values in columns.items()}
        self._of_pairs = {
            name: Ragged(self._purchases.indptr, values.to(device))
            for name, values in objective.of_pairs.items()
        }
        self._users = torch.nonzero(self._purchases.lengths()).squeeze(1)
        self._fitted: Tensor | None = None
        if objective.only_fitted:
            self._fitted = torch.nonzero(objective.interactions.buyers).squeeze(1).to(device)
        self._order = EpochOrder(
            len(self._users), objective.batch_size, objective.seed, device, epoch, shard
        )

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[UserBatch]:
        for rows in self._order:
            user = self._users[rows]
            weight = None if self._weight is None else self._weight.take(user)[1]
            columns = {name: values[user] for name, values in self._columns.items()}
            of_pairs = {name: values.take(user)[1] for name, values in self._of_pairs.items()}
            purchases = self._purchases.take(user)
            yield UserBatch(user, *purchases, weight, columns, of_pairs, self._fitted)


def pair_numbers(model: Recommender, interactions: Interactions) -> dict[str, Tensor]:
    """Days and units that the model reads of every pair in `interactions.distinct`, (P,) each.

    Raises:
        ConfigError: the data have no such values.
    """
    found = {}
    if HISTORY_AGE in model.inputs:
        found[HISTORY_AGE.name] = required(interactions.days_since, "age", "timestamp")
    if HISTORY_QUANTITY in model.inputs:
        found[HISTORY_QUANTITY.name] = required(interactions.units, "quantity", "quantity")
    return found


@dataclass(frozen=True)
class UserLoss:
    """Settings that losses over the whole catalogue share.

    Attributes:
        batch_size: users of a batch, each with all purchases; None: a twentieth of them, between
            64 and 256.
        half_life_days: a purchase weighs half as much for every so many days since it was last
            made; None: all weigh the same.
        quantity_alpha: a purchase weighs 1 + quantity_alpha log(1 + units bought).
        regularization: L2 penalty of factors, see `FrequencyPenalty`; None: `fitting_strength`, or
            0 for a model that has none.
        unobserved_weight: of a pair without a purchase, in that penalty; None: so that all pairs
            together weigh 6.5 times the purchases.
    """

    batch_size: Count | None = None
    half_life_days: Positive | None = None
    quantity_alpha: NonNegative = 0.0
    regularization: NonNegative | None = None
    unobserved_weight: NonNegative | None = None

    trains: ClassVar[type] = Recommender

    def require_fits(self, model: type) -> None:
        """See `recsys.training.objective.ChecksModel`."""
        if self.regularization and not issubclass(model, HasSquaredNorms):
            raise ConfigError(
                f"loss.regularization={self.regularization:g} is for models with factors of users"
                f" and items, and {model.__name__} has none of these: set it to 0"
            )

    def objective(self, model: Recommender, data: Interactions, *, seed: int) -> UserObjective:
        """See `recsys.training.objective.Loss`."""
        self.require_fits(type(model))
        found: dict[str, float] = {}
        strength, unobserved = self.regularization, self.unobserved_weight
        if strength is None and isinstance(model, HasSquaredNorms):
            found["regularization"] = strength = fitting_strength(data, seed)
        if unobserved is None:
            pairs = len(data.distinct.values)
            unobserved = balanced_weight(pairs, data.num_users, data.num_items)
            found["unobserved_weight"] = unobserved
        penalty = FrequencyPenalty(data, strength, unobserved) if strength else None
        weight = purchase_weight(data, self.half_life_days, self.quantity_alpha)
        batch_size = self.batch_size or min(256, max(64, data.num_users // 20))
        return UserObjective(
            data,
            replace(self, unobserved_weight=unobserved).score_loss,
            batch_size,
            seed,
            weight,
            penalty,
            user_columns(model, data.columns),
            pair_numbers(model, data),
            found,
            isinstance(model, ReadsItems) and bool((data.buyers == 0).any()),
        )

    def score_loss(
        self, scores: Tensor, row: Tensor, item: Tensor, weight: Tensor | None
    ) -> Tensor:
        """See `UserObjective`."""
        raise NotImplementedError
