"""Which items a call may choose from: candidates of the caller, and what rules leave of all items.

Axes: B users, I items in the catalogue, A items that one list allows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.list_columns import ListColumn, ListSource, to_offsets
from recsys.inference.inputs import as_id_lists, as_list, as_rows, as_strings


@dataclass(frozen=True)
class Catalogue:
    """The items of a bundle.

    Attributes:
        ids: in an order of their own, object (I,).
        where: what errors call the bundle.
    """

    ids: NDArray[np.object_]
    where: str

    @cached_property
    def index(self) -> dict[str, int]:
        """Place of every id in `ids`."""
        return {item: place for place, item in enumerate(self.ids.tolist())}

    @cached_property
    def unknown_id(self) -> str:
        """An id that no item has: it is longer than the longest."""
        return str(max(self.ids.tolist(), key=len)) + "?"

    def places(self, items: NDArray[np.object_]) -> NDArray[np.int64]:
        """Places of ids in `ids`, I for one that is not among them, of the same shape."""
        unknown, get = len(self.ids), self.index.get
        found = [get(item, unknown) for item in items.ravel().tolist()]
        return np.array(found, dtype=np.int64).reshape(items.shape)


@dataclass(frozen=True)
class Choice:
    """What the graph is told of the items to choose from.

    Attributes:
        allowed: one list for all users, object (1, A), or one for each; None: everything.
        excluded: ids that nobody gets, object (E,).
        excluded_rows: ids that each user does not get, for a graph that knows no allowed items.
    """

    allowed: NDArray[np.object_] | ListSource | None = None
    excluded: NDArray[np.object_] | None = None
    excluded_rows: ListSource | None = None


@dataclass(frozen=True)
class Candidates:
    """Items that a caller chooses from.

    Attributes:
        everyone: ids for all users, or None.
        rows: ids for each user, or None.
        free: of rows, the users who may get everything, bool (B,).
    """

    everyone: NDArray[np.object_] | None = None
    rows: ListColumn | None = None
    free: NDArray[np.bool_] | None = None

    @classmethod
    def parse(cls, given: Iterable[Any] | None, num_users: int) -> "Candidates":
        """Tells the forms that `Recommender.recommend` takes from each other."""
        if given is None:
            return cls()
        values = as_list(given, "candidates", ordered=False)
        are_strings = {isinstance(value, str) for value in values}
        if are_strings == {True, False}:
            raise TypeError(
                "candidates mixes item ids and lists: give ids for all users, or a list for each"
                " user"
            )
        if are_strings == {False}:
            rows = as_rows(values, "candidates", num_users)
            free = np.array([row is None for row in rows], dtype=bool)
            return cls(rows=as_id_lists(rows, "candidates", ordered=False), free=free)
        everyone = as_strings(values, "candidates", ordered=False)
        return cls(everyone=np.array(everyone, dtype=object))

    def choice(
        self,
        catalogue: Catalogue,
        kept: NDArray[np.bool_] | None,
        takes_allowed: bool,
        num_users: int,
    ) -> Choice:
        """What to tell the graph, in as few strings as it takes.

        Args:
            catalogue: of the bundle.
            kept: items that the rules leave, bool (I,); None: all.
            takes_allowed: whether the graph has the input `allowed`; one without is told the others
                to exclude.
            num_users: B.

        Raises:
            ValueError: no candidate is in the catalogue.
        """
        if self.rows is not None:
            return self._choice_of_each(catalogue, kept, takes_allowed)
        if self.everyone is not None:
            given = self.everyone.tolist()
            if not any(item in catalogue.index for item in given):
                raise ValueError(_none_known(len(set(given)), catalogue))
            if kept is None and takes_allowed and 2 * len(given) < len(catalogue.ids):
                return Choice(allowed=self.everyone[None])
            wanted = np.zeros(len(catalogue.ids) + 1, dtype=bool)
            wanted[catalogue.places(self.everyone)] = True
            kept = wanted[:-1] if kept is None else wanted[:-1] & kept
        if kept is None:
            return Choice()
        number = int(np.count_nonzero(kept))
        others = len(kept) - number
        if takes_allowed and number <= others * num_users:
            ids = catalogue.ids[kept] if number else np.array([catalogue.unknown_id], dtype=object)
            return Choice(allowed=ids[None])
        return Choice(excluded=catalogue.ids[~kept])

    def _choice_of_each(
        self, catalogue: Catalogue, kept: NDArray[np.bool_] | None, takes_allowed: bool
    ) -> Choice:
        assert self.rows is not None
        assert self.free is not None
        excluded = None if kept is None else catalogue.ids[~kept]
        places = catalogue.places(self.rows.values)
        known = places < len(catalogue.ids)
        if not known.any() and not self.free.any() and len(self.free):
            raise ValueError(_none_known(len(set(self.rows.values.tolist())), catalogue))
        if not takes_allowed:
            rows = _AllBut(ListColumn(places, self.rows.offsets), self.free, catalogue.ids)
            return Choice(excluded=excluded, excluded_rows=rows)
        if kept is not None and not self.free.any():
            known &= np.append(kept, False)[places]
            excluded = None
        row = np.repeat(np.arange(len(self.free)), self.rows.lengths)[known]
        # who has no candidate left gets one that does not exist, as no list would mean everything
        none = np.flatnonzero((np.bincount(row, minlength=len(self.free)) == 0) & ~self.free)
        order = np.argsort(np.concatenate([row, none]), kind="stable")
        nothing = np.array([catalogue.unknown_id] * len(none), dtype=object)
        values = np.concatenate([self.rows.values[known], nothing])[order]
        lengths = np.bincount(np.concatenate([row, none]), minlength=len(self.free))
        return Choice(allowed=ListColumn(values, to_offsets(lengths)), excluded=excluded)


@dataclass(frozen=True)
class _AllBut:
    """Every item but the candidates of each user.

    Attributes:
        rows: places of the candidates, I for unknown ones.
        free: who may get everything, bool (B,).
        ids: of the catalogue, object (I,).
    """

    rows: ListColumn
    free: NDArray[np.bool_]
    ids: NDArray[np.object_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """At most so many items, int64 (B,)."""
        return np.where(self.free, 0, len(self.ids)).astype(np.int64)

    def block(self, start: int, stop: int) -> ListColumn:
        """Rows `start` to `stop`."""
        part = self.rows.block(start, stop)
        barred = np.ones((stop - start, len(self.ids) + 1), dtype=bool)
        barred[np.repeat(np.arange(stop - start), part.lengths), part.values] = False
        barred[self.free[start:stop]] = False
        row, place = np.nonzero(barred[:, :-1])
        lengths = np.bincount(row, minlength=stop - start)
        return ListColumn(self.ids[place], to_offsets(lengths))


def _none_known(number: int, catalogue: Catalogue) -> str:
    return (
        f"candidates holds {number} ids and none of them is in the catalogue of"
        f" {len(catalogue.ids)} items of {catalogue.where}"
    )
