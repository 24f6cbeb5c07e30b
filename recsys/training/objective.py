"""Contracts between losses, batches and the training loop; which loss trains which model."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from recsys.data.shards import Shard
from recsys.errors import ConfigError
from recsys.models.forecaster import Forecaster
from recsys.models.recommender import Recommender


class TrainingObjective(Protocol):
    """Data and a loss. Either method may be called without the other."""

    def batches(
        self, device: torch.device, epoch: Callable[[], int], shard: Shard
    ) -> Iterable[Any]:
        """Batches of an epoch, with a length, drawn on the device for the process of `shard`."""
        ...

    def loss(self, model: Any, batch: Any) -> tuple[Tensor, int]:
        """Loss of a batch, a scalar, and the number of samples scored."""
        ...


@runtime_checkable
class Loss(Protocol):
    """Settings of a loss, a frozen dataclass.

    Attributes:
        name: on command lines and in `supported_losses` of models.
        trains: Protocol of the models that it trains, of methods only.
    """

    name: ClassVar[str]
    trains: ClassVar[type]

    def objective(self, model: Any, data: Any, *, seed: int) -> TrainingObjective:
        """The objective of one model on one part of the data.

        Args:
            model: to train.
            data: `Interactions` for recommenders, `FittedPanel` for forecasters.
            seed: with the epoch and the process it decides what is drawn.

        Raises:
            ConfigError: settings that need data or a model of another kind.
        """
        ...


@runtime_checkable
class ChecksModel(Protocol):
    """A loss with settings that do not fit every model that it trains."""

    def require_fits(self, model: type) -> None:
        """Raises ConfigError where a setting does not fit, from the class of the model alone."""
        ...


# Protocol -> what its models are called, one of them, and a loss that trains them
_KINDS: tuple[tuple[type, str, str, str], ...] = (
    (Recommender, "recommenders", "a recommender", "full_softmax"),
    (Forecaster, "forecasters", "a forecaster", "quantile"),
)


def require_trains(loss: type[Loss], model: type, model_name: str | None = None) -> None:
    """Refuses a loss that does not train a model, from their classes alone.

    A model is trained by a loss whose Protocol it implements, and where it has the class attribute
    `supported_losses`, by those only. Models that are fitted in closed form take no loss.

    Args:
        loss: class of the loss.
        model: class of the model.
        model_name: of the model on the command line; None: the name of its class.

    Raises:
        ConfigError: the loss does not train the model.
    """
    named = model.__name__ if model_name is None else f"model={model_name}"
    supported: tuple[str, ...] = getattr(model, "supported_losses", ())
    instead = supported or tuple(each for kind, _, _, each in _KINDS if issubclass(model, kind))
    advice = f"choose loss={' or '.join(instead)}" if instead else "choose another model"
    if issubclass(model, loss.trains):
        if supported and loss.name not in supported:
            raise ConfigError(f"loss={loss.name} does not train {named}; {advice}")
        return
    trained = next((many for kind, many, _, _ in _KINDS if kind is loss.trains), None)
    if trained is None:
        needed = [name for name in vars(loss.trains) if name[0] != "_"]
        missing = [name for name in needed if not hasattr(model, name)]
        raise ConfigError(
            f"loss={loss.name} trains models with {' and '.join(needed)}, and {named} has no"
            f" {' and no '.join(missing)}: {advice}, or another model"
        )
    found = next((one for kind, _, one, _ in _KINDS if issubclass(model, kind)), "neither")
    raise ConfigError(
        f"loss={loss.name} trains {trained}, and {named} is {found}: {advice}, or another model"
    )
