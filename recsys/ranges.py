"""Ranges of settings, stated in annotations: a constructor says `dropout: BelowOne = 0.0`, and the
configuration is checked against it before anything is read.
"""

from dataclasses import dataclass
from typing import Annotated


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
        start = f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        end = f"below {self.high:g}" if self.open_high else f"{self.high:g}"
        return f"{start} and {end}" if self.open_low and self.open_high else f"{start} to {end}"


Count = Annotated[int, Range(low=1)]
Whole = Annotated[int, Range(low=0)]
Positive = Annotated[float, Range(low=0, open_low=True)]
NonNegative = Annotated[float, Range(low=0)]
Share = Annotated[float, Range(low=0, high=1)]
OpenShare = Annotated[float, Range(low=0, high=1, open_low=True, open_high=True)]
BelowOne = Annotated[float, Range(low=0, high=1, open_high=True)]
