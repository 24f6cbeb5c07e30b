"""Intervals of metrics in reports: bootstrap over customers or series, as in comparisons."""

import numpy as np
import pandas as pd

from recsys.evaluation.significance import bootstrap_intervals


def mean_interval(values: pd.Series) -> tuple[float, float] | None:
    """95 % interval of the mean of one value for each customer; None for fewer than two."""
    return _interval(values.to_numpy(dtype=float), np.ones(len(values)))


def metric_interval(table: pd.DataFrame | None, metric: str) -> tuple[float, float] | None:
    """95 % interval over series of WAPE or MASE, each a mean over windows of a ratio of sums.

    A series keeps all its windows in a resample, so they need not be independent. Dependence
    between series of the same weeks is not covered.

    Args:
        table: per_series.parquet, one row for each series and window.
        metric: wape (absolute errors over sales) or mase (mean over series).

    Returns:
        Low and high; None for another metric, fewer than two series, or missing columns.
    """
    needed = {"wape": {"mae", "num_steps", "sum_y"}, "mase": {"mase"}}.get(metric)
    if table is None or needed is None or not needed <= set(table):
        return None
    if metric == "wape":
        total, size = table["mae"] * table["num_steps"], table["sum_y"]
    else:
        total, size = table["mase"], table["mase"].notna().astype(float)
    rows = table[["series_id", "window"]].assign(total=total, size_=size).dropna()
    in_window = rows.groupby("window")["size_"].transform("sum")
    rows, in_window = rows[in_window > 0], in_window[in_window > 0]
    # every window has the same weight
    scaled = rows[["total", "size_"]].div(in_window * max(rows["window"].nunique(), 1), axis=0)
    sums = scaled.groupby(rows["series_id"]).sum()
    return _interval(sums["total"].to_numpy(dtype=float), sums["size_"].to_numpy(dtype=float))


def _interval(totals: np.ndarray, sizes: np.ndarray) -> tuple[float, float] | None:
    low, high = bootstrap_intervals(totals[None], sizes)[0].tolist()
    return None if np.isnan([low, high]).any() else (low, high)
