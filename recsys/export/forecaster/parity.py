"""The gate for forecasters: a graph that disagrees with torch, or that forecasts no number, stays.

Axes: B series in a run, T steps of history, L steps that make a difference, H steps of the horizon,
    F covariates, Q quantiles.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from recsys.bundle.agreement import check_same_forecast
from recsys.errors import ExportError
from recsys.models.forecaster import Forecaster, Window
from recsys.steps import later, mean_seconds

_BATCH_SIZES = (1, 2, 17)
_LONGER = 37  # steps beyond those that make a difference
# Each row of a group is altered in one of these ways, or left as it is.
_ALTERATIONS = (
    "as given",
    "gaps",
    "no value",
    "zeros",
    "constant",
    "unknown series",
    "one value",
    "no recent value",
    "large",
    "another time",
    "unknown covariates",
)


class SampleWindows(NamedTuple):
    """Windows of the kind that the model forecasts, to compare on.

    Attributes:
        series: index of the series, int64 (B,).
        history: y, NaN where missing, float32 (B, T).
        start: local wall-clock seconds of the first step, counted as if UTC, int64 (B,).
        covariates: float32 (B, T + H, F); F may be 0.
    """

    series: NDArray[np.int64]
    history: NDArray[np.float32]
    start: NDArray[np.int64]
    covariates: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64] | slice) -> "SampleWindows":
        """Some of the windows."""
        return SampleWindows(*(column[rows] for column in self))  # type: ignore[arg-type]


def check_forecaster_parity(
    session: onnxruntime.InferenceSession,
    model: Forecaster,
    series_ids: NDArray[np.object_],
    windows: SampleWindows,
) -> float:
    """Compares the graph with torch in batches of 1, 2 and 17, for histories of several lengths.

    Histories have 1, 2, L - 1, L and L + 37 steps, gaps, no value at all, zeros only, one constant;
    series are known and unknown, covariates known and unknown. Forecasts have to agree within 1e-4
    of `inference.agreement.forecast_scale`, be finite wherever a history holds a value, ascend with
    the quantile, and not depend on what is older than L.

    Args:
        session: on the graph.
        model: on the CPU, in evaluation mode.
        series_ids: ids by series index (S,).
        windows: one at least.

    Returns:
        The largest difference, as a share of the scale.

    Raises:
        ExportError: if they disagree, or the model breaks what a forecaster promises.
    """
    generator = np.random.default_rng(0)
    names = np.append(series_ids, [str(max(series_ids.tolist(), key=len)) + "?"])
    length = model.history_length
    largest = 0.0
    for time in sorted({1, 2, max(1, length - 1), length, length + _LONGER}):
        for group in _groups(model, _of_length(windows, time, model), generator):
            want = _reference(model, group)
            _check_promises(model, group, want)
            for size in _BATCH_SIZES:
                for begin in range(0, len(want), size):
                    rows = slice(begin, begin + size)
                    part = group.take(rows)
                    got = _run(session, names[part.series], part)
                    largest = max(largest, _compare(want[rows], got, part))
    return largest


def _of_length(windows: SampleWindows, time: int, model: Forecaster) -> SampleWindows:
    """The windows with the last `time` steps of history, repeated where there are fewer."""
    width = windows.history.shape[1]
    steps = np.arange(width - time, width + model.horizon)  # negative before the start
    known = np.where(steps < 0, steps % max(width, 1), steps)
    return SampleWindows(
        windows.series,
        windows.history[:, known[:time]],
        later(windows.start, width - time, model.step),
        windows.covariates[:, known],
    )


def _groups(
    model: Forecaster, windows: SampleWindows, generator: np.random.Generator
) -> Iterator[SampleWindows]:
    """Two groups of as many windows as the largest batch; every alteration is in each of them."""
    drawn = np.resize(generator.permutation(len(windows.series)), 2 * max(_BATCH_SIZES))
    for rows in drawn.reshape(2, -1):
        group = windows.take(rows)  # a copy: rows are numbers
        for row in range(len(rows)):
            _alter(group, row, _ALTERATIONS[row % len(_ALTERATIONS)], model, generator)
        yield group


def _alter(
    group: SampleWindows, row: int, how: str, model: Forecaster, generator: np.random.Generator
) -> None:
    history, time = group.history[row], group.history.shape[1]
    match how:
        case "gaps":
            history[generator.random(time) < 0.3] = np.nan
        case "no value":
            history[:] = np.nan
        case "zeros":
            history[:] = 0
        case "constant":
            history[:] = 7.3
        case "unknown series":
            group.series[row] = model.num_series
        case "one value":
            history[:] = np.nan
            history[generator.integers(time)] = 12
        case "no recent value":
            history[time // 2 + 1 :] = np.nan
        case "large":
            history *= 1e4
        case "another time":
            # From before 1970 to after 2038, on the grid of the series.
            hours = int(generator.integers(-500_000, 500_000))
            steps = hours * 3_600 // mean_seconds(model.step)
            group.start[row] = later(group.start[row], steps, model.step)
        case "unknown covariates":
            covariates = group.covariates[row]
            covariates[generator.random(covariates.shape) < 0.5] = np.nan


def _reference(model: Forecaster, group: SampleWindows) -> NDArray[np.float32]:
    """Forecasts of torch (B, H, Q)."""
    with torch.no_grad():
        window = Window(*(torch.from_numpy(np.ascontiguousarray(column)) for column in group))
        forecast: NDArray[np.float32] = model.forward(window).numpy()
    return forecast


def _check_promises(model: Forecaster, group: SampleWindows, want: NDArray[np.float32]) -> None:
    """What users of a bundle rely on, whatever the runtime."""
    name, time = type(model).__name__, group.history.shape[1]
    shape = (len(group.series), model.horizon, len(model.quantiles))
    if want.shape != shape:
        raise ExportError(f"{name} forecasts the shape {want.shape}, not {shape}")
    length = model.history_length
    known = np.any(~np.isnan(group.history[:, -length:]), axis=1, keepdims=True)[:, 0]  # (B,)
    odd = ~np.isfinite(want) & known[:, None, None]
    if odd.any():
        row, step, quantile = np.argwhere(odd)[0]
        raise ExportError(
            f"{name} forecasts {want[row, step, quantile]} for step {step + 1} from a history of "
            f"{time} steps: forecasts have to be finite wherever a history holds a value"
        )
    if (np.diff(want[known], axis=2) < 0).any():
        raise ExportError(
            f"{name} forecasts a quantile below a lower one: they have to ascend along the last "
            "axis"
        )
    same = _reference(model, _filled(group, model))
    try:
        check_same_forecast(want, same, group.history[:, -length:])
    except ValueError as error:
        raise ExportError(
            f"{name} does not read a history of {time} steps as the {length} of history_length, "
            f"older ones cut and missing ones NaN: {error}"
        ) from error


def _filled(group: SampleWindows, model: Forecaster) -> SampleWindows:
    """The same windows with exactly L steps of history."""
    missing = model.history_length - group.history.shape[1]
    older, pad = max(0, -missing), (max(0, missing), 0)
    return SampleWindows(
        group.series,
        np.pad(group.history[:, older:], ((0, 0), pad), constant_values=np.nan),
        later(group.start, -missing, model.step),
        np.pad(group.covariates[:, older:], ((0, 0), pad, (0, 0)), constant_values=np.nan),
    )


def _run(
    session: onnxruntime.InferenceSession, names: NDArray[np.object_], part: SampleWindows
) -> NDArray[np.float32]:
    """What the graph answers (B, H, Q)."""
    feeds = {"series_id": names, "history": part.history, "start": part.start}
    if part.covariates.shape[2]:
        feeds["covariates"] = part.covariates
    try:
        (forecast,) = session.run(["forecast"], feeds)
    except Exception as error:
        raise ExportError(
            f"ONNX Runtime cannot run the graph for a batch of {len(names)} with "
            f"{part.history.shape[1]} steps of history: {error}"
        ) from error
    return np.asarray(forecast)


def _compare(want: NDArray[np.float32], got: NDArray[np.float32], part: SampleWindows) -> float:
    try:
        return check_same_forecast(want, got, part.history)
    except ValueError as error:
        raise ExportError(
            f"the graph disagrees with torch in a batch of {len(want)} with "
            f"{part.history.shape[1]} steps of history: {error}"
        ) from error
