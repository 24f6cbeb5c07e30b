"""Tables of users and items: one row per id, joined to the ids of the events.

Axes: R rows of the table, I ids of the events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd

from recsys.data.events import columns_of
from recsys.data.ids import encode_ids
from recsys.data.schema import Columns, Kind
from recsys.data.tables import Location, TableSource, read_table
from recsys.errors import ConfigError, DataError
from recsys.tables.cells import Numerals


@dataclass(frozen=True)
class AttributeTable:
    """Where the attributes of users or items lie, as the configuration states it.

    Attributes:
        path: a file, a SQLAlchemy URL or a table in memory; None: there is no such table.
        columns: canonical name (user_id or item_id; of items also name; any other renames a column)
            to the table's name; None: no such column.
        separator, table, encoding, multiline: as in `TableSource`.
        decimal, thousands: as in `Numerals`.
        kinds: column to its kind, where it is not the one that its type or values say.
        ignore: columns to leave out.
    """

    path: Location | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    separator: str | None = None
    table: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    encoding: str | None = None
    decimal: str = "."
    thousands: str | None = None
    multiline: bool = False

    def source(self, section: str) -> TableSource:
        """The table of a section of the configuration: data.users or data.items."""
        assert self.path is not None
        return TableSource(
            self.path,
            self.separator,
            self.table,
            f"{section}.path",
            encoding=self.encoding,
            multiline=self.multiline,
        )


def join_attributes(
    attributes: AttributeTable | None, key: str, ids: np.ndarray, section: str
) -> tuple[Columns, dict[str, int]]:
    """Attributes of ids (I,), in their order; ids are compared as strings.

    Args:
        attributes: the table; None, or one without a path: no attributes.
        key: canonical name of its id column.
        ids: object of str (I,).
        section: of the configuration, for errors: data.users or data.items.

    Returns:
        Columns of I rows, and counts: rows of the table, rows of ids that are not among `ids`
        (ignored), ids without a row (whose values are missing).

    Raises:
        DataError: the table cannot be read, or has two rows of one id, or a row without an id.
    """
    if attributes is None:
        return Columns(), {}
    if attributes.path is None:
        for setting in fields(attributes):
            name, value = setting.name, getattr(attributes, setting.name)
            if name == "columns":
                # files of configuration name the usual ones
                is_set = any(role != source for role, source in value.items() if source is not None)
            else:
                is_set = bool(value) and value != setting.default
            if is_set:
                raise ConfigError(
                    f"{section}.{name} has no effect without a table: set {section}.path, or leave"
                    f" {section}.{name} out"
                )
        return Columns(), {}
    source = attributes.source(section)
    if source.is_url:
        # a database may give its rows in another order the next time
        source = replace(source, location=source.read(source.names), table=None, name=source.label)
    named = {"name": "name"} if key == "item_id" and "name" in source.names else {}
    mapped = {key: key, **named, **attributes.columns}
    known = encode_ids(read_table(source, {key: mapped[key]}, required=(key,)).column(key))
    _require_unique(known, source, section, key)
    place = pd.Index(known.categories).get_indexer(pd.Index(ids, dtype="str"))
    row_of = np.empty(len(known.categories) + 1, dtype=np.int64)
    row_of[known.codes] = np.arange(len(known))
    row_of[-1] = -1  # last place: an id that has no row
    joined = columns_of(source, mapped, attributes.kinds, attributes.ignore, section, (key,))
    counts = {
        "rows": len(known),
        "rows_of_unknown_ids": len(known) - int((place >= 0).sum()),
        "ids_without_row": int((place < 0).sum()),
    }
    numerals = Numerals(attributes.decimal, attributes.thousands, f"{section}.")
    numerals.require_text(
        (kind for name, kind in source.types if name != mapped[key]), source.label
    )
    joined = replace(joined.take(row_of[place]), numerals=numerals)
    for each in joined.fields:
        if each.kind is None:
            joined[each.name]  # whoever names a table wants to know what it holds
    return joined, counts


def attribute_names(attributes: AttributeTable | None, key: str, section: str) -> list[str]:
    """Names of the attributes that a table has, without its id."""
    if attributes is None or attributes.path is None:
        return []
    source = attributes.source(section)
    mapped = {key: key, **attributes.columns}
    return list(columns_of(source, mapped, {}, attributes.ignore, section, (key,)))


def _require_unique(known: pd.Categorical, source: TableSource, section: str, key: str) -> None:
    nameless = np.flatnonzero(known.codes == -1)
    if len(nameless):
        raise DataError(
            f"{section}.path: {source.place(int(nameless[0]))} of {source.label} has no {key}; mend"
            " the table"
        )
    repeated = np.flatnonzero(pd.Series(known.codes).duplicated().to_numpy())
    if len(repeated):
        row = int(repeated[0])
        raise DataError(
            f"{section}.path: {source.label} has more than one row of {key} {known[row]!r} (the"
            f" second is {source.place(row)}); keep one row per id"
        )
