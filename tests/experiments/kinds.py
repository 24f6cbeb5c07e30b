"""Which configurations are of recommenders and which of forecasters."""

from functools import cache

import yaml

from recsys.composition import CONF, compose, takes


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


def statistical_methods() -> list[str]:
    return _models("season_length")
