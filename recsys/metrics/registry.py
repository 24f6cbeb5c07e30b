"""Metrics by name: title, direction and meaning stand beside the function.

A metric is one file of a subpackage here, found by itself. A user's metric is registered when the
user's module is imported, with the same decorator or with `register`.
"""

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, TypeVar

from recsys.errors import ConfigError

Direction = Literal["max", "min"] | None
_Function = TypeVar("_Function", bound=Callable[..., Any])
# what follows the name of a metric in its keys: ndcg@10, coverage_80
_SUFFIXES = {
    "ranking": r"@\d+",
    "catalogue": r"@\d+",
    "lists": r"@\d+",
    "interval": r"_\d+(\.\d+)?",
}


@dataclass(frozen=True)
class Metric:
    """A metric and what reports say of it.

    Attributes:
        name: in keys of metrics.json, without "@10" or "_80".
        family: arguments and result of the function, see `recsys.metrics`.
        function: pure and vectorised.
        title: heading of a column.
        direction: which end is better; None where neither is.
        meaning: one sentence for people.
        order: place among the metrics of its family, ascending.
    """

    name: str
    family: str
    function: Callable[..., Any]
    title: str
    direction: Direction
    meaning: str
    order: int = 1_000


_METRICS: dict[tuple[str, str], Metric] = {}


def register(metric: Metric) -> None:
    """Adds a metric to its family.

    Raises:
        ConfigError: another function has this name.
    """
    known = _METRICS.setdefault((metric.family, metric.name), metric)
    if (known.function.__module__, known.function.__qualname__) != (
        metric.function.__module__,
        metric.function.__qualname__,
    ):
        raise ConfigError(
            f"metric {metric.name!r} of {metric.function.__module__} is already defined in"
            f" {known.function.__module__}; give it another name"
        )


def metric(
    name: str, *, family: str, title: str, direction: Direction, meaning: str, order: int = 1_000
) -> Callable[[_Function], _Function]:
    """Registers the function below it; arguments as of `Metric`."""

    def registered(function: _Function) -> _Function:
        register(Metric(name, family, function, title, direction, meaning, order))
        return function

    return registered


def metrics_of(family: str) -> dict[str, Metric]:
    """Metrics of a family by name, in their order."""
    _import_all()
    found = (metric for metric in _METRICS.values() if metric.family == family)
    return {metric.name: metric for metric in sorted(found, key=lambda each: each.order)}


def find_metric(key: str) -> Metric | None:
    """The metric of a key of metrics.json, "val/new/ndcg@10" or "wape"; None if not registered."""
    _import_all()
    last = key.rpartition("/")[2]
    for metric in _METRICS.values():
        if re.fullmatch(re.escape(metric.name) + _SUFFIXES.get(metric.family, ""), last):
            return metric
    return None


def direction_of(key: str) -> Direction:
    """Which end of a metric is better, by its key in metrics.json; None where neither is.

    Raises:
        ConfigError: no such metric.
    """
    found = find_metric(key)
    if found is None:
        names = ", ".join(sorted({name for _, name in _METRICS}))
        raise ConfigError(f"{key} is no metric; there are {names}")
    return found.direction


def require_direction(setting: str, key: str) -> Literal["max", "min"]:
    """Which end is better of a metric that something is selected by, such as train.monitor.

    Raises:
        ConfigError: no such metric, or neither end is better.
    """
    direction = direction_of(key)
    if direction is None:
        raise ConfigError(
            f"{setting}={key}: neither a higher nor a lower {key.rpartition('/')[2]} is better;"
            " name a metric that has a better end, such as wape or ndcg@10"
        )
    return direction


@cache
def _import_all() -> None:
    package = import_module("recsys.metrics")
    for module in pkgutil.walk_packages(package.__path__, "recsys.metrics."):
        if module.name.count(".") > 2:
            import_module(module.name)
