"""What is known before an origin: scale of MASE and RMSSE, weight of the weighted RMSSE.

Axes: B forecasts, N steps of all series together, S series.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Scale(NamedTuple):
    """What MASE and RMSSE divide by: mean of |d| and of d², where d is the seasonal difference."""

    absolute: Tensor
    squared: Tensor


def seasonal_scale(
    y: np.ndarray, indptr: np.ndarray, series: np.ndarray, origin: np.ndarray, seasonality: int
) -> Scale:
    """Mean of |y_t - y_(t - seasonality)| and of its square over all steps before an origin.

    Args:
        y: of all series, one after the other, (N,), NaN where missing: such differences are left
            out.
        indptr: where they begin, (S + 1,).
        series, origin: whose history, and up to which step, int64 (B,).
        seasonality: steps.

    Returns:
        float64 (B,), NaN where no difference is known.
    """
    difference = np.full(len(y), np.nan)
    difference[seasonality:] = (
        y[seasonality:].astype(np.float64) - y[: max(len(y) - seasonality, 0)]
    )
    known = ~np.isnan(difference)
    difference[~known] = 0.0
    end = indptr[series] + origin
    begin = indptr[series] + seasonality  # before it the difference reaches into another series
    count = segment_sums(known, begin, end)
    absolute = segment_sums(np.abs(difference), begin, end)
    squared = segment_sums(np.square(difference), begin, end)
    with np.errstate(invalid="ignore"):
        means = absolute / count, squared / count
    return Scale(*map(torch.from_numpy, means))


def recent_sales(
    y: np.ndarray, indptr: np.ndarray, series: np.ndarray, origin: np.ndarray, steps: int
) -> np.ndarray:
    """Sum of y over the last `steps` before an origin, float64 (B,), at least 0: what RMSSE is
    weighted by. Arguments as of `seasonal_scale`.

    Source: Makridakis, Spiliotis and Assimakopoulos, M5 Accuracy Competition, IJF 2022.
    """
    end = indptr[series] + origin
    begin = indptr[series] + np.maximum(origin - steps, 0)
    return np.maximum(segment_sums(np.nan_to_num(y), begin, end), 0.0)


def segment_sums(values: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums of values[begin:end], float64 (B,); 0 where that is empty."""
    # a place to point to behind the last value
    padded = np.append(values.astype(np.float64), 0.0)
    begin = np.minimum(begin, len(values))
    # every other segment lies between two that are asked for
    bounds = np.stack([begin, np.maximum(end, begin)], axis=1).reshape(-1)
    sums = np.add.reduceat(padded, bounds)[::2] if len(begin) else np.zeros(0)
    return np.where(end > begin, sums, 0.0)
