"""Ids: strings outside, dense indices inside.

Ids keep every character ("007", " a", "NA"); only null, "" and blanks count as missing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.tables.cells import id_texts


def natural_order(ids: np.ndarray) -> np.ndarray:
    """Positions that sort ids: plain integers first, by value, then the others, by code point.

    The place of two ids relative to each other does not depend on which other ids there are, so a
    new row in the test part cannot reorder a vocabulary.
    """
    text = pd.Series(ids, dtype="str")
    is_number = text.str.fullmatch(r"-?[1-9][0-9]{0,17}|0").to_numpy(dtype=bool)
    numbers = np.flatnonzero(is_number)
    others = np.flatnonzero(~is_number)
    numbers = numbers[np.argsort(text.iloc[numbers].astype("int64").to_numpy(), kind="stable")]
    others = others[np.argsort(ids[others].astype(str), kind="stable")]
    return np.concatenate([numbers, others])


def encode_ids(column: pa.ChunkedArray | pa.Array) -> pd.Categorical:
    """Turns a column of ids of any type into a categorical of strings in natural order; missing ids
    become code -1.
    """
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if len(column) == 0 or pa.types.is_null(column.type):
        return pd.Categorical.from_codes(
            np.full(len(column), -1), categories=pd.Index([], dtype="str")
        )
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    values = id_texts(encoded.dictionary)
    ids = values.to_numpy(zero_copy_only=False).astype(object)
    usable = values.is_valid().to_numpy(zero_copy_only=False)
    usable[np.bincount(codes + 1, minlength=len(ids) + 1)[1:] == 0] = False  # in no row
    order = natural_order(ids[usable])
    order = np.flatnonzero(usable)[order]
    recode = np.full(len(ids) + 1, -1, dtype=np.int32)  # last place: what was null stays -1
    recode[order] = np.arange(len(order), dtype=np.int32)
    return pd.Categorical.from_codes(recode[codes], categories=pd.Index(ids[order], dtype="str"))


def names_of_items(table: pa.Table) -> dict[str, str]:
    """Item id to the name in its last row that has one."""
    item = encode_ids(table.column("item_id"))
    name = table.column("name").cast(pa.string()).to_pandas().str.strip()
    named = pd.DataFrame({"item": item.astype(object), "name": name}).dropna()
    named = named[named["name"] != ""].drop_duplicates("item", keep="last")
    return dict(zip(named["item"], named["name"], strict=True))


@dataclass(frozen=True)
class Vocabulary:
    """The users and items that the fitted part knows; an index is a position.

    Attributes:
        user_ids: (U,) strings.
        item_ids: (I,) strings.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray

    @property
    def num_users(self) -> int:
        """Users, U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.item_ids)

    def save(self, path: Path) -> None:
        """Writes the ids to an npz file (no pickle: fixed-width strings)."""
        np.savez_compressed(
            path, user_ids=self.user_ids.astype(str), item_ids=self.item_ids.astype(str)
        )

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["user_ids"].astype(object), arrays["item_ids"].astype(object))
