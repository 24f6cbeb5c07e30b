"""A made-up shop of any size, written as a table of transactions."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

ROWS_AT_ONCE = 1_000_000
TASTES = 20
YEAR = 365 * 86_400
OPENING = 1_704_067_200  # 2024-01-01 UTC


def write_transactions(path: Path, rows: int, users: int, items: int, seed: int) -> None:
    """Writes a year of purchases as Parquet, in order of time: user_id, item_id, timestamp,
    quantity.

    Items sell by Zipf's law; customers differ as much as the square root of their rank; every other
    purchase of a customer is of a taste that a twentieth of all customers and items share.
    """
    generator = np.random.default_rng(seed)
    item_share = _cumulated(items, 1.0)
    user_share = _cumulated(users, 0.5)
    # ranks say nothing about ids
    user_ids = _ids("customer", generator.permutation(users))
    item_ids = _ids("article", generator.permutation(items))
    beside = path.with_suffix(".partial")
    writer = None
    for start in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - start)
        user = np.searchsorted(user_share, generator.random(count))
        item = np.searchsorted(item_share, generator.random(count))
        of_taste = item - item % TASTES + user % TASTES
        item = np.where((generator.random(count) < 0.5) & (of_taste < items), of_taste, item)
        second = OPENING + (start + np.arange(count)) * YEAR // rows
        table = pa.table(
            {
                "user_id": user_ids.take(pa.array(user)),
                "item_id": item_ids.take(pa.array(item)),
                "timestamp": pa.array(second).cast(pa.timestamp("s")),
                "quantity": pa.array(1 + generator.poisson(0.5, count).astype(np.int32)),
            }
        )
        writer = writer or pa.parquet.ParquetWriter(beside, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    os.replace(beside, path)


def _cumulated(size: int, power: float) -> np.ndarray:
    share = (1.0 / np.arange(1, size + 1) ** power).cumsum()
    share /= share[-1]
    return share


def _ids(kind: str, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{kind}-{number:07d}" for number in numbers.tolist()])
