"""How sure a metric of forecasts is: its interval over series.

Axes: R rows, a series in a window each.
"""

import math

import numpy as np
import pandas as pd


def half_width(table: pd.DataFrame, metric: str) -> float:
    """Half of the 95 % interval of a metric: 1.96 standard errors of the mean over windows of a
    ratio of sums over series, linearised. What a series adds in several windows is added up first,
    so that its windows need not be independent; that all series share the same weeks is not seen.

    NaN with fewer than two series, or for another metric than WAPE and MASE.

    Args:
        table: of per_series.parquet, (R,).
        metric: wape (absolute errors over sales) or mase (mean over series).

    Source: Cochran, Sampling Techniques, 1977, chapter 6 (variance of a ratio).
    """
    needed = {"wape": {"mae", "num_steps", "sum_y"}, "mase": {"mase"}}.get(metric)
    if needed is None or not needed <= set(table):
        return math.nan
    if metric == "wape":
        top, below = table["mae"] * table["num_steps"], table["sum_y"]
    else:
        top, below = table["mase"], table["mase"].notna().astype(float)
    rows = pd.DataFrame(
        {"series": table["series_id"], "window": table["window"], "top": top, "below": below}
    ).dropna()
    sums = rows.groupby("window")[["top", "below"]].transform("sum")
    rows, sums = rows[sums["below"] > 0], sums[sums["below"] > 0]
    windows = rows["window"].nunique()
    deviation = (rows["top"] - sums["top"] / sums["below"] * rows["below"]) / sums["below"]
    by_series = deviation.groupby(rows["series"]).sum().to_numpy(dtype=float) / max(windows, 1)
    size = len(by_series)
    if size < 2:
        return math.nan
    return 1.96 * math.sqrt(size / (size - 1) * float(np.square(by_series).sum()))
