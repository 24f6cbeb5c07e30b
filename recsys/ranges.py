"""Ranges of settings, stated in annotations: a constructor says `dropout: BelowOne = 0.0`, and the
configuration is checked against it before anything is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from recsys.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes:
        low, high: bounds; None: unbounded.
        open_low, open_high: whether the bound itself is excluded.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value lies in the range; NaN does not."""
        above = self.low is None or value > self.low or (value == self.low and not self.open_low)
        below = (
            self.high is None or value < self.high or (value == self.high and not self.open_high)
        )
        return value == value and above and below

    def words(self) -> str:
        """How an error names the range: "at least 1", "above 0", "from 0 to below 1"."""
        if self.high is None:
            return f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        if self.low is None:
            return f"below {self.high}" if self.open_high else f"at most {self.high}"
        start = f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        high = self.high if isinstance(self.high, int) else f"{self.high:g}"
        end = f"below {high}" if self.open_high else f"{high}"
        return f"{start} and {end}" if self.open_low and self.open_high else f"{start} to {end}"


@dataclass(frozen=True)
class Filled:
    """A list that holds at least one value."""


# products of two counts are still whole numbers of 64 bits
_MANY = Range(high=2**31 - 1)
Count = Annotated[int, Range(low=1), _MANY]
Whole = Annotated[int, Range(low=0), _MANY]
Positive = Annotated[float, Range(low=0, open_low=True)]
NonNegative = Annotated[float, Range(low=0)]
Share = Annotated[float, Range(low=0, high=1)]
OpenShare = Annotated[float, Range(low=0, high=1, open_low=True, open_high=True)]
Power = Annotated[float, Range(low=0, high=4)]
Counts = Annotated[Sequence[Count], Filled()]
# of layers; more values than this are a slip, which would take the memory of the machine
Width = Annotated[int, Range(low=1), Range(high=65_536)]
Widths = Annotated[Sequence[Width], Filled()]
# from one to another; more than any table has
Steps = Annotated[int, Range(low=1, high=1_000_000)]
# steps of a season; the hours of seven years are fewer than its bound
Season = Annotated[int, Range(low=1, high=65_536)]
Depth = Annotated[int, Range(low=1), Range(high=256)]
Seed = Annotated[int, Range(low=0, high=2**32 - 1)]
BelowOne = Annotated[float, Range(low=0, high=1, open_high=True)]


def require_levels(quantiles: Sequence[float]) -> None:
    """Raises ConfigError where levels of a forecast do not ascend, or lack the median."""
    if list(quantiles) != sorted(set(quantiles)) or 0.5 not in quantiles:
        raise ConfigError(
            f"evaluation.quantiles={list(quantiles)}: they have to ascend, with 0.5 among them, as"
            " in [0.1,0.5,0.9]"
        )


def require_declared(settings: object, section: str) -> None:
    """Raises ConfigError where a field of a dataclass is none of the choices, or outside of the
    range, that its annotation states.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if value is None and NoneType in options:
            continue
        if expected := _expected(value, options[0]):
            raise ConfigError(f"{section}.{name}={value!r}: {expected}")


def _expected(value: Any, hint: Any) -> str | None:
    """What an annotation asks of a value, in words, where the value is not that."""
    if get_origin(hint) is Literal:
        *others, last = get_args(hint)
        return None if value in (*others, last) else f"choose {', '.join(others)} or {last}"
    if get_origin(hint) is Annotated:
        for limits in get_args(hint)[1:]:
            if value is None or not limits.holds(value):
                return f"it has to be {limits.words()}"
    return None
