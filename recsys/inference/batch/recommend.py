"""Recommends for every user of a file, in memory that does not grow with the file.

Axes: B users in a chunk, K items a user.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from recsys.errors import DataError
from recsys.inference.batch.files import check_paths, create_table, open_users
from recsys.inference.batch.tables import RECOMMENDATION_COLUMNS, Recommendations, UsersChunk
from recsys.inference.recommender import Recommender

# Rows of output that are held at once, and users of a chunk at most.
_CHUNK_OUTPUT = 2**20
_CHUNK_USERS = 2**13


class BatchResult(NamedTuple):
    """What was done.

    Attributes:
        users: users read.
        rows: rows written.
        seconds: time it took.
        impersonal: True where a model that reads histories had none, so that everyone got what is
            popular.
    """

    users: int
    rows: int
    seconds: float
    impersonal: bool


def recommend_file(
    recommender: Recommender,
    users: Path,
    output: Path,
    k: int = 10,
    exclude: Literal["seen"] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> BatchResult:
    """Reads users from a file and writes the best items of each.

    The columns written are user_id, rank (1 is the best), item_id and score.

    Args:
        recommender: an opened bundle.
        users: .csv or .parquet with the column user_id, and optionally history (Parquet: list of
            strings, CSV: JSON list of strings; latest last), read where the model reads histories,
            and history_age (a list of numbers likewise: days since each purchase), where it reads
            those.
        output: .csv or .parquet; it appears when all is written.
        k: items a user; fewer rows are written where fewer are left.
        exclude: "seen" leaves out what the user has bought.
        progress: called after each chunk with the users done and, where the file tells, the users
            in all.

    Raises:
        DataError: if a file cannot be used.
        BundleError: if the seen are to be excluded and the bundle does not hold them.
    """
    started = time.perf_counter()
    check_paths(users, output, "users")
    chunk_users = max(1, min(_CHUNK_USERS, _CHUNK_OUTPUT // max(1, min(k, recommender.num_items))))
    done = written = 0
    with open_users(users, chunk_users, recommender.reads_history, recommender.reads_age) as source:
        impersonal = recommender.reads_history and not (
            source.has_history or recommender.holds_seen
        )
        with create_table(output, RECOMMENDATION_COLUMNS) as target:
            for chunk in source.chunks:
                rows = _recommend_chunk(recommender, chunk, k, exclude, impersonal)
                target.write(rows)
                done += len(chunk.users)
                written += len(rows.users)
                if progress is not None:
                    progress(done, source.total)
            if not done:
                raise DataError(f"{users} holds no users, only a header")
    return BatchResult(done, written, time.perf_counter() - started, impersonal)


def _recommend_chunk(
    recommender: Recommender,
    chunk: UsersChunk,
    k: int,
    exclude: Literal["seen"] | None,
    impersonal: bool,
) -> Recommendations:
    """Recommendations for a chunk, without the places that stayed empty."""
    # An empty history instead of none: the result says once what a warning would say in each chunk.
    history = [[]] * len(chunk.users) if impersonal else chunk.history
    item_ids, scores = recommender.recommend(
        chunk.users, k, exclude, history, history_age=chunk.age
    )  # (B, K)
    kept = ~np.isneginf(scores)
    places = np.broadcast_to(np.arange(1, scores.shape[1] + 1, dtype=np.int32), scores.shape)
    return Recommendations(
        users=np.repeat(np.array(chunk.users, dtype=object), kept.sum(axis=1)),
        ranks=places[kept],
        items=item_ids[kept],
        scores=scores[kept],
    )
