"""Recommends from a bundle with numpy and ONNX Runtime alone.

Axes: B users, L width of the histories, E excluded items a user, I items in the catalogue.
"""

import json
import operator
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle.ragged import (
    Ragged,
    RaggedSource,
    as_days,
    as_list,
    as_ragged,
    as_strings,
    join,
)
from recsys.bundle.seen import SEEN, Seen, SeenRows
from recsys.errors import BundleError
from recsys.inference.bundle import open_bundle

ITEM_NAMES = "items.json"

# What a block may hold at once: 64 MB of scores, and as many strings as take about 50 MB.
_BLOCK_FLOATS = 2**24
_BLOCK_STRINGS = 2**20
# Copies of the (B, I) scores in the graph beside the model: widened, masked, cut, ranked.
_GRAPH_FLOATS_PER_PAIR = 4


@dataclass(frozen=True)
class _Query:
    """One call, in a form that is cut into blocks.

    Attributes:
        users: ids, object (B,).
        history: rows that are joined to the history of a user.
        age: rows of days since each of those purchases, where the bundle reads them.
        exclude: rows that are not to be returned to a user.
        exclude_all: ids not to be returned to anyone, object (E,).
    """

    users: NDArray[np.object_]
    history: list[RaggedSource]
    age: list[RaggedSource]
    exclude: list[RaggedSource]
    exclude_all: NDArray[np.object_]


@dataclass(frozen=True)
class _Exclusion:
    """What a caller wants excluded: the seen, or ids for everyone, or ids for each user.

    Attributes:
        seen: True for what each user has bought.
        everyone: ids for all users.
        rows: ids for each user, or None.
    """

    seen: bool = False
    everyone: Sequence[str] = ()
    rows: Ragged | None = None

    @classmethod
    def parse(cls, exclude: Iterable[Any] | None, users: list[str]) -> "_Exclusion":
        """Tells the forms that `Recommender.recommend` takes from each other."""
        if exclude is None:
            return cls()
        if isinstance(exclude, str):
            if exclude != "seen":
                raise ValueError(
                    f"exclude={exclude!r} is not known: give 'seen' or a list of item ids"
                )
            return cls(seen=True)
        values = as_list(exclude, "exclude")
        are_strings = {isinstance(value, str) for value in values}
        if are_strings == {True, False}:
            raise TypeError(
                "exclude mixes item ids and lists: give ids for all users, or a list for each user"
            )
        if are_strings == {False}:
            return cls(rows=_rows_of(users, values, "exclude"))
        return cls(everyone=values)


class Recommender:
    """The recommender of a bundle.

    Attributes:
        manifest: content of manifest.json.
        num_items: size of the catalogue, the largest k.
        reads_history: True where scores come from histories, False where they come from user ids.
        reads_age: True where they also depend on how long ago the purchases were.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Opens a bundle after checking that it is complete and unaltered.

        Args:
            path: folder of the bundle.
            threads: threads for one run of the graph; None lets ONNX Runtime choose.

        Raises:
            BundleError: if it is no bundle of a recommender, incomplete, altered, or too new.
        """
        self._bundle = open_bundle(Path(path), "recommender", threads)
        self.manifest = self._bundle.manifest
        self.num_items: int = self.manifest["num_items"]
        self.reads_history: bool = self.manifest["reads_history"]
        self.reads_age: bool = self.manifest.get("reads_age", False)

    @property
    def holds_seen(self) -> bool:
        """Whether the bundle holds what each user has bought."""
        return SEEN in self.manifest["files"]

    @cached_property
    def item_names(self) -> dict[str, str]:
        """Names of items for people, by item id; empty where the bundle holds none."""
        path = self._bundle.optional_file(ITEM_NAMES)
        return {} if path is None else json.loads(path.read_text(encoding="utf-8"))

    def recommend(
        self,
        users: Iterable[str],
        k: int = 10,
        exclude: str | Iterable[str] | Iterable[Iterable[str]] | None = None,
        history: Iterable[Iterable[str] | None] | None = None,
        candidates: Iterable[str] | None = None,
        history_age: Iterable[Iterable[float] | None] | None = None,
    ) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """The best items for each user, best first; exact ties go to the lower item index.

        A user who is unknown gets what the manifest names as fallback. Large calls run in blocks of
        bounded memory.

        Args:
            users: user ids, B of them.
            k: items a user; clamped to 0 … number of items, which is then the width of the outputs.
            exclude: "seen" (what the bundle knows the user to have bought, and the history given
                here), item ids for all users, or a list of item ids for each user. Ids that are not
                known are ignored.
            history: what each user bought, latest last, for models that read histories (others
                ignore it); it speaks instead of the user id. None, for all users or for one, takes
                what the bundle holds of the user in seen.npz.
            candidates: item ids to which the answer is restricted. Ids that are not known are
                ignored, as long as one is known.
            history_age: days since each purchase in `history`, for models that read them (others
                ignore it). The purchases in seen.npz are as old as at the end of the training data.

        Returns:
            item_ids: str in an object array (B, k); "" where fewer than k items are left.
            scores: float32 (B, k); -inf there.

        Raises:
            BundleError: if the seen are to be excluded and the bundle does not hold them.
            ValueError: if lists are not as many as users, no candidate is known, or the days since
                the purchases are needed and missing.
            TypeError: if ids are not strings, or one string stands where a list belongs.
        """
        names = as_strings(users, "users")
        given = None if history is None else as_list(history, "history")
        if given is None and self.reads_history and not self.holds_seen:
            warnings.warn(
                f"{self._bundle.path} reads histories and holds no {SEEN}: without history= every "
                "user gets what is popular; give histories, or export it with seen=true",
                stacklevel=2,
            )
        given_rows = None if given is None else _rows_of(names, given, "history")
        excluded = _Exclusion.parse(exclude, names)
        query = _Query(
            users=np.array(names, dtype=object),
            history=self._history_sources(names, given, given_rows),
            age=self._age_sources(names, given, given_rows, history_age),
            exclude=self._exclude_sources(names, excluded, given_rows),
            exclude_all=np.array([*excluded.everyone, *self._all_but(candidates)], dtype=object),
        )
        width = min(max(operator.index(k), 0), self.num_items)
        return self._run(query, width)

    def _history_sources(
        self, users: list[str], given: list[Any] | None, given_rows: Ragged | None
    ) -> list[RaggedSource]:
        """Given histories and, for users without one, those of the bundle: never both for one."""
        if not self.reads_history:
            return []
        sources: list[RaggedSource] = [] if given_rows is None else [given_rows]
        if self._seen is not None:
            stored = self._seen.of(users)
            left_out = (
                None if given is None else np.array([row is None for row in given], dtype=bool)
            )
            sources.append(stored if left_out is None else stored.only_where(left_out))
        return sources

    def _age_sources(
        self,
        users: list[str],
        given: list[Any] | None,
        given_rows: Ragged | None,
        history_age: Iterable[Any] | None,
    ) -> list[RaggedSource]:
        """Days since each purchase of `_history_sources`."""
        if not self.reads_age:
            return []
        sources = self._history_sources(users, given, given_rows)
        ages = [replace(source, ages=True) for source in sources if isinstance(source, SeenRows)]
        if given_rows is None:
            return [*ages]
        rows = [None] * len(users) if history_age is None else as_list(history_age, "history_age")
        if history_age is None and len(given_rows.values):
            raise ValueError(
                f"{self._bundle.path} weighs purchases by their age: give history_age, the days"
                " since each purchase in history"
            )
        if len(rows) != len(users):
            raise ValueError(
                f"history_age holds {len(rows)} lists for {len(users)} users: give one for each"
            )
        return [as_days(rows, given_rows), *ages]

    def _exclude_sources(
        self, users: list[str], excluded: "_Exclusion", given_rows: Ragged | None
    ) -> list[RaggedSource]:
        """What is excluded for one user and not for another."""
        if not excluded.seen:
            return [] if excluded.rows is None else [excluded.rows]
        if self._seen is None:
            raise BundleError(
                f"{self._bundle.path} holds no {SEEN}, so the seen cannot be excluded: export it "
                "with seen=true, or give the item ids in exclude"
            )
        return [self._seen.of(users), *([] if given_rows is None else [given_rows])]

    def _all_but(self, candidates: Iterable[str] | None) -> list[str]:
        """Every item of the catalogue that is no candidate."""
        if candidates is None:
            return []
        wanted = set(as_strings(candidates, "candidates"))
        left = [item for item in self._item_ids if item not in wanted]
        if len(left) == self.num_items:
            raise ValueError(
                f"candidates holds {len(wanted)} ids and none of them is in the catalogue of "
                f"{self.num_items} items of {self._bundle.path}"
            )
        return left

    @cached_property
    def _seen(self) -> Seen | None:
        path = self._bundle.optional_file(SEEN)
        return None if path is None else Seen(path)

    @cached_property
    def _item_ids(self) -> list[str]:
        """The catalogue, in any order: the graph knows it, and gives all of it to one user."""
        nobody = np.array([""], dtype=object)
        query = _Query(nobody, [], [], [], np.empty(0, dtype=object))
        item_ids, _ = self._run(query, self.num_items)  # (1, I)
        return list(item_ids[0])

    def _run(self, query: _Query, width: int) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """Runs the graph in blocks and puts the answers into one table (B, width)."""
        total = len(query.users)
        item_ids = np.empty((total, width), dtype=object)
        scores = np.empty((total, width), dtype=np.float32)
        step = self._block_rows(query)
        for start in range(0, total, step):
            stop = min(start + step, total)
            feeds = {
                "user_id": query.users[start:stop],
                "history": _table(query.history, start, stop, object),
                "exclude": _exclude_table(query, start, stop),
                "k": np.array([width], dtype=np.int64),
            }
            if self.reads_age:
                feeds["history_age"] = _table(query.age, start, stop, np.float32)
            item_ids[start:stop], scores[start:stop] = self._bundle.session.run(
                ["item_id", "score"], feeds
            )
        return item_ids, scores

    def _block_rows(self, query: _Query) -> int:
        """Users that fit into one block: both scores and strings are bounded."""
        floats_per_pair: int = self.manifest["floats_per_pair"] + _GRAPH_FLOATS_PER_PAIR
        floats = self.num_items * floats_per_pair
        strings = sum(
            (source.lengths for source in (*query.history, *query.exclude)),
            start=np.full(len(query.users), len(query.exclude_all)),
        )  # (B,)
        widest = int(strings.max(initial=1))
        return max(1, min(_BLOCK_FLOATS // max(floats, 1), _BLOCK_STRINGS // max(widest, 1)))


def _table(sources: list[RaggedSource], start: int, stop: int, kind: Any) -> NDArray[Any]:
    """Histories of a block, or their ages (B, L)."""
    if not sources:
        return np.empty((stop - start, 0), dtype=kind)
    return join([source.block(start, stop) for source in sources]).padded()


def _exclude_table(query: _Query, start: int, stop: int) -> NDArray[np.object_]:
    """What is excluded in a block, object (B, E)."""
    everyone = np.broadcast_to(query.exclude_all, (stop - start, len(query.exclude_all)))
    rows = [source.block(start, stop).padded() for source in query.exclude]
    return np.concatenate([*rows, everyone], axis=1)


def _rows_of(users: Sequence[str], rows: list[Any], what: str) -> Ragged:
    """Lists of ids as rows, one for each user."""
    ragged = as_ragged(rows, what)
    if len(rows) != len(users):
        raise ValueError(
            f"{what} holds {len(rows)} lists for {len(users)} users: give one for each user"
        )
    return ragged
