"""What every room's tests may build on."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.report import DataReport


@pytest.fixture(scope="session")
def purchases() -> Callable[..., Dataset]:
    """Turns rows (user_id, item_id[, timestamp]) into transactions."""

    def build(rows: list[tuple[str, ...]], **cleaning: object) -> Dataset:
        names = ("user_id", "item_id", "timestamp")[: len(rows[0])]
        columns = zip(*rows, strict=True)
        table = pa.table({name: list(values) for name, values in zip(names, columns, strict=True)})
        return clean_transactions(table, DataReport("rows"), Cleaning(**cleaning))  # type: ignore[arg-type]

    return build
