"""Cells of a column, whatever type stores them: text, ids, numbers, and what is missing.

Axes: N rows, D distinct values.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ConfigError

# cells of text that stand for a missing number or date
BLANKS = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# beyond it single precision, in which models compute, knows no number
_LARGEST = float(np.finfo(np.float32).max)
# words that need no quotes on a command line
_SIGNS = {"comma": ",", "point": ".", "space": " ", "apostrophe": "'"}
_TRUTH = {"true": 1.0, "false": 0.0}


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of a type are text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(test(kind) for test in tests)


def is_numeric(kind: pa.DataType) -> bool:
    """Whether cells of a type are numbers; true and false are not."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def decoded(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, no longer as places in a dictionary."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def without(text: pa.Array, mask: pa.Array) -> pa.Array:
    """Text (N,), null where a mask holds or is null; `if_else` reads slices wrongly in Arrow 18."""
    return pc.replace_with_mask(text, mask, pa.scalar(None, text.type))


@dataclass(frozen=True)
class Distinct:
    """The distinct cells of a column, as text without blanks around it.

    Attributes:
        text: string (D,), null where a cell stands for a missing value.
        counts: how often each occurs, int64 (D,).
        index: of the cell of each row, int32 (N,), D where it is null.
    """

    text: pa.Array
    counts: NDArray[np.int64]
    index: NDArray[np.int32]

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray) -> "Distinct":
        """The cells of a column of any type that is not nested."""
        column = column.cast(pa.string()) if pa.types.is_null(column.type) else column
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        text = pc.utf8_trim_whitespace(encoded.dictionary.cast(pa.string()))
        text = without(text, pc.is_in(pc.utf8_lower(text), pa.array(BLANKS)))
        index = encoded.indices.fill_null(len(text)).to_numpy(zero_copy_only=False)
        counts = np.bincount(index, minlength=len(text) + 1)[: len(text)]
        return cls(text, counts, index.astype(np.int32))

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which are not missing, (D,)."""
        return self.text.is_valid().to_numpy(zero_copy_only=False)

    def spread(self, values: NDArray, missing: object) -> NDArray:
        """Values of the distinct cells (D,) in every row (N,)."""
        return np.append(values, np.array([missing], dtype=values.dtype))[self.index]

    def matching(self, pattern: str) -> NDArray[np.bool_]:
        """Which cells (D,) a regular expression describes as a whole."""
        found = pc.match_substring_regex(self.text, f"^(?:{pattern})$").fill_null(False)
        return found.to_numpy(zero_copy_only=False)


def is_missing(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which cells (N,) are null, NaN, or text that stands for it."""
    if is_text(column.type):
        cells = Distinct.of(column)
        return cells.spread(~cells.filled, True)
    return decoded(column).is_null(nan_is_null=True).to_numpy(zero_copy_only=False)


def id_texts(values: pa.Array) -> pa.Array:
    """Ids as text, null where missing or blank, string (N,): every character of text is kept, and
    whole numbers are their digits in whatever type they are stored.
    """
    text = values.cast(pa.string())
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        # a nullable integer column often arrives as float, and NUMERIC(10, 2) writes the id 7 as
        # 7.00
        whole = pc.equal(pc.floor(values), values)
        digits: pa.DataType = pa.decimal256(76, 0)
        if pa.types.is_floating(values.type):
            text = without(text, pc.is_nan(values))
            whole, digits = pc.and_(whole, pc.less(pc.abs(values), 2.0**63)), pa.int64()
        numbers = pc.if_else(whole, values, None).cast(digits)
        text = pc.coalesce(numbers.cast(pa.string()), text)
    return without(text, pc.equal(pc.utf8_trim_whitespace(text), ""))


@dataclass(frozen=True)
class Numerals:
    """How numbers are written in text.

    Attributes:
        decimal: between whole and part: one sign, or its name: comma, point, space, apostrophe.
        thousands: between groups of three digits; None: nothing.
        section: what stands before the names of these settings in errors.
    """

    decimal: str = "."
    thousands: str | None = None
    section: str = "data."

    def __post_init__(self) -> None:
        for name in ("decimal", "thousands"):
            written = getattr(self, name)
            object.__setattr__(self, name, _SIGNS.get(written, written))
        if len(self.decimal) != 1 or self.decimal.isalnum():
            raise ConfigError(
                f"{self.section}decimal={self.decimal!r}: it has to be comma, point or another sign"
            )
        if self.thousands is None:
            return
        if len(self.thousands) != 1 or self.thousands.isalnum() or self.thousands == self.decimal:
            raise ConfigError(
                f"{self.section}thousands={self.thousands!r}: it has to be one sign, such as point"
                f" or space, and not that of {self.section}decimal ({self.decimal})"
            )

    def require_text(self, kinds: Iterable[pa.DataType | None], where: str) -> None:
        """Raises ConfigError where a sign is set and no column that may hold numbers is text.

        Args:
            kinds: types of these columns, None where only values tell.
            where: what errors call the table.
        """
        given = {"decimal": (self.decimal, "."), "thousands": (self.thousands, None)}
        wrong = next((name for name, (value, usual) in given.items() if value != usual), None)
        if wrong is not None and not any(kind is None or is_text(kind) for kind in kinds):
            raise ConfigError(
                f"{self.section}{wrong}={given[wrong][0]!r} has no effect on {where}, which has no"
                " numbers in text; leave it out"
            )

    @property
    def advice(self) -> str:
        """What to set where text is no number."""
        return (
            f"; set {self.section}decimal=comma or {self.section}thousands if numbers are written"
            " so"
        )

    def plain(self, cells: Distinct) -> pa.Array:
        """Cells (D,) as programs write numbers; null where they write none."""
        pattern, text = rf"{NUMBER}|[+-]?(?i:inf|infinity)", cells.text
        if (self.decimal, self.thousands) != (".", None):
            whole, sign = r"\d+", re.escape(self.decimal)
            if self.thousands is not None:
                group = re.escape(self.thousands)
                whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)"
                text = pc.replace_substring(text, self.thousands, "")
            pattern = rf"[+-]?(?:{whole}(?:{sign}\d*)?|{sign}\d+)(?:[eE][+-]?\d+)?"
            text = pc.replace_substring(text, self.decimal, ".")
        return without(text, pa.array(~cells.matching(pattern)))


POINT = Numerals()


def to_numbers(
    column: pa.Array | pa.ChunkedArray, numerals: Numerals = POINT
) -> NDArray[np.float64]:
    """Numbers of a column (N,), NaN where a cell is empty, not a number, or one that models, which
    compute in single precision, take for infinite; true is 1, false 0.
    """
    if not is_text(column.type):
        values = decoded(column)
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.string())  # which rounds to the nearest float
        elif not is_numeric(values.type):
            return np.full(len(values), np.nan)
        numbers = np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        return _without_infinite(numbers)
    cells = Distinct.of(column)
    numbers = numerals.plain(cells).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return cells.spread(_without_infinite(numbers.copy()), np.nan)


def _without_infinite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers[np.abs(numbers) > _LARGEST] = np.nan
    return numbers


class NumberColumn:
    """Reads a column of numbers chunk by chunk: text that is true or false throughout is 1 or 0,
    which the first chunk that is not empty decides.

    Attributes:
        numerals: how numbers are written in text.
    """

    def __init__(self, numerals: Numerals = POINT) -> None:
        self.numerals = numerals
        self._words: Mapping[str, float] | None = None

    def read(
        self, column: pa.Array | pa.ChunkedArray
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Numbers (N,), NaN where missing, and which cells hold what is no number (N,)."""
        values = to_numbers(column, self.numerals)
        if not is_text(column.type):
            return values, np.isnan(values) & ~is_missing(column)
        cells = Distinct.of(column)
        if self._words is None and cells.filled.any():
            self._words = _TRUTH if np.isnan(values).all() else {}
        if self._words:
            words = pc.utf8_lower(cells.text).to_pylist()
            truth = np.array([self._words.get(each, np.nan) for each in words])
            values = cells.spread(truth, np.nan)
        return values, np.isnan(values) & cells.spread(cells.filled, False)
