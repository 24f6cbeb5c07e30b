"""What a sweep may choose from: settings, their ranges, and how a choice is written down."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from recsys.errors import ConfigError, closest

_RANGE_KEYS = {"low", "high", "step", "log"}


@dataclass(frozen=True)
class Choice:
    """One of a few values; lists are values too."""

    values: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from; lists, which it cannot store, as JSON."""
        return CategoricalDistribution([_stored(value) for value in self.values])

    def holds(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        return value in self.values

    def grid(self) -> list[Any]:
        """Every value."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; whole ones where both ends are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def holds(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(value, int):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return self.low <= value <= self.high and math.isclose(steps, round(steps), abs_tol=1e-9)

    def grid(self) -> list[Any] | None:
        """Every value; None where there is no step between them."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        step = self.step or (1 if whole else None)
        if step is None or self.log:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        # decimal steps without the dust of binary sums
        values = [round(self.low + index * step, 12) for index in range(count)]
        return [int(value) for value in values] if whole else values


Space = dict[str, Choice | Range]


def read_space(settings: Mapping[str, Any], where: str) -> Space:
    """A search space from plain settings: key to {choose: […]} or {low, high[, step][, log]}.

    Args:
        settings: by dotted key of the configuration.
        where: file, for errors.

    Raises:
        ConfigError: what is written is neither.
    """
    if not isinstance(settings, Mapping) or not settings:
        raise ConfigError(f"{where}: space is empty; name settings and their ranges")
    return {str(key): _dimension(value, f"{where}: space.{key}") for key, value in settings.items()}


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    """Drawn values in the grammar of command lines."""
    return [f"{key}={_written(value)}" for key, value in params.items()]


def current_values(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says where the space chooses, as Optuna stores it.

    Raises:
        ConfigError: a key of the space is not in the configuration.
    """
    return {key: _stored(_look_up(config, key)) for key in space}


def holds(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether stored values could have been drawn."""
    return all(part.holds(loaded(params[key])) for key, part in space.items())


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination, as Optuna stores it.

    Raises:
        ConfigError: a range has no steps.
    """
    axes = {}
    for key, part in space.items():
        values = part.grid()
        if values is None:
            raise ConfigError(
                f"sampler=grid needs values to go through, and {key} is a range without steps:"
                " write {choose: […]} or a step, or take another sampler"
            )
        axes[key] = [_stored(value) for value in values]
    for point in itertools.product(*axes.values()):
        yield dict(zip(axes, point, strict=True))


def loaded(value: Any) -> Any:
    """A value as it was written in the space."""
    return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value) if isinstance(value, float) else str(value)


def _dimension(value: Any, where: str) -> Choice | Range:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}: write {{choose: […]}} or {{low: …, high: …}}")
    if set(value) == {"choose"}:
        if not isinstance(value["choose"], list) or not value["choose"]:
            raise ConfigError(f"{where}.choose is {value['choose']!r}: write a list of values")
        return Choice(tuple(value["choose"]))
    if not {"low", "high"} <= set(value) <= _RANGE_KEYS:
        raise ConfigError(
            f"{where} has {', '.join(map(str, value))}: write {{choose: […]}} or"
            " {low: …, high: …} with step or log"
        )
    numbers = {key: _number(value[key], f"{where}.{key}") for key in value if key != "log"}
    made = Range(**numbers, log=bool(value.get("log", False)))
    if made.low > made.high:
        raise ConfigError(f"{where}: low {made.low:g} is above high {made.high:g}")
    if made.log and (made.low <= 0 or made.step is not None):
        raise ConfigError(f"{where}: a logarithmic range begins above 0 and has no step")
    return made


def _number(value: Any, where: str) -> float:
    try:
        # YAML reads 1e-4, without a point, as text
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigError(f"{where} is {value!r}, which is not a number")
    return number


def _look_up(config: Mapping[str, Any], key: str) -> Any:
    found: Any = config
    for name in key.split("."):
        if not isinstance(found, Mapping) or name not in found:
            known = list(found) if isinstance(found, Mapping) else []
            raise ConfigError(f"space: {key} is not a setting; {closest(name, known)}")
        found = found[name]
    # a group, such as loss: what was chosen
    return config["choices"].get(key) if isinstance(found, Mapping) else found
