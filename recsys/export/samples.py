"""Golden inputs and outputs of a bundle: what `verify`, in any language, replays.

Axes: B users of a case, L width of the histories, E excluded items a user, K items returned.
"""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.export.parity import unknown_id

_K = 10
# A whole ranking is a sample only where it stays readable.
_SMALL_CATALOGUE = 200


class _Case(NamedTuple):
    name: str
    user_id: list[str]
    history: list[list[str]]
    exclude: list[list[str]]
    k: int


def golden_samples(
    session: onnxruntime.InferenceSession,
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    reads_history: bool,
) -> dict[str, Any]:
    """A handful of runs of the graph, as plain JSON; null is the score -inf of an empty place.

    Where the model reads histories, users and histories are made up, so that the samples hold
    nothing of a customer.
    """
    generator = np.random.default_rng(0)
    if reads_history:
        users = ["user 1", "user 2", "user 3"]
        histories = [generator.choice(item_ids, size=5).tolist() for _ in users]
        histories[1][:2] = ["", ""]
    else:
        users = generator.choice(user_ids, size=3).tolist()
        histories = [[] for _ in users]
    nothing: list[list[str]] = [[], [], []]
    known = _Case("known users", users, histories, nothing, _K)
    best = _answer(session, known)["item_id"]
    nobody, oddity = unknown_id(user_ids) if not reads_history else "nobody", unknown_id(item_ids)
    excluded = [[*best[0][:3]], [best[1][0], "", oddity], ["", "", ""]]
    excluded = [(row + ["", "", ""])[:3] for row in excluded]
    cases = [
        known,
        _Case("one user", users[:1], histories[:1], [[]], _K),
        _Case("unknown user", [nobody], [[]], [[]], _K),
        _Case("excluded items", users, histories, excluded, _K),
        _Case("no items", users, histories, nothing, 0),
    ]
    if reads_history:
        strange = [[oddity, items[-1]] for items in histories]
        cases.append(_Case("unknown items in the history", users, strange, nothing, _K))
    if len(item_ids) <= _SMALL_CATALOGUE:
        cases.append(_Case("beyond the catalogue", users, histories, excluded, len(item_ids) + 5))
    return {"cases": [case._asdict() | _answer(session, case) for case in cases]}


def _answer(session: onnxruntime.InferenceSession, case: _Case) -> dict[str, Any]:
    rows = len(case.user_id)
    item_ids, scores = session.run(
        ["item_id", "score"],
        {
            "user_id": np.array(case.user_id, dtype=object),
            "history": np.array(case.history, dtype=object).reshape(rows, -1),
            "exclude": np.array(case.exclude, dtype=object).reshape(rows, -1),
            "k": np.array([case.k], dtype=np.int64),
        },
    )
    plain = [[None if np.isneginf(score) else score for score in row] for row in scores.tolist()]
    return {"item_id": item_ids.tolist(), "score": plain}
