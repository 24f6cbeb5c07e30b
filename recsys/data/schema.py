"""Names, roles and kinds of the columns of a dataset, and their values, read when first asked for.

Axes: N rows, K categories.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.ids import encode_ids
from recsys.data.timestamps import parse_timestamps
from recsys.errors import ConfigError, DataError
from recsys.tables.cells import BLANKS, POINT, Numerals, is_missing, to_numbers

Kind = Literal["id", "category", "number", "text", "date", "list"]
KINDS: tuple[str, ...] = get_args(Kind)
# more distinct values than this are categories only where each occurs twice on average
FEW_VALUES = 20
NO_DATE = int(np.iinfo(np.int64).min)
UNDECIDED = "text (undecided)"


def names_of(columns: Sequence[str], setting: str) -> tuple[str, ...]:
    """Names of columns as they were given.

    Raises:
        ConfigError: text, which would be read letter by letter.
    """
    if isinstance(columns, str):
        raise ConfigError(f"{setting}={columns!r}: it has to be a list: [{columns!r}]")
    return tuple(columns)


@dataclass(frozen=True)
class Column:
    """One column of a table, row by row.

    Attributes:
        name: canonical name where the column has a role, else the name in the source.
        kind: what its values are.
        values: of an id or a category, int32 codes (N,) into `categories`, -1 where missing; of a
            number, float32 or float64 (N,), NaN where missing; of a date, int64 (N,) seconds since
            1970 UTC, `NO_DATE` where missing; of text and lists, objects (N,), None where missing.
        categories: object of str (K,) in natural order; None where the kind has none.
        role: what the framework uses the column as, or None.
    """

    name: str
    kind: Kind
    values: np.ndarray
    categories: np.ndarray | None = None
    role: str | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Field:
    """What is known of a column without reading it.

    Attributes:
        name, role: as in `Column`.
        kind: None where only its values tell.
        source: the column's name in its table.
    """

    name: str
    kind: Kind | None
    role: str | None = None
    source: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Plain values, for data_report.json."""
        return {"role": self.role, "kind": self.kind or UNDECIDED, "column": self.source}


def _no_column(known: "Field") -> pa.Array:
    raise KeyError(known.name)


@dataclass(frozen=True, eq=False)
class Columns(Mapping[str, Column]):
    """Columns of one table by name; a column is read when it is first asked for, and then kept.

    Attributes:
        known: every column.
        load: reads one column by its field: all rows of the table.
        where: what to call the table in errors.
        rows: which rows of the table these columns show: a mask over its rows, or row numbers
            (N,), -1 for a row of missing values; None: all.
        typed: the table states the types of its columns; False: all are text.
        numerals: how numbers are written in text.
    """

    known: Mapping[str, Field] = field(default_factory=dict)
    load: Callable[[Field], pa.ChunkedArray | pa.Array] = _no_column
    where: str = "the table"
    rows: np.ndarray | None = None
    typed: bool = True
    numerals: Numerals = POINT
    _read: dict[str, Column] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Column:
        if name not in self._read:
            known = self.known[name]
            self._read[name] = read_column(
                known, self.load(known), self.where, self.rows, self.typed, self.numerals
            )
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def __contains__(self, name: object) -> bool:
        return name in self.known

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is known of every column so far."""
        read = self._read
        return tuple(
            replace(each, kind=read[name].kind) if name in read else each
            for name, each in self.known.items()
        )

    def with_role(self, role: str) -> str | None:
        """Name of the column of a role, or None."""
        return next((each.name for each in self.fields if each.role == role), None)

    def raw(self, name: str) -> pa.Array:
        """Values as the source has them, in these rows, null where there is no row."""
        values = self.load(self.known[name])
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if self.rows is None:
            return values
        if self.rows.dtype == bool:
            return values.filter(pa.array(self.rows))
        return values.take(pa.array(self.rows, mask=self.rows < 0))

    def with_column(self, column: Column) -> "Columns":
        """The columns and one more, whose values are aligned with these rows already."""
        added = Field(column.name, column.kind, column.role, column.name)
        known, read = {**self.known, column.name: added}, {**self._read, column.name: column}
        return replace(self, known=known, _read=read)

    def take(self, rows: np.ndarray) -> "Columns":
        """The columns in some rows: a mask (N,) or row numbers, -1 for missing values."""
        if rows.dtype == bool and rows.all():
            return self
        if self.rows is not None:
            own = np.flatnonzero(self.rows) if self.rows.dtype == bool else self.rows
            rows = own[rows] if rows.dtype == bool else np.where(rows < 0, -1, own[rows])
        return replace(self, rows=rows, _read={})


@dataclass(frozen=True)
class Schema:
    """Every column of a dataset: its table, role and kind.

    Attributes:
        roles: columns of the events that are attributes of the dataset.
        context, users, items: further columns of the events, and attributes of users and items.
        ignored: columns that were left out, as configured or for their name, by table.
    """

    roles: tuple[Field, ...] = ()
    context: Columns = field(default_factory=Columns)
    users: Columns = field(default_factory=Columns)
    items: Columns = field(default_factory=Columns)
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, dict[str, dict[str, str | None]]]:
        """Table to column to role, kind and name in the source; what was ignored has the role
        "ignored".
        """
        tables = {
            "events": (*self.roles, *self.context.fields),
            "users": self.users.fields,
            "items": self.items.fields,
        }
        found: dict[str, dict[str, dict[str, str | None]]] = {}
        for table, fields in tables.items():
            found[table] = {each.name: each.to_json() for each in fields}
            for name in self.ignored.get(table, ()):
                found[table].setdefault(name, {"role": "ignored", "kind": None, "column": name})
        return {table: columns for table, columns in found.items() if columns}


def kind_of_type(name: str, type_: pa.DataType | None) -> Kind | None:
    """Kind of a column by its name and Arrow type; None where its values have to be read."""
    if type_ is None:
        return None
    if pa.types.is_integer(type_):
        return "id" if _is_id_name(name) else "number"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_boolean(type_) or pa.types.is_dictionary(type_):
        return "category"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "date"
    if pa.types.is_nested(type_):
        return "list"
    return None


def _is_id_name(name: str) -> bool:
    # store_id, StoreID and id, not paid
    return name.endswith(("ID", "Id")) or name.lower() == "id" or name.lower().endswith("_id")


def require_kinds(
    kinds: Mapping[str, str], ignore: Sequence[str], known: Sequence[str], section: str
) -> None:
    """Raises ConfigError where `kinds` or `ignore` of a section names no column or no kind."""
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise ConfigError(
                f"{section}.kinds.{name}={kind}: choose {', '.join(KINDS[:-1])} or {KINDS[-1]}"
            )
    for setting, names in (("kinds", tuple(kinds)), ("ignore", tuple(ignore))):
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"{section}.{setting}: there is no further column {name!r} (there are:"
                    f" {', '.join(known) or 'none'})"
                )


def read_column(
    known: Field,
    values: pa.ChunkedArray | pa.Array,
    where: str,
    rows: np.ndarray | None = None,
    typed: bool = True,
    numerals: Numerals = POINT,
) -> Column:
    """Values of a column in some rows; the kind, where none is given, is decided by all of them.

    Raises:
        DataError: a given kind does not fit a value.
    """
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    kind = known.kind or _kind_of_values(known.name, values, typed, numerals)
    categories = None
    found: np.ndarray
    if kind in ("id", "category"):
        is_bool = pa.types.is_boolean(values.type)
        encoded = encode_ids(values.cast(pa.string()) if is_bool else values)
        found, categories = encoded.codes.astype(np.int32), encoded.categories.to_numpy(object)
        missing: Any = -1
    elif kind == "number":
        found, missing = _numbers(known, values, where, numerals), np.nan
    elif kind == "date":
        found, missing = _dates(known, values, where), NO_DATE
    else:
        found, missing = np.empty(len(values), dtype=object), None
        found[:] = values.to_pylist()
    if rows is not None:
        found = found[rows] if rows.dtype == bool else np.where(rows < 0, missing, found[rows])
    return Column(known.name, kind, found, categories, known.role)


def _kind_of_values(name: str, values: pa.Array, typed: bool, numerals: Numerals) -> Kind:
    by_type = kind_of_type(name, values.type)
    if by_type is not None:
        return by_type
    text = values.cast(pa.string()).dictionary_encode()
    cells = pd.Series(text.dictionary.to_pandas(), dtype="str").str.strip()
    filled = cells[~cells.str.lower().isin(BLANKS)] if not typed else cells[cells != ""]
    if len(filled) == 0:
        return "category"
    if _is_id_name(name):
        return "id"
    if not typed:
        numbers = to_numbers(pa.array(filled, pa.string()), numerals)
        # 007 is a code: as a number it would lose its zeros
        if not np.isnan(numbers).any() and not filled.str.match(r"[+-]?0\d").any():
            return "number"
        if filled.str.match(r"\d{4}-\d\d").all() and parse_timestamps(filled, "UTC").notna().all():
            return "date"
    rows = len(text) - text.null_count
    return "category" if len(filled) <= max(FEW_VALUES, rows / 2) else "text"


def _numbers(known: Field, values: pa.Array, where: str, numerals: Numerals) -> np.ndarray:
    """float32 (N,) where that keeps every value, else float64."""
    numbers = to_numbers(values, numerals)
    _require_values(np.isnan(numbers) & ~is_missing(values), known, values, "number", where)
    narrow = numbers.astype(np.float32)
    same = (narrow == numbers) | np.isnan(numbers)
    return narrow if same.all() else numbers


def _dates(known: Field, values: pa.Array, where: str) -> np.ndarray:
    """int64 (N,) seconds since 1970 UTC."""
    try:
        parsed = parse_timestamps(values, "UTC")
    except DataError as error:
        # what reads the timestamps of events in another form does not act on this column
        found = f"({str(error).partition(':')[0].partition(';')[0]})"
        numbers = to_numbers(values)
        if not np.isnan(numbers).all():
            example = values[int(np.argmax(~np.isnan(numbers)))].as_py()
            found = f"holds numbers such as {example}, and only data.timestamp_unit, for timestamps"
            found += " of events, says what numbers count"
        raise DataError(
            f"column {known.source or known.name!r} of {where} is read as a date, but {found}:"
            f" write it as 2024-01-31, or choose {_another_kind(known, 'number')}"
        ) from error
    unread = parsed.isna().to_numpy() & ~is_missing(values)
    _require_values(unread, known, values, "date", where)
    seconds = parsed.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.int64)
    return np.where(parsed.isna(), NO_DATE, seconds)


def _another_kind(known: Field, kind: Kind) -> str:
    return (
        f"another kind: data.kinds.{known.name}={kind} (of attributes"
        f" data.users.kinds.{known.name} or data.items.kinds.{known.name})"
    )


def _require_values(
    wrong: np.ndarray, known: Field, values: pa.Array, kind: str, where: str
) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"column {known.source or known.name!r} of {where} is read as a {kind}, but data row"
            f" {row + 1:,} holds {values[row].as_py()!r}; mend the table, or choose"
            f" {_another_kind(known, 'category')}"
        )
