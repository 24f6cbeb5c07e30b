"""What several tests of whole runs share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def sales() -> pd.DataFrame:
    """Purchases of 20 customers and 25 products over 100 days."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.integers(0, 100, 800))
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, 800),
            "item_id": rng.integers(0, 25, 800),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        }
    )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sales: pd.DataFrame) -> Path:
    """A small table, in whose folder we are."""
    monkeypatch.chdir(tmp_path)
    sales.to_csv("sales.csv", index=False)
    return tmp_path
