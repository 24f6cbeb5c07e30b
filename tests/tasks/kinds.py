"""Which configurations are of recommenders and which of forecasters."""

from functools import cache

from recsys.config.composition import CONF, compose, model_targets


@cache
def _experiments() -> dict[str, bool]:
    """Name to whether it forecasts."""
    names = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
    return {
        name: "quantiles" in compose([f"experiment={name}"]).evaluation.arguments for name in names
    }


def recommender_experiments() -> list[str]:
    return [name for name, forecasts in _experiments().items() if not forecasts]


def forecaster_experiments() -> list[str]:
    return [name for name, forecasts in _experiments().items() if forecasts]


def _models(argument: str) -> list[str]:
    return [name for name, target in model_targets().items() if target.takes(argument)]


def recommenders() -> list[str]:
    return _models("num_users")


def loss_of(model: str) -> list[str]:
    """What to compose beside a model that is not trained by the default loss."""
    targets = model_targets()  # without those that are made of others, whose loss is their file's
    own = getattr(targets[model].resolve(), "supported_losses", ()) if model in targets else ()
    return [f"loss={own[0]}"] if own else []


def statistical_methods() -> list[str]:
    return _models("max_history")
