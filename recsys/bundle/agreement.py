"""Tolerances within which two rankings, or two forecasts, are equal.

Matrix products differ by about 1e-7 between runtimes, and between block sizes of one runtime.

Axes: B users or series, K items of a user, best first; T steps of history, H steps of the horizon,
    Q quantiles.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Scores agree within the first; items whose scores differ by less than the second may swap.
SCORE_BOUND = 1e-4
ORDER_BOUND = 1e-5
# Relative to large scores: about ten units in the last place of float32.
_RELATIVE_BOUND = 1e-6
# Relative to the mean |y| of a series, or to the forecast where that is larger.
FORECAST_BOUND = 1e-4
# Smallest scale: differences below a millionth of a unit are ignored.
_SMALLEST_SCALE = 1e-2


def score_bound(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest allowed difference from these scores, of the same shape."""
    return np.maximum(SCORE_BOUND, _RELATIVE_BOUND * np.abs(scores))


def order_bound(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest difference to the score of an item that may take their place, of the same shape."""
    return np.maximum(ORDER_BOUND, _RELATIVE_BOUND * np.abs(scores))


def check_same_ranking(
    want_items: NDArray[np.object_],
    want_scores: NDArray[np.float32],
    got_items: NDArray[np.object_],
    got_scores: NDArray[np.float32],
) -> float:
    """Compares two answers of a recommender.

    Args:
        want_items: item ids, "" where nothing is left, object (B, K).
        want_scores: -inf there (B, K).
        got_items: as want_items.
        got_scores: as want_scores.

    Returns:
        The largest difference of two scores.

    Raises:
        ValueError: naming the first row that disagrees.
    """
    shapes = {array.shape for array in (want_items, want_scores, got_items, got_scores)}
    if len(shapes) > 1:
        raise ValueError(f"the answer has the shape {got_scores.shape}, not {want_scores.shape}")
    empty = np.isneginf(want_scores)
    if not np.array_equal(empty, np.isneginf(got_scores)) or (got_items[empty] != "").any():
        raise ValueError("an excluded item is returned, or an empty place is not empty")
    want, got = np.where(empty, 0, want_scores), np.where(empty, 0, got_scores)
    difference = np.abs(want - got)
    # Written so that NaN fails.
    wrong = np.argwhere(~(difference <= score_bound(want)))
    if len(wrong):
        row, place = wrong[0]
        raise ValueError(
            f"row {row}, place {place} has the score {got[row, place]}, not {want[row, place]}"
        )
    for row, place in np.argwhere(want_items != got_items):
        distance = _distance(want_items[row], want[row], got_items[row], got[row], int(place))
        if not distance < order_bound(want[row])[place]:
            raise ValueError(
                f"row {row}, place {place} is {got_items[row, place]!r}, "
                f"not {want_items[row, place]!r}"
            )
    return float(difference.max(initial=0.0))


def _distance(
    want_items: NDArray[np.object_],
    want: NDArray[np.float32],
    got_items: NDArray[np.object_],
    got: NDArray[np.float32],
    place: int,
) -> float:
    """How far the two items at one place are apart, within one answer if one holds both."""
    if (found := np.flatnonzero(want_items == got_items[place])).size:
        return float(abs(want[found[0]] - want[place]))
    if (found := np.flatnonzero(got_items == want_items[place])).size:
        return float(abs(got[found[0]] - got[place]))
    return float(abs(want[place] - got[place]))


def forecast_scale(forecast: NDArray[np.float32], history: NDArray[np.float32]) -> NDArray[Any]:
    """Scale of differences between forecasts: |forecast|, or mean |y| where that is larger.

    Args:
        forecast: (B, H, Q).
        history: NaN where missing (B, T).

    Returns:
        float64 (B, H, Q), above 0; NaN where the forecast is NaN.
    """
    known = ~np.isnan(history)
    total = np.where(known, np.abs(history), 0).sum(axis=1, dtype=np.float64)  # (B,)
    mean = total / np.maximum(known.sum(axis=1), 1)
    floor = np.maximum(mean, _SMALLEST_SCALE)
    return np.maximum(np.abs(forecast.astype(np.float64)), floor[:, None, None])


def check_same_forecast(
    want: NDArray[np.float32], got: NDArray[np.float32], history: NDArray[np.float32]
) -> float:
    """Compares two answers of a forecaster.

    Where the history of a series holds no value, both may be NaN.

    Args:
        want: (B, H, Q).
        got: as want.
        history: input of both, NaN where missing (B, T).

    Returns:
        The largest difference relative to `forecast_scale`.

    Raises:
        ValueError: naming the largest difference beyond the tolerance.
    """
    if want.shape != got.shape:
        raise ValueError(f"the answer has the shape {got.shape}, not {want.shape}")
    nothing = np.all(np.isnan(history), axis=1, keepdims=True)[:, None]  # (B, 1, 1)
    both_nan = nothing & np.isnan(want) & np.isnan(got)
    scale = np.where(both_nan, 1, forecast_scale(want, history))
    difference = np.where(both_nan, 0, np.abs(want.astype(np.float64) - got) / scale)
    # Written so that NaN fails.
    wrong = ~(difference <= FORECAST_BOUND)
    if wrong.any():
        worst = np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1))
        row, step, quantile = np.unravel_index(worst, want.shape)
        raise ValueError(
            f"row {row}, step {step + 1}, quantile {quantile} is {got[row, step, quantile]:.6g}, "
            f"not {want[row, step, quantile]:.6g} (the worst difference)"
        )
    return float(difference.max(initial=0.0))
