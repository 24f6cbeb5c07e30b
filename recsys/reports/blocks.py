"""What a report is made of: sections of figures, tables and texts, drawn by the template."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A picture with a title above and a sentence below."""

    title: str
    picture: Markup
    caption: str = ""


class KeyEntry(NamedTuple):
    """A sample of a line or an area, and what it is."""

    sample: Markup
    label: str


@dataclass(frozen=True)
class Figures:
    """Pictures side by side where the screen is wide enough: two, or three that are narrow; with a
    title and a key of their own, where they share them.
    """

    kind: ClassVar[str] = "figures"
    items: tuple[Figure, ...]
    narrow: bool = False
    title: str = ""
    key: tuple[KeyEntry, ...] = ()


class Cell(NamedTuple):
    """Text of a table cell."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header (or none); the first column holds names, the others numbers.

    `marked` is the row to point at.
    """

    kind: ClassVar[str] = "table"
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: int | None = None


@dataclass(frozen=True)
class Tables:
    """Tables of few columns, side by side where the screen is wide enough."""

    kind: ClassVar[str] = "tables"
    items: tuple[Table, ...]


@dataclass(frozen=True)
class Terms:
    """Explanations, folded."""

    kind: ClassVar[str] = "terms"
    title: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Text to copy; folded under its title, if it is long."""

    kind: ClassVar[str] = "code"
    title: str
    text: str
    folded: bool = False


class ListedItem(NamedTuple):
    """One line of a list of items; `hit` says that it was recommended and bought, `because` what
    was bought before and carries it.
    """

    name: str
    item_id: str
    score: str = ""
    hit: bool = False
    because: str = ""


class ItemList(NamedTuple):
    """A titled list of items; `note` says how many were hits."""

    title: str
    note: str
    items: tuple[ListedItem, ...]


@dataclass(frozen=True)
class Customer:
    """A customer with history and recommendations, foldable."""

    kind: ClassVar[str] = "customer"
    user_id: str
    note: str
    lists: tuple[ItemList, ...]
    opened: bool = False


Block = Figures | Table | Tables | Terms | Code | Customer


@dataclass(frozen=True)
class Section:
    """A part of the report with its own place in the table of contents."""

    anchor: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


def rows_of_text(rows: list[tuple[str, str]]) -> tuple[tuple[Cell, ...], ...]:
    """Plain rows of a name and a value."""
    return tuple((Cell(name), Cell(value)) for name, value in rows)
