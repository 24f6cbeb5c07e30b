"""Which loss trains which model."""

from typing import TYPE_CHECKING, Any

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.training.losses import PAIR_LOSSES, USER_LOSSES
from recsys.training.next_item import NextItem, NextItemProblem
from recsys.training.next_purchases import NextPurchases, NextPurchasesProblem
from recsys.training.ranking_problem import Objective, RankingProblem

if TYPE_CHECKING:
    # Lightning, which only a training waits for
    from recsys.training.training_module import Problem

AnyObjective = Objective | NextPurchases | NextItem
# losses with batches of their own; what has no entry is judged on pairs or users
_OWN: dict[str, type[Any]] = {"next_purchases": NextPurchases, "next_item": NextItem}


def objective_of(loss: dict[str, Any]) -> AnyObjective:
    """The objective of a configured loss, by its name."""
    return _OWN.get(loss["name"], Objective)(**loss)


def problem_of(
    model: Any, interactions: Interactions, objective: AnyObjective, seed: int
) -> "Problem":
    """What the model learns from.

    Raises:
        ConfigError: the loss does not train this model, or not as it is set.
    """
    suited = getattr(model, "supported_losses", (*PAIR_LOSSES, *USER_LOSSES))
    if objective.name not in suited:
        raise ConfigError(
            f"loss={objective.name} does not train {type(model).__name__}; choose"
            f" loss={' or '.join(suited)}, or another model"
        )
    if isinstance(objective, NextPurchases):
        return NextPurchasesProblem(interactions, objective, seed)
    if isinstance(objective, NextItem):
        return NextItemProblem(interactions, objective, model.max_length, seed)
    if objective.regularization and not hasattr(model, "squared_norms"):
        raise ConfigError(
            f"loss.regularization={objective.regularization:g} is for models with factors of users"
            f" and items, and {type(model).__name__} has none of these: set it to 0"
        )
    return RankingProblem(interactions, objective, seed)
