"""Recommends for every user of a file, in memory that does not grow with the file.

Axes: B users in a chunk, K items a user.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.errors import ConfigError, DataError
from recsys.inference.batch.columns import check_kinds, ids, lists, numbers, row_errors, texts
from recsys.inference.batch.input_table import Dialect, InputTable, check_paths, open_input
from recsys.inference.inputs import CLOCK_SOURCES
from recsys.inference.item_table import ItemTable
from recsys.inference.reasons import Reasons
from recsys.inference.recommender import Recommender
from recsys.inference.rules import Rules
from recsys.tables.cells import NumberColumn
from recsys.tables.writing import create_table

USER_COLUMN = "user_id"
HISTORY_COLUMN = "history"
OUTPUT = pa.schema(
    {"user_id": pa.string(), "rank": pa.int32(), "item_id": pa.string(), "score": pa.float32()}
)

# Largest number of output rows and of users in a chunk.
_CHUNK_OUTPUT = 2**20
_CHUNK_USERS = 2**13


class BatchResult(NamedTuple):
    """Counts of a batch.

    Attributes:
        users: users read.
        rows: rows written.
        seconds: time it took.
        popular_only: True where the model reads histories and there were none, so that all users
            got the most popular items.
        unknown: users who got them because the bundle does not know them, or nothing they bought.
        unknown_decimals: those of them whose id ends in ".0".
    """

    users: int
    rows: int
    seconds: float
    popular_only: bool
    unknown: int
    unknown_decimals: int


def recommend_file(
    recommender: Recommender,
    users: str | Path,
    output: Path,
    k: int = 10,
    exclude: Literal["seen"] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    at: Any = None,
    dialect: Dialect | None = None,
    because: int = 0,
    *,
    rules: Rules | None = None,
    item_columns: ItemTable | None = None,
    basket: str | None = None,
    answered_from: bool = False,
) -> BatchResult:
    """Reads users from a file and writes the best items of each.

    The columns written are user_id, rank (1 is the best), item_id and score; with reasons also
    because_1, share_1, because_2, … and because, the sentence for people; where it is asked for,
    answered_from.

    Args:
        recommender: an opened bundle.
        users: CSV or Parquet file, folder of Parquet files or SQL URL, with the column user_id and,
            optionally, history (list of item ids, latest last; a JSON list in text) for models that
            read histories, and the further inputs of the model (`Recommender.inputs`) under their
            names. An input of purchases, such as history_age, is a list beside history and required
            with it.
        output: CSV or Parquet file; it appears when it is complete.
        k: items a user; fewer rows are written where fewer items are left.
        exclude: "seen" leaves out what the user has bought.
        progress: called after each chunk with the number of users done and, if known, of all.
        at: moment of the request, as in `Recommender.recommend`.
        dialect: how the file is written, where it is not as the training table was.
        because: purchases that carry a recommendation, so many at most; empty where fewer do.
        rules: as in `Recommender.recommend`; a share of lists is one of the users of a chunk.
        item_columns: that rules read; None: those of the bundle.
        basket: column of the file with lists of items in the basket, see `Recommender.recommend`.
        answered_from: whether to write what the scores come from, see `Recommender.answered_from`.

    Raises:
        DataError: a file cannot be read or written, or a row cannot be used.
        BundleError: the bundle does not hold the purchases to be excluded, or reasons that are
            asked for.
    """
    started = time.perf_counter()
    check_paths(users, output, "users")
    dialect = dialect or Dialect()
    table = open_input(users, dialect, recommender.manifest, "users")
    kinds = _kinds(recommender, table, basket)
    _require_effect(recommender, at, dialect, table, kinds)
    readers = {name: NumberColumn(table.numerals) for name in kinds}
    popular_only = recommender.reads_history and not (
        HISTORY_COLUMN in kinds or recommender.holds_seen
    )
    chunk_users = max(1, min(_CHUNK_USERS, _CHUNK_OUTPUT // max(1, min(k, recommender.num_items))))
    no_history: list[list[str]] | None = [[]] if recommender.reads_history else None
    # what an unknown user gets; rules leave scores as they are, and the order not
    width = k if rules is None and basket is None else recommender.num_items
    popular = recommender.recommend([""], width, history=no_history)
    done = written = unknown = decimals = 0
    told = [pa.field("answered_from", pa.string())] if answered_from else []
    schema = pa.schema([*OUTPUT, *told, *_reason_fields(because)])
    if because:
        recommender.require_reasons(HISTORY_COLUMN in kinds)
    with table.sound(), create_table(output, schema) as target:
        for batch in table.batches(list(kinds), chunk_users):
            with row_errors(table, done):
                columns = _parsed(batch, kinds, readers)
                names = columns.pop(USER_COLUMN)
                history = columns.pop(HISTORY_COLUMN, None)
                baskets = None if basket is None else columns.pop(basket)
                if popular_only:
                    # Empty histories instead of none: the warning is given once, by the result.
                    history = [[]] * len(names)
                item_ids, scores = recommender.recommend(
                    names,
                    k,
                    exclude,
                    history,
                    inputs=columns,
                    at=at,
                    basket=baskets,
                    rules=rules,
                    item_columns=item_columns,
                )  # (B, K)
                reasons = _reasons(recommender, because, names, item_ids, history, columns, at)
                bases = None
                if answered_from:
                    bases = recommender.answered_from(
                        names, history, inputs=columns, at=at, basket=baskets
                    )
            fallback = _are_popular(item_ids, scores, popular)  # (B,)
            unknown += int(fallback.sum())
            decimals += int(np.char.endswith(np.array(names, dtype=str)[fallback], ".0").sum())
            kept = ~np.isneginf(scores)
            ranks = np.broadcast_to(np.arange(1, scores.shape[1] + 1), scores.shape)
            repeated = np.repeat(np.array(names, dtype=object), kept.sum(axis=1))
            more = [] if bases is None else [np.repeat(bases, kept.sum(axis=1))]
            more += _reason_columns(reasons, kept)
            target.write([repeated, ranks[kept], item_ids[kept], scores[kept], *more])
            done += len(names)
            written += len(repeated)
            if progress is not None:
                progress(done, table.num_rows)
        if not done:
            raise DataError(f"{table.where} has a header but no users")
    seconds = time.perf_counter() - started
    return BatchResult(done, written, seconds, popular_only, unknown, decimals)


def _reason_fields(because: int) -> list[pa.Field]:
    """What is written of reasons."""
    fields = []
    for number in range(1, because + 1):
        fields.append(pa.field(f"because_{number}", pa.string()))
        fields.append(pa.field(f"share_{number}", pa.float32()))
    return [*fields, pa.field("because", pa.string())] if because else []


def _reasons(
    recommender: Recommender,
    because: int,
    names: list[str],
    item_ids: NDArray[np.object_],
    history: list[Any] | None,
    columns: dict[str, list[Any]],
    at: Any,
) -> Reasons | None:
    """Of the recommendations of a chunk, if they are asked for."""
    if not because:
        return None
    return recommender.reasons(names, item_ids, history, inputs=columns, at=at, top=because)


def _reason_columns(reasons: Reasons | None, kept: NDArray[np.bool_]) -> list[NDArray[np.object_]]:
    """The columns of `_reason_fields` for the recommendations that are written (B, K)."""
    if reasons is None:
        return []
    because, share = reasons.because[kept], reasons.share[kept].astype(object)
    share[because == ""] = None
    because[because == ""] = None
    sentences = reasons.sentences()[kept]
    sentences[sentences == ""] = None
    pairs = zip(because.T, share.T, strict=True)
    return [*(column for pair in pairs for column in pair), sentences]


def _are_popular(
    item_ids: NDArray[np.object_],
    scores: NDArray[np.float32],
    popular: tuple[NDArray[np.object_], NDArray[np.float32]],
) -> NDArray[np.bool_]:
    """Which users (B,) got what an unknown user gets: the same items, or, where that is all items,
    any of them with the same scores.
    """
    if popular[0].shape[1] == item_ids.shape[1]:
        same: NDArray[np.bool_] = ((item_ids == popular[0]) & (scores == popular[1])).all(axis=1)
        return same
    score_of = dict(zip(popular[0][0].tolist(), popular[1][0].tolist(), strict=True))
    score_of[""] = -np.inf
    want = np.array([score_of[item] for item in item_ids.ravel().tolist()], dtype=np.float32)
    alike: NDArray[np.bool_] = (scores == want.reshape(scores.shape)).all(axis=1)
    return alike & ~np.isneginf(scores).all(axis=1)


def _require_effect(
    recommender: Recommender, at: Any, dialect: Dialect, table: InputTable, kinds: dict[str, str]
) -> None:
    """Refuses a moment and signs of numbers that nothing reads."""
    if "number" not in kinds.values():
        for name, value in (("decimal", dialect.decimal), ("thousands", dialect.thousands)):
            if value is not None:
                raise ConfigError(
                    f"{name}={value!r} has no effect on {table.where}, of which no numbers are"
                    " read; leave it out"
                )
    if at is None:
        return
    if not any(each.source in CLOCK_SOURCES for each in recommender.inputs.values()):
        raise ConfigError(
            f"at={at} has no effect: the model of this bundle reads neither hour nor weekday; leave"
            " it out"
        )


def _kinds(recommender: Recommender, table: InputTable, basket: str | None) -> dict[str, str]:
    """What is read of the table: kinds of values by column."""
    kinds = {USER_COLUMN: "id"} | ({} if basket is None else {basket: "ids"})
    histories = [HISTORY_COLUMN] if recommender.reads_history else []
    if basket in (USER_COLUMN, HISTORY_COLUMN, *recommender.inputs):
        raise ConfigError(
            f"basket={basket} is a column that is read as something else: name another"
        )
    if basket is not None and basket not in table.names:
        raise ConfigError(
            f"basket={basket}: {table.where} has no such column; it has {', '.join(table.names)}"
        )
    table.require_read([*kinds, *histories, *recommender.inputs])
    present = set(table.names)
    with_history = recommender.reads_history and HISTORY_COLUMN in present
    if with_history:
        kinds[HISTORY_COLUMN] = "ids"
    for name, entry in recommender.inputs.items():
        if entry.per_purchase:
            if with_history and name not in present:
                raise DataError(
                    f"{table.where} has a column {HISTORY_COLUMN!r} and no column {name!r}, which "
                    "this bundle needs: a list with a number for each item of history"
                )
            if with_history:
                kinds[name] = "numbers"
        elif name in present:
            kinds[name] = "text" if entry.type == "string" else "number"
    check_kinds(table, kinds)
    return kinds


def _parsed(
    batch: pa.RecordBatch, kinds: dict[str, str], readers: dict[str, NumberColumn]
) -> dict[str, list[Any]]:
    """Columns as `Recommender.recommend` takes them."""
    parse: dict[str, Callable[[pa.Array, str], Any]] = {
        "id": lambda column, name: ids(column, name).to_pylist(),
        "ids": lambda column, name: lists(column, name, "ids"),
        "numbers": lambda column, name: lists(column, name, "numbers"),
        "number": lambda column, name: numbers(column, name, readers[name]),
        "text": lambda column, name: texts(column),
    }
    return {name: parse[kind](batch[name], name) for name, kind in kinds.items()}
