"""Scales, ticks and text widths: the arithmetic of the charts."""

import math
import unicodedata
from typing import NamedTuple


class Scale(NamedTuple):
    """A straight line from data to picture: `low` lands on `start`, `high` on `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value stands in the picture."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6, smallest_step: float = 0.0) -> list[float]:
    """Round numbers from low to high, at most `most` of them and never none.

    The steps are 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: where to start, finite.
        high: where to end, finite.
        most: of ticks, at least 2.
        smallest_step: 1 keeps the ticks of a count whole.
    """
    if high <= low:
        return [low]
    exponent = math.floor(math.log10((high - low) / most)) - 1
    for power in range(exponent, exponent + 5):
        for factor in (1.0, 2.0, 2.5, 5.0):
            step = factor * 10.0**power
            if step < smallest_step or (smallest_step >= 1 and step != round(step)):
                continue
            first = math.ceil(low / step - 1e-9)
            last = math.floor(high / step + 1e-9)
            if last - first < most:
                return [index * step for index in range(first, last + 1)] or [low]
    return [low, high]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten from low to high, both above 0, at most `most`; 1, 2 and 5 times them where
    the powers are fewer than three.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1)
    inside = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(inside) >= 3:
        return inside[:: math.ceil(len(inside) / most)]
    finer = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    finer = [value for value in finer if low <= value <= high]
    return finer[:: math.ceil(len(finer) / most)] if finer else [low]


def tick_labels(values: list[float]) -> list[str]:
    """The numbers with as many decimals as tell them apart, no more."""
    for places in range(10):
        if all(math.isclose(round(v, places), v, rel_tol=1e-9, abs_tol=1e-12) for v in values):
            return [f"{value:,.{places}f}" for value in values]
    return [f"{value:.3g}" for value in values]


def padded_range(values: list[float]) -> tuple[float, float]:
    """Lowest and highest with a little room; a single value gets room around it."""
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 0.5
    return low - room, high + room


def text_width(text: str, size: float) -> float:
    """Width of a text in a sans-serif font of this size, rather too wide than too narrow."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (1.05 * wide + 0.62 * (len(text) - wide)) * size


def shortened(text: str, width: float, size: float) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"
