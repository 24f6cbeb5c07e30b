"""The events of a source as it has them: every row and every column, before any row is left out.

A `Dataset` and a `SalesPanel` are two views of it.

Axes: N rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from recsys.data.fingerprint import fingerprint
from recsys.data.ids import encode_ids
from recsys.data.schema import Columns, Field, Kind, kind_of_type, require_kinds
from recsys.data.tables import ID_COLUMNS, TableSource, read_table
from recsys.errors import DataError
from recsys.tables.cells import POINT, Numerals

# roles whose columns become arrays of a dataset; the others stay columns of its context
ARRAYS = ("user_id", "item_id", "timestamp", "quantity")
ROLES = (*ARRAYS, "price", "basket_id", "event_type", "rating", "name")
_ROLE_KINDS: dict[str, Kind] = {
    "user_id": "id",
    "item_id": "id",
    "timestamp": "date",
    "quantity": "number",
    "price": "number",
    "basket_id": "id",
    "event_type": "category",
    "rating": "number",
    "name": "text",
}


@dataclass(frozen=True)
class EventTable:
    """Where events lie, and what their columns are.

    Attributes:
        source: the table.
        columns: canonical name (of `ROLES`; any other renames a column) to the table's name; None:
            no such column.
        kinds: column of the context to its kind, where it is not the one that its type or values
            say.
        ignore: columns to leave out of the context.
        numerals: how numbers are written in text.
    """

    source: TableSource
    columns: Mapping[str, str | None]
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    numerals: Numerals = POINT

    def read(
        self, names: Sequence[str], required: Sequence[str] = ID_COLUMNS, encode_ids: bool = False
    ) -> pa.Table:
        """The columns of some canonical names that are mapped, in N rows.

        Raises:
            DataError, ConfigError: as `recsys.data.tables.read_table`.
        """
        mapped = {name: str(source) for name, source in self.columns.items() if source is not None}
        self.source.require(mapped, required)
        wanted = {name: self.columns[name] for name in names if name in self.columns}
        return read_table(self.source, wanted, encode_ids=encode_ids, required=required)

    def require_numerals(self, names: Sequence[str] | None = None) -> None:
        """Raises ConfigError where signs of numbers in text are set, and none can be there.

        Args:
            names: canonical names of the columns that are read as numbers; None: every column that
                is no id and no timestamp may be one.
        """
        others = ("user_id", "item_id", "timestamp", "basket_id", "event_type", "name")
        if names is None:
            taken = {self.columns.get(name) for name in others}
            found = [kind for name, kind in self.source.types if name not in taken]
        else:
            wanted = {self.columns.get(name) for name in names}
            found = [kind for name, kind in self.source.types if name in wanted]
        self.numerals.require_text(found, self.source.label)

    def further(self, read: pa.Table) -> Columns:
        """Every column but those that become arrays, in N rows, read when asked for.

        Args:
            read: what has been read, under canonical names; later readings have to fit it.
        """
        reader = _Reader(self.source, self.columns, read)
        skip = (*ARRAYS, "name")
        found = columns_of(
            self.source, self.columns, self.kinds, self.ignore, "data", skip, ROLES, reader
        )
        return replace(found, numerals=self.numerals)

    @property
    def roles(self) -> tuple[Field, ...]:
        """Columns that become arrays."""
        return tuple(
            Field(role, _ROLE_KINDS[role], role, name)
            for role, name in self.columns.items()
            if role in ARRAYS and name is not None
        )


def columns_of(
    source: TableSource,
    mapped: Mapping[str, str | None],
    kinds: Mapping[str, Kind],
    ignore: Sequence[str],
    section: str,
    skip: Sequence[str],
    roles: Sequence[str] = ("name",),
    reader: Callable[[Field], pa.ChunkedArray] | None = None,
) -> Columns:
    """Every column of a table but those of `skip`, under canonical names where it is mapped, each
    read when asked for.

    Raises:
        ConfigError: `kinds` or `ignore` name a column that is not there.
    """
    canonical = {name: key for key, name in mapped.items() if name is not None}
    names = source.names
    fields = {}
    for name, type_ in source.types:
        key = canonical.get(name, name)
        # a column called as another is renamed, and columns called alike, cannot be told apart
        hidden = name not in canonical and mapped.get(name) is not None
        taken = key in skip and name in canonical
        if taken or hidden or names.count(name) > 1:
            continue
        role = key if key in roles and name in canonical else None
        kind = _ROLE_KINDS[role] if role else kind_of_type(key, type_)
        fields[key] = Field(key, kinds.get(key, kind), role, name)
    require_kinds(kinds, ignore, tuple(fields), section)
    for name in ignore:
        del fields[name]
    load = reader or (lambda column: source.read([column.source]).column(0))
    return Columns(fields, load, source.label, typed=source.is_typed)


class _Reader:
    """Reads one column later than the others; of a database, which may give its rows in another
    order each time, beside the ids.
    """

    def __init__(
        self, source: TableSource, columns: Mapping[str, str | None], read: pa.Table
    ) -> None:
        self._source = source
        self._rows = read.num_rows
        # ids of a table without customers are those that there are
        found = [key for key in ID_COLUMNS if key in read.column_names] if source.is_url else []
        self._keys = [str(columns[key]) for key in found]
        self._order = _order(read, found)

    def __call__(self, column: Field) -> pa.ChunkedArray:
        table = self._source.read(list(dict.fromkeys([*self._keys, column.source])))
        if table.num_rows != self._rows or _order(table, self._keys) != self._order:
            raise DataError(
                f"{self._source.setting}: {self._source.label} has other rows, or in another order,"
                f" than when its ids were read; read {column.source!r} from a copy (.parquet or"
                " .csv) that does not change"
            )
        return table.column(column.source)


def _order(table: pa.Table, keys: Sequence[str]) -> str:
    return fingerprint(*(encode_ids(table.column(key)).codes for key in keys))
