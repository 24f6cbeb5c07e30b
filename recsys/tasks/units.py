"""The tables of tests by which runs of the built-in tasks are compared."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from recsys.comparison.units import Ratio, Slice, UnitTable
from recsys.data.fingerprint import fingerprint
from recsys.evaluation.significance import purchase_groups
from recsys.metrics.registry import direction_of
from recsys.reports.labels import SLICES
from recsys.runs.folder import RunFolder

# slices of evaluation.segment_column, those with the most customers
_SEGMENTS = 12
_ITEMS = {
    "head": "most bought items, which make up 80 % of the customer-item pairs",
    "tail": "all other items",
}


def _customers(folder: Path, rows: pd.DataFrame) -> Sequence[Slice]:
    """Customers by purchases in the fitted part, and items by popularity."""
    run = RunFolder(folder)
    users = run.read_vocabulary().user_ids.astype(str)
    purchases = pd.Series(run.read_history().lengths().numpy(), index=users)
    bought = purchases.reindex(rows["unit"]).fillna(0).to_numpy(dtype=int)
    groups = purchase_groups(bought).items()
    described = []
    if "has_attributes" in rows and rows["has_attributes"].nunique() > 1:
        has = rows["has_attributes"].to_numpy(dtype=bool)
        described = [
            Slice("customers with attributes", "a row in the table of users", has),
            Slice("customers without attributes", "none", ~has),
        ]
    if "segment" in rows:
        column = run.read_config().get("evaluation", {}).get("segment_column")
        largest = rows["segment"].value_counts().index[:_SEGMENTS]
        described += [
            Slice(
                f"{column}: {name or 'not known'}",
                "",
                (rows["segment"] == name).to_numpy(),
            )
            for name in sorted(largest, key=lambda each: (not each, each))
        ]
    return [
        *(Slice(f"{name} customers", _range(bought[rows]), rows) for name, rows in groups),
        *described,
        *(Slice(f"{part} items", meaning, None, part) for part, meaning in _ITEMS.items()),
    ]


def _test_fingerprint(folder: Path, table: pd.DataFrame) -> str:
    """Of what was fitted before the test, and of the evaluated users and their sizes of truth."""
    run = RunFolder(folder)
    vocabulary, history = run.read_vocabulary(), run.read_history()
    evaluated = table.sort_values(["view", "user_id"], kind="stable")
    columns = (evaluated[name].to_numpy() for name in ("view", "user_id", "num_truth"))
    fitted = history.indptr.numpy(), history.values.numpy()
    return fingerprint(vocabulary.user_ids, vocabulary.item_ids, *fitted, *columns)


def _series(folder: Path, rows: pd.DataFrame) -> Sequence[Slice]:
    """Intermittent, short and new series."""
    return [
        Slice(f"{name} series", words.meaning, rows[name].to_numpy(dtype=bool))
        for name, words in SLICES.items()
        if words.meaning and name in rows and rows[name].any()
    ]


def _range(bought: "pd.Series[int]") -> str:
    low, high = int(bought.min()), int(bought.max())
    words = f"{low:,} to {high:,}" if low < high else f"{low:,}"
    return f"{words} purchases before"


RANKING_UNITS = UnitTable(
    file="per_user.parquet",
    unit="user_id",
    noun="customer",
    nouns="customers",
    direction=direction_of,
    view="view",
    truth=("num_truth",),
    slices=_customers,
    test_fingerprint=_test_fingerprint,
)
FORECAST_UNITS = UnitTable(
    file="per_series.parquet",
    unit="series_id",
    noun="series",
    nouns="series",
    direction=direction_of,
    window="window",
    # as recsys.metrics.forecast pools them; the root of a pooled mean (rmse) is no such ratio, bias
    # and coverage have no better direction
    ratios={
        "wape": Ratio("mae", "num_steps", "sum_y"),
        "mae": Ratio("mae", "num_steps", "num_steps"),
        "pinball": Ratio("pinball", "num_steps", "num_steps"),
        "pinball_scaled": Ratio("pinball", "num_steps", "sum_y", 2.0),
        "smape": Ratio("smape"),
        "mase": Ratio("mase"),
        "rmsse": Ratio("rmsse"),
    },
    truth=("num_steps",),
    slices=_series,
)
