"""Golden inputs and outputs of a bundle: what `verify`, in any language, replays.

Axes: B users of a case, L width of the histories, E excluded items a user, K items returned.
"""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.export.recommender.parity import unknown_id
from recsys.models.recommender import Recommender, reads_age

_K = 10
# A whole ranking is a sample only where it stays readable.
_SMALL_CATALOGUE = 200


class _Case(NamedTuple):
    name: str
    user_id: list[str]
    history: list[list[str]]
    exclude: list[list[str]]
    k: int

    def ages(self) -> list[list[float]]:
        """Made-up days since each purchase: 0 for the last of a row, 9 for the one before, …"""
        return [[9.0 * age for age in range(len(row) - 1, -1, -1)] for row in self.history]


def golden_samples(
    session: onnxruntime.InferenceSession,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    model: Recommender,
) -> dict[str, Any]:
    """A handful of runs of the graph, as plain JSON; null is the score -inf of an empty place.

    Where the model reads histories, users and histories are made up, so that the samples hold
    nothing of a customer.
    """
    generator = np.random.default_rng(0)
    if model.reads_history:
        users = ["user 1", "user 2", "user 3"]
        histories = [generator.choice(item_ids, size=5).tolist() for _ in users]
        histories[1][:2] = ["", ""]
    else:
        users = generator.choice(user_ids, size=3).tolist()
        histories = [[] for _ in users]
    nothing: list[list[str]] = [[], [], []]
    known = _Case("known users", users, histories, nothing, _K)
    with_age = reads_age(model)
    best = _recorded(session, known, with_age)["item_id"]
    nobody, oddity = (
        unknown_id(user_ids) if not model.reads_history else "nobody",
        unknown_id(item_ids),
    )
    excluded = [[*best[0][:3]], [best[1][0], "", oddity], ["", "", ""]]
    excluded = [(row + ["", "", ""])[:3] for row in excluded]
    cases = [
        known,
        _Case("one user", users[:1], histories[:1], [[]], _K),
        _Case("unknown user", [nobody], [[]], [[]], _K),
        _Case("excluded items", users, histories, excluded, _K),
        _Case("no items", users, histories, nothing, 0),
    ]
    if model.reads_history:
        strange = [[oddity, items[-1]] for items in histories]
        cases.append(_Case("unknown items in the history", users, strange, nothing, _K))
    if len(item_ids) <= _SMALL_CATALOGUE:
        cases.append(_Case("beyond the catalogue", users, histories, excluded, len(item_ids) + 5))
    return {"cases": [_recorded(session, case, with_age) for case in cases]}


def _recorded(session: onnxruntime.InferenceSession, case: _Case, with_age: bool) -> dict[str, Any]:
    """The case and what the graph answers."""
    given = case._asdict() | ({"history_age": case.ages()} if with_age else {})
    rows = len(case.user_id)
    feeds = {
        "user_id": np.array(case.user_id, dtype=object),
        "history": np.array(case.history, dtype=object).reshape(rows, -1),
        "exclude": np.array(case.exclude, dtype=object).reshape(rows, -1),
        "k": np.array([case.k], dtype=np.int64),
    }
    if with_age:
        feeds["history_age"] = np.array(case.ages(), dtype=np.float32).reshape(rows, -1)
    item_ids, scores = session.run(["item_id", "score"], feeds)
    plain = [[None if np.isneginf(score) else score for score in row] for row in scores.tolist()]
    return given | {"item_id": item_ids.tolist(), "score": plain}
