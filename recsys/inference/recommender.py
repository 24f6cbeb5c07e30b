"""Recommends from a bundle with numpy and ONNX Runtime alone.

Axes: B users, L width of the histories, E excluded items a user, I items in the catalogue.
"""

import json
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle.item_columns import ITEM_COLUMNS, read_item_columns
from recsys.bundle.list_columns import ListColumn, ListSource, SelectedRows, concatenated
from recsys.bundle.manifest import GraphInput, graph_inputs
from recsys.bundle.seen import SEEN, Seen
from recsys.errors import BundleError, unknown
from recsys.inference.bundle import open_bundle
from recsys.inference.candidates import Candidates, Catalogue, Choice
from recsys.inference.inputs import (
    CLOCK_SOURCES,
    as_id_lists,
    as_list,
    as_number_lists,
    as_rows,
    as_strings,
    as_values,
    clock_value,
    local_times,
    missing_values,
)
from recsys.inference.item_table import ItemTable
from recsys.inference.reasons import (
    BECAUSE,
    BecauseEntry,
    Reasons,
    as_item_rows,
    block_users,
    joined,
    merged,
    open_because,
)
from recsys.inference.rules import Pools, Reranking, Rules

ITEM_NAMES = "items.json"
# input of the graph; bundles of before had none
ALLOWED = "allowed"
# output of the graph; bundles of before had none
_ANSWERED_FROM = "answered_from"

# Limits of a block: 64 MB of scores, and as many strings as take about 50 MB.
_BLOCK_FLOATS = 2**24
_BLOCK_STRINGS = 2**20
# Items that are asked for beside those that rules are likely to leave.
_MORE = 20
# They are asked for where they are no more than this part of all items.
_LARGEST_PART = 8
# Copies of the (B, I) scores in the graph beside the model: widened, masked, cut, ranked.
_GRAPH_FLOATS_PER_PAIR = 5


@dataclass(frozen=True)
class _Query:
    """The inputs of one call, to be cut into blocks of users.

    Attributes:
        values: by name of an input with one value a user (B,).
        purchases: by name of an input with one value a purchase; the sources of a row are
            concatenated.
        exclude: items excluded for each user.
        exclude_all: ids excluded for all users, object (E,).
        allowed: ids to choose from, for all users, object (1, A), or for each; None: everything.
    """

    values: Mapping[str, NDArray[Any]]
    purchases: Mapping[str, Sequence[ListSource]]
    exclude: Sequence[ListSource]
    exclude_all: NDArray[np.object_]
    allowed: NDArray[np.object_] | ListSource | None = None

    @property
    def num_users(self) -> int:
        return len(self.values["user_id"])

    def feeds(
        self, start: int, stop: int, inputs: Mapping[str, GraphInput]
    ) -> dict[str, NDArray[Any]]:
        """Inputs of the graph for users `start` to `stop`, except for `k`."""
        feeds = {name: array[start:stop] for name, array in self.values.items()}
        for name, sources in self.purchases.items():
            parts = [source.block(start, stop) for source in sources]
            kind = object if inputs[name].type == "string" else np.float32
            empty = np.empty((stop - start, 0), dtype=kind)
            feeds[name] = concatenated(parts).padded() if parts else empty  # (B, L)
        rows = [source.block(start, stop).padded() for source in self.exclude]
        everyone = np.broadcast_to(self.exclude_all, (stop - start, len(self.exclude_all)))
        feeds["exclude"] = np.concatenate([*rows, everyone], axis=1)  # (B, E)
        if ALLOWED in inputs:
            feeds[ALLOWED] = self._allowed(start, stop)
        return feeds

    def select(self, rows: NDArray[np.int64]) -> "_Query":
        """The query of some users, whose numbers ascend."""

        def chosen(sources: Sequence[ListSource]) -> list[ListSource]:
            return [SelectedRows(source, rows) for source in sources]

        allowed = self.allowed
        if allowed is not None and not isinstance(allowed, np.ndarray):
            allowed = SelectedRows(allowed, rows)
        return replace(
            self,
            values={name: array[rows] for name, array in self.values.items()},
            purchases={name: chosen(sources) for name, sources in self.purchases.items()},
            exclude=chosen(self.exclude),
            allowed=allowed,
        )

    def _allowed(self, start: int, stop: int) -> NDArray[np.object_]:
        """Items to choose from (B, A), or (1, A) for all users."""
        if self.allowed is None:
            return np.empty((1, 0), dtype=object)
        if isinstance(self.allowed, np.ndarray):
            return self.allowed
        return self.allowed.block(start, stop).padded()


@dataclass(frozen=True)
class _Exclusion:
    """Items that a caller excludes.

    Attributes:
        seen: whether the purchases of each user are excluded.
        everyone: ids excluded for all users.
        rows: ids excluded for each user, or None.
    """

    seen: bool = False
    everyone: Sequence[str] = ()
    rows: ListColumn | None = None

    def holds(self, item: str) -> bool:
        """Whether an id is excluded for anybody."""
        return item in self.everyone or (self.rows is not None and item in self.rows.values)

    @classmethod
    def parse(cls, exclude: Iterable[Any] | None, num_users: int) -> "_Exclusion":
        """Tells the forms that `Recommender.recommend` takes from each other."""
        if exclude is None:
            return cls()
        if isinstance(exclude, str):
            if exclude != "seen":
                raise ValueError(
                    f"exclude={exclude!r} is not known: give 'seen' or a list of item ids"
                )
            return cls(seen=True)
        values = as_list(exclude, "exclude", ordered=False)
        are_strings = {isinstance(value, str) for value in values}
        if are_strings == {True, False}:
            raise TypeError(
                "exclude mixes item ids and lists: give ids for all users, or a list for each user"
            )
        if are_strings == {False}:
            rows = as_id_lists(values, "exclude", ordered=False)
            as_rows(values, "exclude", num_users)
            return cls(rows=rows)
        return cls(everyone=values)


class Recommender:
    """The recommender of a bundle.

    Attributes:
        manifest: content of manifest.json.
        num_items: size of the catalogue, the largest k.
        reads_history: True where scores come from histories, False where they come from user ids.
        inputs: by name, what the model reads beside the user id and the items of the history.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Opens a bundle after checking that it is complete and unaltered.

        Args:
            path: folder of the bundle.
            threads: threads for one run of the graph; None lets ONNX Runtime choose.

        Raises:
            BundleError: the folder is not a recommender's bundle, is incomplete or altered, or
                needs a newer recsys.
        """
        self._bundle = open_bundle(Path(path), "recommender", threads)
        self.manifest = self._bundle.manifest
        self.num_items: int = self.manifest["num_items"]
        self.reads_history: bool = self.manifest["reads_history"]
        found = graph_inputs(self._bundle.path, self.manifest)
        self._graph_inputs = {entry.name: entry for entry in found}
        self.inputs = {entry.name: entry for entry in found if entry.declared}
        self._opened = Path(path), threads

    def __reduce__(self) -> "tuple[type[Recommender], tuple[Path, int | None]]":
        """Another process opens the bundle again: a session of ONNX Runtime cannot be sent."""
        return Recommender, self._opened

    @property
    def _without_histories(self) -> str:
        if self.manifest.get("fallback") == "all_unknown":
            return "no purchase counts"
        return "all users get the most popular items"

    @property
    def reads_age(self) -> bool:
        """Whether scores depend on how long ago the purchases were."""
        return "history.age" in {entry.source for entry in self.inputs.values()}

    @property
    def holds_seen(self) -> bool:
        """Whether the bundle holds what each user has bought."""
        return SEEN in self.manifest["files"]

    @property
    def holds_reasons(self) -> bool:
        """Whether the bundle tells which purchases carry a recommendation."""
        return BECAUSE in self.manifest["files"]

    @cached_property
    def items(self) -> ItemTable:
        """Columns of the items that rules read; none where the bundle holds none."""
        where, content = str(self._bundle.path), self._bundle.optional_file(ITEM_COLUMNS)
        if content is None:
            return ItemTable(Catalogue(self._ids_of_graph(), where))
        ids, columns = read_item_columns(content, self._bundle.path / ITEM_COLUMNS)
        return ItemTable(Catalogue(ids, where), columns)

    @cached_property
    def item_names(self) -> dict[str, str]:
        """Names of items for people, by item id; empty where the bundle holds none."""
        content = self._bundle.optional_file(ITEM_NAMES)
        return {} if content is None else json.loads(content)

    def recommend(
        self,
        users: Iterable[str],
        k: int = 10,
        exclude: str | Iterable[str] | Iterable[Iterable[str]] | None = None,
        history: Iterable[Iterable[str] | None] | None = None,
        candidates: Iterable[str] | Iterable[Iterable[str] | None] | None = None,
        history_age: Iterable[Iterable[float] | None] | None = None,
        *,
        inputs: Mapping[str, Iterable[Any]] | None = None,
        at: Any = None,
        basket: Iterable[Iterable[str] | None] | None = None,
        rules: Rules | None = None,
        item_columns: ItemTable | Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """The best items for each user, best first; exact ties go to the lower item index.

        An unknown user gets the fallback that the manifest names. Large calls run in blocks of
        bounded memory.

        Args:
            users: user ids, B of them.
            k: items a user; clamped to 0 … number of items, which is then the width of the outputs.
            exclude: "seen" (purchases in the bundle and in `history`), item ids for all users, or
                a list of item ids for each user. Unknown ids are ignored.
            history: purchases of each user, latest last, used by models that read histories
                instead of the user id. None, for all users or for one, takes the purchases in
                seen.npz.
            candidates: item ids to choose from, for all users, or a list for each user: None
                allows everything, an empty list nothing. Unknown ids are ignored, but one has to
                be known.
            history_age: days since each purchase in `history`, for models that read them (others
                ignore it); the same as `inputs={"history_age": …}`. The ages in seen.npz are those
                at the end of the training data.
            inputs: by name, further inputs of the model (`Recommender.inputs`): one value for each
                user, "" or NaN or None where unknown, or one list of numbers for each user, one for
                each purchase in `history`. An input of users that is not given is unknown for all.
            at: moment of the request, for models that read the hour or the weekday: a datetime or
                datetime64 for all users, or one for each; local time in the manifest's timezone
                unless it has an offset. None is now.
            basket: what each user has in the basket so far: excluded beside `exclude`, and to a
                model that reads histories the latest purchases.
            rules: of the shop: what may be shown, how often of a kind, and how varied.
            item_columns: columns of the items that rules read, by name, each a mapping from item
                ids to values; they stand beside the bundle's, or in their place. Where they serve
                more than one call, `items.with_columns(…)` prepares them once.

        Returns:
            item_ids: str in an object array (B, k); "" where fewer than k items are left.
            scores: of the model, float32 (B, k); -inf there. Rules change the order, not the
                scores.

        Raises:
            BundleError: the bundle does not hold the purchases to be excluded.
            ValueError: a list has another length than users, no candidate is known, an input has
                an unknown name or a value out of range, or a value of the purchases in `history`
                is missing.
            TypeError: a value is of the wrong type, or one string stands where a list belongs.
        """
        names = as_strings(users, "users")
        rows = None if history is None else as_rows(history, "history", len(names))
        if rows is None and self.reads_history and not self.holds_seen:
            warnings.warn(
                f"{self._bundle.path} reads histories and holds no {SEEN}: without history= "
                f"{self._without_histories}; give histories, or export it with seen=true",
                stacklevel=2,
            )
        items = None if rows is None else as_id_lists(rows, "history")
        given = self._given(inputs, history_age)
        excluded = _Exclusion.parse(exclude, len(names))
        if excluded.holds("seen") and "seen" not in self._catalogue.index:
            raise ValueError(
                "exclude holds 'seen', which is no item of the catalogue: write exclude='seen' to"
                " leave out what users have bought"
            )
        in_basket = _basket(basket, len(names))
        kept = table = None
        if rules is not None or item_columns is not None:
            table = self._item_table(rules, item_columns)
            kept = None if rules is None else rules.kept(table)
        choice = self._choice(candidates, kept, len(names))
        query = _Query(
            values=self._values(names, given, at),
            purchases=self._purchases(names, rows, items, given, in_basket),
            exclude=self._exclude_sources(names, excluded, items, choice),
            exclude_all=_joined(excluded.everyone, choice.excluded),
            allowed=choice.allowed,
        )
        if in_basket is not None:
            query = replace(query, exclude=[*query.exclude, in_basket])
        width = min(max(operator.index(k), 0), self.num_items)
        if rules is None or table is None or not width:
            return self._run(query, width)
        if candidates is not None:
            kept = None  # what the rules leave of them is in the query
        if not rules.reranks:
            return self._best(query, width, kept)
        reranking = Reranking(rules, table, len(names))
        histories = [] if not rules.calibration else self._bought(names, rows, items)
        return self._by_rules(query, width, kept, reranking, rules.pool_size(width), histories)

    def answered_from(
        self,
        users: Iterable[str],
        history: Iterable[Iterable[str] | None] | None = None,
        history_age: Iterable[Iterable[float] | None] | None = None,
        *,
        inputs: Mapping[str, Iterable[Any]] | None = None,
        at: Any = None,
        basket: Iterable[Iterable[str] | None] | None = None,
    ) -> NDArray[np.object_]:
        """What the scores of each user come from: "purchases" (the id of a known customer, or a
        known item in the history), "attributes" (of the user or the request, where the model reads
        some and no purchase is known) or "popularity". Nothing is ranked.

        Args:
            users, history, history_age, inputs, at, basket: as given to `recommend`.

        Returns:
            Object (B,).

        Raises:
            BundleError: the bundle was exported by a version that did not tell.
            ValueError, TypeError: as `recommend`.
        """
        if _ANSWERED_FROM not in {entry["name"] for entry in self.manifest["outputs"]}:
            raise BundleError(
                f"{self._bundle.path} does not tell what answers come from: it was exported by an"
                " earlier version; export it again"
            )
        names = as_strings(users, "users")
        given = self._given(inputs, history_age)
        query = self._who(names, history, given, at, basket=_basket(basket, len(names)))
        found = np.empty(len(names), dtype=object)
        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        step = self._block_rows(query)
        for start in range(0, len(names), step):
            stop = min(start + step, len(names))
            feeds = query.feeds(start, stop, self._graph_inputs)
            feeds["k"] = np.array([0], dtype=np.int64)
            (found[start:stop],) = self._bundle.session.run([_ANSWERED_FROM], feeds, options)
        return found

    def reasons(
        self,
        users: Iterable[str],
        item_ids: Iterable[Iterable[str]],
        history: Iterable[Iterable[str] | None] | None = None,
        history_age: Iterable[Iterable[float] | None] | None = None,
        *,
        inputs: Mapping[str, Iterable[Any]] | None = None,
        at: Any = None,
        top: int = 3,
    ) -> Reasons:
        """The purchases that carry recommendations, of `recommend` or of whatever is shown in the
        end: the scores are explained, not the order. Needs a bundle with because.onnx.

        Args:
            users: user ids, B of them.
            item_ids: a row of K items for each user; "" and unknown items have no reasons.
            history, history_age, inputs, at: as given to `recommend`.
            top: N, reasons of an item at most.

        Raises:
            BundleError: the bundle holds no reasons, or no purchases and none are given.
            ValueError, TypeError: as `recommend`; or rows of items differ in length.
        """
        self.require_reasons(history is not None)
        names = as_strings(users, "users")
        recommended = as_item_rows(item_ids, len(names))
        query = self._who(names, history, self._given(inputs, history_age), at, always=True)
        return self._explained(query, recommended, max(operator.index(top), 1))

    def add_items(self, items: Mapping[str, Sequence[Any]], output: str | Path) -> "Recommender":
        """The bundle with items that were not there when it was trained, written to a folder and
        opened: they are placed by what they are, without training, and old scores stay.

        Args:
            items: by name of the column, one value of each item, such as a data frame: `item_id`,
                and columns that the manifest names under `new_items`. Text is a category, the
                values of a list with | between them, or words; None, NaN and "" are missing.
            output: folder of the bundle to write, which may be this one.

        Raises:
            BundleError: the bundle takes no new items.
            ConfigError: the items have none of the columns that the model reads.
            DataError: an id is missing, comes twice or is in the catalogue already, or a value
                cannot be used.
        """
        from recsys.inference.adding import add_items

        add_items(self._bundle, items, Path(output))
        return Recommender(output, self._opened[1])

    def _who(
        self,
        users: list[str],
        history: Iterable[Iterable[str] | None] | None,
        given: Mapping[str, Iterable[Any]],
        at: Any,
        *,
        basket: ListColumn | None = None,
        always: bool = False,
    ) -> _Query:
        """What is known of users, for an answer that chooses no items; see `_purchases`."""
        rows = None if history is None else as_rows(history, "history", len(users))
        items = None if rows is None else as_id_lists(rows, "history")
        return _Query(
            values=self._values(users, given, at),
            purchases=self._purchases(users, rows, items, given, basket, always),
            exclude=[],
            exclude_all=np.empty(0, dtype=object),
        )

    def require_reasons(self, history_given: bool) -> None:
        """Raises a BundleError where `reasons` has nothing to answer from."""
        if not self.holds_reasons:
            raise BundleError(
                f"{self._bundle.path} holds no {BECAUSE}, so there are no reasons: export it with"
                " because=true"
            )
        if not (history_given or self.holds_seen):
            raise BundleError(
                f"{self._bundle.path} holds no {SEEN}, and reasons are purchases: give the history,"
                " or export it with seen=true"
            )

    def _explained(self, query: _Query, item_ids: NDArray[np.object_], top: int) -> Reasons:
        """Reasons of items (B, K), computed in blocks."""
        entry = cast(BecauseEntry, self.manifest["because"])
        read = [value["name"] for value in entry["inputs"] if value["name"] != "item_id"]
        lengths = sum(
            (source.lengths for source in query.purchases["history"]),
            start=np.zeros(query.num_users, dtype=np.int64),
        )  # (B,)
        longest = int(lengths.max(initial=0))
        step = block_users(entry, self.num_items, item_ids.shape[1], longest)
        found = []
        for start in range(0, query.num_users, step):
            stop = min(start + step, query.num_users)
            feeds = query.feeds(start, stop, self._graph_inputs)
            feeds = {name: feeds[name] for name in read} | {"item_id": item_ids[start:stop]}
            contribution, rest = self._because.run(["contribution", "rest"], feeds)
            block = item_ids[start:stop], feeds["history"], contribution, rest
            found.append(merged(*block, top, self.item_names))
        return joined(found, item_ids, top, self.item_names)

    @cached_property
    def _because(self) -> onnxruntime.InferenceSession:
        """The graph of reasons, opened when it is first asked."""
        return open_because(self._bundle, self._opened[1])

    def _given(
        self,
        inputs: Mapping[str, Iterable[Any]] | None,
        history_age: Iterable[Iterable[float] | None] | None,
    ) -> dict[str, Iterable[Any]]:
        """Further inputs of the model that a caller gives, by name."""
        if not isinstance(inputs, Mapping | None):
            raise TypeError(
                f"inputs is a {type(inputs).__name__}: give a mapping from the names of inputs to"
                " their values"
            )
        given = dict(inputs or {})
        for name in given:
            if name not in self.inputs:
                raise ValueError(unknown(name, self.inputs, "input of this bundle"))
        if history_age is not None and self.reads_age:
            given["history_age"] = history_age
        return given

    def _values(
        self, users: list[str], given: Mapping[str, Iterable[Any]], at: Any
    ) -> dict[str, NDArray[Any]]:
        """The inputs with one value a user (B,)."""
        values = {"user_id": np.array(users, dtype=object)}
        for name, entry in self.inputs.items():
            if entry.per_purchase:
                continue
            if name in given:
                values[name] = as_values(given[name], name, entry.type, len(users))
            elif entry.source in CLOCK_SOURCES:
                times = local_times(at, self.manifest.get("timezone", "UTC"), len(users))
                values[name] = clock_value(entry.source, times)
            else:
                values[name] = missing_values(entry.type, len(users))
        return values

    def _purchases(
        self,
        users: list[str],
        rows: list[Any] | None,
        items: ListColumn | None,
        given: Mapping[str, Iterable[Any]],
        basket: ListColumn | None = None,
        always: bool = False,
    ) -> dict[str, list[ListSource]]:
        """The inputs with one value a purchase: from `rows` (`items`, flat), else from seen.npz,
        and at last from the basket; none where no score depends on them, unless `always`.
        """
        found: dict[str, list[ListSource]] = {}
        reads = self.reads_history or always
        stored = None
        if reads and self._seen is not None:
            stored = self._seen.of(users)
            if rows is not None:
                stored = stored.where(np.array([row is None for row in rows], dtype=bool))
        for name, entry in self._graph_inputs.items():
            if not entry.per_purchase:
                continue
            sources: list[ListSource] = []
            if reads and items is not None:
                sources.append(
                    items if name == "history" else self._beside(entry, items, given.get(name))
                )
            if stored is not None:
                sources.append(replace(stored, source=entry.source))
            if reads and basket is not None:
                sources.append(basket if name == "history" else _of_now(entry, basket))
            found[name] = sources
        return found

    def _beside(
        self, entry: GraphInput, items: ListColumn, values: Iterable[Any] | None
    ) -> ListColumn:
        """A number for each purchase in a given history."""
        count = len(items.lengths)
        if values is None and len(items.values):
            raise ValueError(
                f"{self._bundle.path} reads {entry.name}: give it, one number for each purchase in "
                "history"
            )
        rows = [None] * count if values is None else as_rows(values, entry.name, count)
        return as_number_lists(rows, entry.name, items)

    def _exclude_sources(
        self, users: list[str], excluded: _Exclusion, items: ListColumn | None, choice: Choice
    ) -> list[ListSource]:
        """Items that are excluded for each user."""
        others = [] if choice.excluded_rows is None else [choice.excluded_rows]
        if not excluded.seen:
            return others if excluded.rows is None else [excluded.rows, *others]
        if self._seen is None:
            raise BundleError(
                f"{self._bundle.path} holds no {SEEN}, so purchases cannot be excluded: export it "
                "with seen=true, or give the item ids in exclude"
            )
        return [self._seen.of(users), *([] if items is None else [items]), *others]

    def _choice(
        self, candidates: Iterable[Any] | None, kept: NDArray[np.bool_] | None, num_users: int
    ) -> Choice:
        """Candidates to choose from, of which rules leave those that are `kept`."""
        if candidates is None:
            return Choice()
        found = Candidates.parse(candidates, num_users)
        return found.choice(self._catalogue, kept, ALLOWED in self._graph_inputs, num_users)

    def _item_table(
        self, rules: Rules | None, given: ItemTable | Mapping[str, Mapping[str, Any]] | None
    ) -> ItemTable:
        """Columns of the items for one call."""
        if given is None:
            return self.items
        if rules is None:
            raise ValueError("item_columns has no effect without rules: leave it out")
        if isinstance(given, ItemTable):
            return given
        if not isinstance(given, Mapping):
            raise TypeError(
                f"item_columns is a {type(given).__name__}: give a mapping from names of columns to"
                " mappings from item ids to values"
            )
        return self.items.with_columns(given)

    def _bought(
        self, users: list[str], rows: list[Any] | None, items: ListColumn | None
    ) -> list[ListSource]:
        """What each user bought, whether or not the model reads it."""
        if items is not None and rows is not None:
            if self._seen is None:
                return [items]
            stored = self._seen.of(users)
            return [items, stored.where(np.array([row is None for row in rows], dtype=bool))]
        if self._seen is None:
            raise BundleError(
                f"{self._bundle.path} holds no {SEEN}, and calibration looks at what each user"
                " bought: export it with seen=true, or give history"
            )
        return [self._seen.of(users)]

    def _best(
        self, query: _Query, width: int, kept: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """The best of the items that are kept, (B, width)."""
        if kept is None:
            return self._run(query, width)
        # Telling the graph of many items takes longer than asking for a few more than wanted,
        # which are the same ones where enough of them are kept.
        share = np.count_nonzero(kept) / len(kept)
        reach = int(1.3 * width / share) + _MORE
        if reach > self.num_items // _LARGEST_PART:
            return self._run(self._only(query, kept), width)
        item_ids, scores = self._run(query, reach)
        is_kept = np.append(kept, False)[self._catalogue.places(item_ids)]
        best = np.argsort(~is_kept, axis=1, kind="stable")[:, :width]
        item_ids, scores, is_kept = (
            np.take_along_axis(each, best, axis=1) for each in (item_ids, scores, is_kept)
        )
        short = np.flatnonzero(~is_kept.all(axis=1))
        if len(short):
            again = self._run(self._only(query.select(short), kept), width)
            item_ids[short], scores[short] = again
        return item_ids, scores

    def _only(self, query: _Query, kept: NDArray[np.bool_]) -> _Query:
        """The query, with these items to choose from."""
        takes_allowed = ALLOWED in self._graph_inputs
        choice = Candidates().choice(self._catalogue, kept, takes_allowed, query.num_users)
        if choice.allowed is not None:
            return replace(query, allowed=choice.allowed)
        excluded = _joined(query.exclude_all.tolist(), choice.excluded)
        return replace(query, exclude_all=excluded)

    def _by_rules(
        self,
        query: _Query,
        width: int,
        kept: NDArray[np.bool_] | None,
        reranking: Reranking,
        pool: int,
        histories: Sequence[ListSource],
    ) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """Lists (B, width) that rules choose from pools, which grow where a list stays short."""
        item_ids = np.full((query.num_users, width), "", dtype=object)
        scores = np.full((query.num_users, width), -np.inf, dtype=np.float32)
        waiting = np.arange(query.num_users)
        while len(waiting):
            pool = min(pool, self.num_items)
            asked = query if len(waiting) == query.num_users else query.select(waiting)
            found, given = self._best(asked, pool, kept)
            # best first: columns without any item are the last
            filled = np.count_nonzero(~np.isneginf(given).all(axis=0))
            pools = Pools(self._catalogue.places(found[:, :filled]), given[:, :filled])
            short = np.zeros(len(waiting), dtype=bool)
            step = reranking.block_users(pool)
            for start in range(0, len(waiting), step):
                block = slice(start, start + step)
                mix = self._mix(reranking, histories, waiting[block])
                places = reranking.lists(pools.part(block), width, mix)  # (b, width)
                rows, is_shown = waiting[block], places >= 0
                of_pool = np.arange(start, start + len(rows))[:, None], np.maximum(places, 0)
                item_ids[rows] = np.where(is_shown, found[of_pool], "")
                scores[rows] = np.where(is_shown, given[of_pool], -np.inf)
                # a pool that is not full holds everything there is
                short[block] = ~is_shown.all(axis=1) & ~np.isneginf(given[block, -1])
            if pool == self.num_items:
                break
            waiting, pool = waiting[short], 8 * pool
            reranking.withdraw(self._catalogue.places(item_ids[waiting]))
        return item_ids, scores

    def _mix(
        self, reranking: Reranking, histories: Sequence[ListSource], users: NDArray[np.int64]
    ) -> NDArray[np.float32] | None:
        """What users bought, as a mix; None where no rule looks at it."""
        if not histories:
            return None
        rows = [SelectedRows(source, users).block(0, len(users)) for source in histories]
        bought = concatenated(rows)
        return reranking.mix(self._catalogue.places(bought.values), bought.lengths)

    @cached_property
    def _seen(self) -> Seen | None:
        content = self._bundle.optional_file(SEEN)
        return None if content is None else Seen(content, self._bundle.path / SEEN)

    @property
    def _catalogue(self) -> Catalogue:
        """The items, in the order of their columns."""
        return self.items.catalogue

    def _ids_of_graph(self) -> NDArray[np.object_]:
        """The items, in any order: the graph knows them, and gives all of them to one user."""
        values = {"user_id": np.array([""], dtype=object)}
        purchases: dict[str, list[ListSource]] = {}
        for name, entry in self._graph_inputs.items():
            if entry.per_purchase:
                purchases[name] = []
            elif entry.declared:
                values[name] = missing_values(entry.type, 1)
        query = _Query(values, purchases, [], np.empty(0, dtype=object))
        item_ids, _ = self._run(query, self.num_items)  # (1, I)
        ids: NDArray[np.object_] = item_ids[0]
        return ids

    def _run(self, query: _Query, width: int) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
        """Item ids and scores (B, width), computed in blocks."""
        total = query.num_users
        item_ids = np.empty((total, width), dtype=object)
        scores = np.empty((total, width), dtype=np.float32)
        step = self._block_rows(query)
        for start in range(0, total, step):
            stop = min(start + step, total)
            feeds = query.feeds(start, stop, self._graph_inputs)
            feeds["k"] = np.array([width], dtype=np.int64)
            item_ids[start:stop], scores[start:stop] = self._bundle.session.run(
                ["item_id", "score"], feeds
            )
        return item_ids, scores

    def _block_rows(self, query: _Query) -> int:
        """Users that fit into one block: both scores and strings are bounded."""
        floats_per_pair: int = self.manifest["floats_per_pair"] + _GRAPH_FLOATS_PER_PAIR
        floats = self.num_items * floats_per_pair
        strings = sum(
            (source.lengths for source in (*query.purchases.get("history", ()), *query.exclude)),
            start=np.full(query.num_users, len(query.exclude_all)),
        )  # (B,)
        if query.allowed is not None and not isinstance(query.allowed, np.ndarray):
            strings = strings + query.allowed.lengths
        widest = int(strings.max(initial=1))
        return max(1, min(_BLOCK_FLOATS // max(floats, 1), _BLOCK_STRINGS // max(widest, 1)))


def _basket(basket: Iterable[Iterable[str] | None] | None, num_users: int) -> ListColumn | None:
    """What each user has in the basket; None where nothing is said of baskets."""
    if basket is None:
        return None
    return as_id_lists(as_rows(basket, "basket", num_users), "basket", ordered=False)


def _of_now(entry: GraphInput, basket: ListColumn) -> ListColumn:
    """A number for each item in a basket: no day old, one unit."""
    value = 1.0 if entry.source == "history.quantity" else 0.0
    return replace(basket, values=np.full(len(basket.values), value, dtype=np.float32))


def _joined(ids: Sequence[str], more: NDArray[np.object_] | None) -> NDArray[np.object_]:
    """Ids in one object array (E,)."""
    array = np.array(ids, dtype=object)
    return array if more is None else np.concatenate([array, more])
