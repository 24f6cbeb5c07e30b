"""Golden inputs and outputs of a bundle: what `verify`, in any language, replays.

Axes: B users of a case, L width of the histories, E excluded items a user, A allowed items, K
    items returned.
"""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.export.recommender.parity import unknown_id
from recsys.models.inputs import PER_PURCHASE, USER, InputVocabulary, ModelInput, reads_history
from recsys.models.recommender import Recommender

_K = 10
# A whole ranking is a sample only where it stays readable.
_SMALL_CATALOGUE = 200


class _Case(NamedTuple):
    name: str
    user_id: list[str]
    history: list[list[str]]
    exclude: list[list[str]]
    k: int
    allowed: list[list[str]] = [[]]

    def values(self, each: ModelInput, vocabulary: InputVocabulary) -> list[Any]:
        """Made-up values of a further input: of purchases 0 for the last of a row, 9 for the one
        before, …; of users small numbers, or categories and at last an unknown one.
        """
        if each.dims == PER_PURCHASE:
            return [[9.0 * n for n in range(len(row) - 1, -1, -1)] for row in self.history]
        rows = range(len(self.user_id))
        if each.is_category:
            known = vocabulary.categories(each.name).tolist()
            return [known[row % len(known)] if row < 2 else "" for row in rows]
        return [float(row + 1) for row in rows]


def golden_samples(
    session: onnxruntime.InferenceSession,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    model: Recommender,
    vocabulary: InputVocabulary | None = None,
) -> dict[str, object]:
    """A handful of runs of the graph, as plain JSON; null is the score -inf of an empty place.

    Where the model does not know users by their ids, users and histories are made up, so that the
    samples hold nothing of a customer.
    """
    generator = np.random.default_rng(0)
    users = ["user 1", "user 2", "user 3"]
    if USER in model.inputs:
        users = generator.choice(user_ids, size=3).tolist()
    histories: list[list[str]] = [[] for _ in users]
    if reads_history(model):
        histories = [generator.choice(item_ids, size=5).tolist() for _ in users]
        histories[1][:2] = ["", ""]
    nothing: list[list[str]] = [[], [], []]
    known = _Case("known users", users, histories, nothing, _K)
    vocabulary = vocabulary or InputVocabulary()
    more = [each for each in model.inputs if each.name not in _Case._fields]
    best: Any = _recorded(session, known, more, vocabulary)["item_id"]
    nobody, oddity = (
        unknown_id(user_ids) if USER in model.inputs else "nobody",
        unknown_id(item_ids),
    )
    excluded = [[*best[0][:3]], [best[1][0], "", oddity], ["", "", ""]]
    excluded = [(row + ["", "", ""])[:3] for row in excluded]
    # of the second nothing is known, of the third nothing is said
    allowed = [[*best[1], oddity], [oddity], []]
    allowed = [(row + [""] * (_K + 1))[: _K + 1] for row in allowed]
    cases = [
        known,
        _Case("one user", users[:1], histories[:1], [[]], _K),
        _Case("unknown user", [nobody], [[]], [[]], _K),
        _Case("excluded items", users, histories, excluded, _K),
        _Case("items to choose from", users, histories, excluded, _K, allowed),
        _Case("one list for all users", users, histories, nothing, _K, allowed[:1]),
        _Case("no items", users, histories, nothing, 0),
    ]
    if reads_history(model):
        strange = [[oddity, items[-1]] for items in histories]
        cases.append(_Case("unknown items in the history", users, strange, nothing, _K))
    if len(item_ids) <= _SMALL_CATALOGUE:
        cases.append(_Case("beyond the catalogue", users, histories, excluded, len(item_ids) + 5))
    return {"cases": [_recorded(session, case, more, vocabulary) for case in cases]}


def _recorded(
    session: onnxruntime.InferenceSession,
    case: _Case,
    more: list[ModelInput],
    vocabulary: InputVocabulary,
) -> dict[str, object]:
    """The case and what the graph answers; `more` are inputs beside those of every graph."""
    rows = len(case.user_id)
    feeds: dict[str, NDArray[Any]] = {
        "user_id": np.array(case.user_id, dtype=object),
        "history": np.array(case.history, dtype=object).reshape(rows, -1),
        "exclude": np.array(case.exclude, dtype=object).reshape(rows, -1),
        "allowed": np.array(case.allowed, dtype=object).reshape(len(case.allowed), -1),
        "k": np.array([case.k], dtype=np.int64),
    }
    given = case._asdict()
    for each in more:
        given[each.name] = case.values(each, vocabulary)
        kind: Any = object if each.dtype == "string" else np.float32
        shape = (rows, -1) if each.dims == PER_PURCHASE else (rows,)
        feeds[each.name] = np.array(given[each.name], dtype=kind).reshape(shape)
    item_ids, scores, bases = session.run(["item_id", "score", "answered_from"], feeds)
    plain = [[None if np.isneginf(score) else score for score in row] for row in scores.tolist()]
    answer = {"item_id": item_ids.tolist(), "score": plain, "answered_from": bases.tolist()}
    return given | answer
