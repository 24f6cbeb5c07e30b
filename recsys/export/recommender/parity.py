"""The gate of the exporter: a graph that disagrees with torch does not leave.

Axes: B users in a run, I items, K items returned, L longest history, E excluded items a user, R
lists of allowed items (B, or 1 for all users), A items in them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from recsys.bundle.agreement import order_bound, score_bound
from recsys.errors import ExportError
from recsys.export.recommender.histories import Histories
from recsys.models.inputs import (
    USER,
    InputVocabulary,
    ModelInput,
    query_of,
    reads_history,
)
from recsys.models.recommender import DecidesWhomItServes, Recommender

_BATCH_SIZES = (1, 2, 17)
_NUM_USERS = 204  # twelve batches of the largest size
# Up to this size the whole catalogue is ranked for everyone; above it, for some of the users.
_WHOLE_CATALOGUE = 5_000
_TOP = 100
# Numbers are drawn below these, others below 50.
_NUMBERS = {"time.hour": 24, "time.weekday": 7}


class Catalogue(NamedTuple):
    """Ids by index, and what an unknown user gets.

    Attributes:
        user_ids: object (U,).
        item_ids: object (I,).
        popularity: buyers of each item, float32 (I,).
    """

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    popularity: NDArray[np.float32]


class _Group(NamedTuple):
    """Users of one query, and what torch says of them.

    Attributes:
        user_ids: object (B,).
        history: item ids, "" pads, object (B, L).
        more: values of further inputs by name, (B,) or (B, L).
        reference: scores of torch, fallback included, float32 (B, I).
    """

    user_ids: NDArray[np.object_]
    history: NDArray[np.object_]
    more: dict[str, NDArray[Any]]
    reference: NDArray[np.float32]

    def part(self, start: int, stop: int) -> "_Group":
        rows = slice(start, stop)
        more = {name: values[rows] for name, values in self.more.items()}
        return _Group(self.user_ids[rows], self.history[rows], more, self.reference[rows])

    def feeds(self) -> dict[str, NDArray[Any]]:
        """What the graph is given of it."""
        return {"user_id": self.user_ids, "history": self.history} | self.more


def check_parity(
    session: onnxruntime.InferenceSession,
    model: Recommender,
    catalogue: Catalogue,
    histories: Histories,
    vocabulary: InputVocabulary | None = None,
) -> float:
    """Compares the graph with torch for about 200 users, in batches of 1, 2 and 17.

    Every group of users holds one who falls back (an unknown id, an empty history); k goes from 0
    beyond the catalogue, what is excluded and what is allowed from nothing to everything. Scores
    have to agree within 1e-4, the order except between items whose scores differ by less than 1e-5,
    and exact ties have to go to the lower item index.

    Returns:
        The largest difference of two scores.

    Raises:
        ExportError: if they disagree, or the model gives a score that is no finite number.
    """
    generator = np.random.default_rng(0)
    lookup = {item: index for index, item in enumerate(catalogue.item_ids.tolist())}
    lookup[""] = len(catalogue.item_ids)
    num_items = len(catalogue.item_ids)
    # Index I of what is excluded: an id that no item has, because it is longer than the longest.
    excludable = np.append(catalogue.item_ids, [unknown_id(catalogue.item_ids)])
    largest = 0.0
    for number, group in enumerate(
        query_groups(model, catalogue, histories, vocabulary or InputVocabulary(), generator)
    ):
        whole = number % (1 + num_items // _WHOLE_CATALOGUE) == 0
        for size in _BATCH_SIZES:
            for run, start in enumerate(range(0, len(group.user_ids), size)):
                batch = group.part(start, start + size)
                turn, rows = number + run, len(batch.user_ids)
                k, excluded = _request(turn, whole, num_items, rows, generator)
                allowed = _allowed(turn, num_items, rows, generator)
                asked = {
                    "exclude": excludable[excluded],
                    "allowed": np.append(excludable, [""])[allowed],
                    "k": np.array([k], dtype=np.int64),
                }
                got = _run(session, batch, asked, lookup)
                barred = _barred(excluded, allowed, rows, num_items)
                largest = max(largest, _compare(got, batch, k, barred, catalogue.item_ids))
    return largest


def reference_scores(
    model: Recommender,
    user: NDArray[np.int64],
    history: NDArray[np.int64],
    popularity: NDArray[np.float32],
    more: Mapping[str, NDArray[Any]] | None = None,
) -> NDArray[np.float32]:
    """Scores of torch (B, I), with the fallback of a bundle.

    Args:
        model: on the CPU, in evaluation mode.
        user: indices, U for unknown (B,).
        history: item indices, I pads (B, L).
        popularity: buyers of each item (I,).
        more: further inputs by name, (B,) or (B, L), categories as indices.
    """
    columns = {name: torch.from_numpy(values) for name, values in (more or {}).items()}
    age = columns.pop("history_age", None)
    index = torch.from_numpy(user)
    if not isinstance(model, DecidesWhomItServes):
        index = torch.where(index == model.num_users, 0, index)
    with torch.no_grad():
        query = query_of(model, index, columns, torch.from_numpy(history), age)
        scores = model.score_all(query).numpy()
        if isinstance(model, DecidesWhomItServes):
            return np.where(model.serves(query).numpy()[:, None], scores, popularity)
    fallback = np.zeros(len(user), dtype=bool)
    if USER in model.inputs:
        fallback |= user == model.num_users
    if reads_history(model):
        fallback |= (history == model.num_items).all(axis=1)
    return np.where(fallback[:, None], popularity, scores)


def rank(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Item indices by score, highest first, exact ties to the lower index: (B, I) -> (B, I)."""
    return np.argsort(-scores, axis=1, kind="stable")


def unknown_id(ids: NDArray[np.object_]) -> str:
    """An id that is none of these, however odd they are: it is longer than the longest."""
    return str(max(ids.tolist(), key=len)) + "?"


def query_groups(
    model: Recommender,
    catalogue: Catalogue,
    histories: Histories,
    vocabulary: InputVocabulary,
    generator: np.random.Generator,
) -> Iterator[_Group]:
    """Known users, without repeats while there are enough; the last of each group falls back."""
    num_users, num_items = len(catalogue.user_ids), len(catalogue.item_ids)
    names = np.append(catalogue.user_ids, [unknown_id(catalogue.user_ids)])
    items = np.append(catalogue.item_ids, [""])
    drawn = np.resize(generator.permutation(num_users), _NUM_USERS)
    for user in drawn.reshape(-1, max(_BATCH_SIZES)):
        history = histories.padded(user, histories.items, num_items)  # (B, L)
        fed: dict[str, NDArray[Any]] = {}
        read: dict[str, NDArray[Any]] = {}  # the same, with indices for categories
        for each in model.inputs:
            if each.is_column:
                fed[each.name], read[each.name] = _drawn(each, len(user), vocabulary, generator)
            elif each.name in histories.numbers:
                # also of the last, whose history gives way to padding
                values = histories.padded(user, histories.numbers[each.name], 0)
                fed[each.name] = read[each.name] = values
        user = user.copy()
        user[-1], history[-1] = num_users, num_items
        if USER in model.inputs and reads_history(model):
            user[-2], history[-3] = num_users, num_items  # one of the two is known
        reference = reference_scores(model, user, history, catalogue.popularity, read)
        for row in np.flatnonzero(~np.isfinite(reference).all(axis=1)):
            raise ExportError(
                f"{type(model).__name__} scores {_first_odd(reference[row])} for user "
                f"{names[user[row]]!r}: scores have to be finite"
            )
        # Models that know users by their ids are given histories too: they must not matter.
        yield _Group(names[user], items[history], fed, reference)


def _drawn(
    each: ModelInput, size: int, vocabulary: InputVocabulary, generator: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values of an input, the last one missing: as the graph is given them and as the model is."""
    if each.is_category:
        known = vocabulary.categories(each.name)
        index = generator.integers(0, len(known) + 1, size)
        index[-1] = len(known)
        return np.append(known, [""]).astype(object)[index], index
    numbers = generator.integers(0, _NUMBERS.get(each.source, 50), size).astype(np.float32)
    numbers[-1] = np.nan
    return numbers, numbers


def _first_odd(scores: NDArray[np.float32]) -> float:
    return float(scores[~np.isfinite(scores)][0])


def _request(
    turn: int, whole: bool, num_items: int, rows: int, generator: np.random.Generator
) -> tuple[int, NDArray[np.int64]]:
    """In turn every form of a `k` and of excluded item indices (B, E), I excluding nothing."""
    k = num_items + 7 if whole else _TOP
    match turn % 6:
        case 0:
            return 0, np.full((rows, 1), num_items)
        case 1 | 2:
            return k, np.empty((rows, 0), dtype=np.int64)
        case 3 if whole:
            return k, np.broadcast_to(np.arange(num_items), (rows, num_items))
        case _:
            return k, generator.integers(0, num_items + 1, (rows, 1 + num_items // 20))


def _allowed(
    turn: int, num_items: int, rows: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """In turn every form of allowed item indices (R, A): I is an unknown item, I + 1 pads."""
    width = 1 + num_items // 20
    match turn % 5:
        case 0 | 1:
            return np.empty((1, 0), dtype=np.int64)
        case 2:
            return generator.integers(0, num_items + 2, (1, width))
        case 3:
            return np.full((rows, 2), [num_items + 1, num_items])
        case _:
            lists = generator.integers(0, num_items + 2, (rows, width))
            lists[-1] = num_items + 1  # nothing is said: everything
            return lists


def _barred(
    excluded: NDArray[np.int64], allowed: NDArray[np.int64], rows: int, num_items: int
) -> NDArray[np.bool_]:
    """What may not be returned, bool (B, I)."""
    left = np.zeros((len(allowed), num_items + 2), dtype=bool)  # (R, I + 2)
    np.put_along_axis(left, allowed, True, axis=1)
    left |= (allowed == num_items + 1).all(axis=1, keepdims=True)
    barred = ~np.broadcast_to(left, (rows, num_items + 2))
    np.put_along_axis(barred, excluded, True, axis=1)
    return barred[:, :num_items]


def _run(
    session: onnxruntime.InferenceSession,
    batch: _Group,
    asked: dict[str, NDArray[Any]],
    lookup: dict[str, int],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What the graph answers: item indices, I for none, and scores, both (B, K)."""
    try:
        found, scores = session.run(
            ["item_id", "score"],
            batch.feeds() | asked,
        )
    except Exception as error:
        raise ExportError(
            f"ONNX Runtime cannot run the graph for a batch of {len(batch.user_ids)}: {error}"
        ) from error
    items = np.fromiter(map(lookup.__getitem__, found.ravel().tolist()), np.int64, found.size)
    return items.reshape(found.shape), scores


def _compare(
    got: tuple[NDArray[np.int64], NDArray[np.float32]],
    batch: _Group,
    k: int,
    barred: NDArray[np.bool_],
    item_ids: NDArray[np.object_],
) -> float:
    """Compares one answer with the ranking of torch; the largest difference of two scores."""
    items, scores = got
    rows, num_items = batch.reference.shape
    where = f"the graph disagrees with torch in a batch of {rows}"
    if items.shape != (rows, min(k, num_items)) or scores.shape != items.shape:
        raise ExportError(f"{where}: the answer for k={k} has the shape {items.shape}")
    # One column more: I is no item on the way out.
    masked = np.where(barred, -np.inf, batch.reference)
    masked = np.pad(masked, ((0, 0), (0, 1)), constant_values=-np.inf)  # (B, I + 1)
    order = rank(masked[:, :num_items])[:, : items.shape[1]]  # (B, K)
    want = np.take_along_axis(masked, order, axis=1)
    found = np.take_along_axis(masked, items, axis=1)
    empty = np.isneginf(want)
    if not (
        np.array_equal(empty, np.isneginf(scores)) and np.array_equal(empty, items == num_items)
    ):
        raise ExportError(f"{where}: an excluded item is returned, or an empty place is not empty")
    want, found, scores = (np.where(empty, 0, values) for values in (want, found, scores))
    difference = np.abs(found - scores)
    # Written so that NaN fails.
    wrong = ~(difference <= score_bound(found))
    if wrong.any():
        row, place = np.unravel_index(np.argmax(np.where(wrong, difference, -1)), wrong.shape)
        raise ExportError(
            f"{where}: {item_ids[items[row, place]]!r} for user {batch.user_ids[row]!r} has the "
            f"score {scores[row, place]:.6g}, not {found[row, place]:.6g} (the worst difference)"
        )
    wrong = (items != order) & ~empty & ~(np.abs(want - found) < order_bound(want))
    # Exact ties of the graph itself go to the lower index; so no item comes twice either.
    tied = (scores[:, 1:] == scores[:, :-1]) & ~empty[:, 1:]
    wrong[:, 1:] |= tied & (items[:, 1:] <= items[:, :-1])
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise ExportError(
            f"{where}: place {place + 1} of user {batch.user_ids[row]!r} is "
            f"{item_ids[items[row, place]]!r}, not {item_ids[order[row, place]]!r} "
            f"(scores {found[row, place]:.6g} and {want[row, place]:.6g})"
        )
    return float(difference.max(initial=0.0))
