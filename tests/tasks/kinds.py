"""Which configurations are of recommenders and which of forecasters."""

from functools import cache
from importlib import import_module

import yaml

from recsys.config.composition import CONF, compose, takes


@cache
def _experiments() -> dict[str, bool]:
    """Name to whether it forecasts."""
    names = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
    return {name: "quantiles" in compose([f"experiment={name}"])["evaluation"] for name in names}


def recommender_experiments() -> list[str]:
    return [name for name, forecasts in _experiments().items() if not forecasts]


def forecaster_experiments() -> list[str]:
    return [name for name, forecasts in _experiments().items() if forecasts]


def _models(argument: str) -> list[str]:
    files = sorted((CONF / "model").glob("*.yaml"))
    return [f.stem for f in files if takes(yaml.safe_load(f.read_text()), argument)]


def recommenders() -> list[str]:
    return _models("num_users")


def loss_of(model: str) -> list[str]:
    """What to compose beside a model that does not learn with the loss of all others."""
    target = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text())["_target_"]
    module, _, name = target.rpartition(".")
    own = getattr(getattr(import_module(module), name), "supported_losses", ())
    return [f"loss={own[0]}"] if own else []


def statistical_methods() -> list[str]:
    return _models("season_length")
