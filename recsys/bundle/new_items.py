"""What a bundle says of items that it can take later."""

from typing import Literal, NotRequired, TypedDict

# second graph of a bundle: terms of new items in, their rows of each array out
ITEM_TOWER = "item_tower.onnx"
# outputs of it: whether the model knows a term of a column of an item; their names begin so
KNOWN = "known/"
# what has rows of items in the other graphs: names of constants begin so
ITEM_ARRAY = "items/"

# between the values of a list that is written as text, as MovieLens writes genres
LIST_SEPARATOR = "|"
# characters of a piece of a word, and what stands where a word begins and ends
NGRAM, BEGIN, END = 3, "<", ">"
# what is read of a column: itself, the values of a list, the words of a text, their characters, or
# the range that a number lies in
Reading = Literal["category", "list", "text", "ngrams", "number"]


class ColumnEntry(TypedDict):
    """One input of the item tower, string (N, T), '' pads.

    Attributes:
        name: in the graph.
        column: of the items' table.
        reading: what its terms are.
        references: whether they are ids of items, among which the item's own stands.
        ranges: of a number, the terms: upper ends of ranges.
    """

    name: str
    column: str
    reading: Reading
    references: bool
    ranges: NotRequired[list[str]]


class NewItemsEntry(TypedDict):
    """What the manifest says of new items.

    Attributes:
        columns: inputs of the item tower.
        pads: of arrays that are as wide as the item with most terms, what fills up a row.
        floats_per_item: width of the widest intermediate of the tower per item.
        name_column: of the items' table, with names for people; None: there is none.
    """

    columns: list[ColumnEntry]
    pads: dict[str, int]
    floats_per_item: int
    name_column: str | None
