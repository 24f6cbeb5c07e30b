"""Golden inputs and outputs of a forecaster bundle: what `verify`, in any language, replays.

Axes: B series of a case, T steps of history, H steps of the horizon, F covariates, Q quantiles.
"""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.export.recommender.parity import unknown_id
from recsys.models.forecaster import Forecaster
from recsys.steps import later

# Longer histories would make the file hard to read.
_LONGEST = 400
_START = 1_704_067_200  # Monday, 2024-01-01
_CYCLE = 7.0


def forecaster_samples(
    session: onnxruntime.InferenceSession, model: Forecaster, series_ids: NDArray[np.object_]
) -> dict[str, object]:
    """A handful of runs of the graph, as plain JSON; null is NaN.

    Histories and covariates are made up, so that the samples hold no sales of anyone.
    """
    generator = np.random.default_rng(0)
    names = np.resize(generator.permutation(series_ids), 3).tolist()
    length = min(model.history_length, _LONGEST)
    start = [later(_START, 3 * row, model.step) for row in range(3)]
    sold = _made_up_sales(length, generator)
    gaps = sold.copy()
    gaps[generator.random(gaps.shape) < 0.2] = np.nan
    odd = np.full((3, length), np.nan)
    odd[0], odd[1] = 0, 25
    odd[2, -1] = 4
    nobody = unknown_id(series_ids)
    cases: list[tuple[str, list[str], NDArray[Any]]] = [
        ("known series", names, sold),
        ("one series", names[:1], sold[:1]),
        ("unknown series", [nobody, "", names[0]], sold),
        ("missing values", names, gaps),
        ("zeros, a constant, one value", names, odd),
        ("one step of history", names[:2], sold[:2, -1:]),
        ("more history than is read", names[:1], np.hstack([sold[1:2, :3], sold[:1]])),
    ]
    samples = []
    for name, series, history in cases:
        steps = history.shape[1] + model.horizon
        ahead = generator.random((len(series), steps, model.num_covariates)).round(2)
        ahead[:, ::5] = np.nan
        samples.append(_case(session, name, series, history, start[: len(series)], ahead))
    return {"cases": samples}


def _made_up_sales(length: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Whole numbers that rise and fall, of three sizes (3, `length`)."""
    wave = 1 + 0.5 * np.sin(np.arange(length) * 2 * np.pi / _CYCLE)
    return generator.poisson(np.array([[3.0], [40.0], [900.0]]) * wave).astype(np.float64)


def _case(
    session: onnxruntime.InferenceSession,
    name: str,
    series: list[str],
    history: NDArray[np.float64],
    start: list[int],
    covariates: NDArray[np.float64],
) -> dict[str, object]:
    feeds = {
        "series_id": np.array(series, dtype=object),
        "history": history.astype(np.float32),
        "start": np.array(start, dtype=np.int64),
    }
    case = {"name": name, "series_id": series, "history": _plain(history), "start": start}
    if covariates.shape[2]:
        feeds["covariates"] = covariates.astype(np.float32)
        case["covariates"] = _plain(covariates)
    (forecast,) = session.run(["forecast"], feeds)
    return case | {"forecast": _plain(forecast)}


def _plain(values: NDArray[Any]) -> Any:
    """Nested lists; JSON has no NaN, null stands for it."""
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
