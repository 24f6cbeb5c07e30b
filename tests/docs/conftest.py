"""The tables that the documentation names, tiny."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CUSTOMERS, PRODUCTS, DAYS = 30, 15, 420


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of a small shop."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(1)
    lines = 2_000
    hour = np.sort(random.integers(0, DAYS * 24, lines))
    sales = pd.DataFrame(
        {
            "customer": random.integers(1, CUSTOMERS + 1, lines),
            "product": (PRODUCTS * random.random(lines) ** 2).astype(int) + 1,
            "sold_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(hour, unit="h"),
            "units": random.integers(1, 4, lines),
            "unit_price": random.integers(1, 20, lines) / 2,
            "store": random.choice(["1", "2"], lines),
            "comment": "",
        }
    )
    sales.to_csv(folder / "sales.csv", index=False)
    (folder / "tills").mkdir()
    for till, part in sales.groupby("store"):
        part.to_csv(folder / "tills" / f"{till}.csv", index=False)
    ids = np.arange(1, CUSTOMERS + 1)
    customers = {"customer": ids, "city": random.choice(["Bergen", "Oslo"], CUSTOMERS)}
    pd.DataFrame(customers).to_csv(folder / "customers.csv", index=False)
    pd.DataFrame({"user_id": ids[:5]}).to_csv(folder / "users.csv", index=False)
    ids = np.arange(1, PRODUCTS + 1)
    products = {
        "product": ids,
        "title": [f"Product {each}" for each in ids],
        "brand": random.choice(["Acme", "Best"], PRODUCTS),
        "shelf": ids % 7,
    }
    pd.DataFrame(products).to_csv(folder / "products.csv", index=False)
    days = pd.date_range("2024-01-01", periods=140, freq="D")
    series = pd.DataFrame(
        {
            "series_id": np.repeat(["bread", "milk", "tea"], len(days)),
            "timestamp": np.tile(days, 3),
            "y": random.poisson(8, 3 * len(days)).astype(float),
            "promotion": random.integers(0, 2, 3 * len(days)),
        }
    )
    # the last week is planned, not sold yet
    series.loc[series["timestamp"] > days[-8], "y"] = np.nan
    series.to_csv(folder / "series.csv", index=False)
    return folder
