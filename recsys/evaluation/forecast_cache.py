"""Forecasts of statistical methods on disk, keyed by input hash: baselines are computed once.

Axes: W windows, S series, H steps of the horizon, Q quantiles, M forecasts (a series in a window).
"""

import json
import os
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError
from recsys.models.forecaster import ForecastsPanel

# changes whenever the same settings would give other numbers
CACHE_FORMAT = "2"


def cached_forecast(
    model: ForecastsPanel, panel: SalesPanel, phase: ForecastPhase, quantiles: tuple[float, ...]
) -> np.ndarray:
    """`model.forecast`, or what it gave before, kept in the folder RECSYS_CACHE (default
    runs/cache) with the `counts` and `seconds` of that time.

    Returns:
        float32 (W, S, H, Q).

    Raises:
        ConfigError: the folder cannot be made.
    """
    window, series = np.nonzero(phase.origin >= 0)
    file = _folder() / f"{_key(model, panel, phase, series, quantiles)}.npz"
    kept = _read(file, (len(window), phase.horizon, len(quantiles)))
    if kept is None:
        forecast = model.forecast(panel, phase, quantiles)
        _write(file, forecast[window, series], model.counts, model.seconds)
        return forecast
    values, model.counts, model.seconds = kept
    shape = (*phase.origin.shape, phase.horizon, len(quantiles))
    forecast = np.full(shape, np.nan, dtype=np.float32)
    forecast[window, series] = values
    return forecast


def _key(
    model: ForecastsPanel,
    panel: SalesPanel,
    phase: ForecastPhase,
    series: np.ndarray,
    quantiles: tuple[float, ...],
) -> str:
    """Hash of everything that a forecast depends on."""
    settings = (
        CACHE_FORMAT,
        model.cache_key,
        panel.step,
        panel.season,
        phase.horizon,
        tuple(quantiles),
    )
    digest = sha256(repr(settings).encode())
    origins = phase.origin[phase.origin >= 0].astype(np.int64)
    for array in (panel.y.astype(np.float32), panel.indptr[series].astype(np.int64), origins):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def _folder() -> Path:
    folder = Path(os.environ.get("RECSYS_CACHE") or "runs/cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: baselines cannot be kept there ({error.strerror}); set RECSYS_CACHE to a"
            " folder that can be written to"
        ) from error
    return folder


def _read(file: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, dict[str, int], float] | None:
    """What `_write` wrote; None where there is no file, or none that can be read."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            values, about = kept["forecast"], json.loads(str(kept["about"]))
        counts = {name: int(count) for name, count in about["counts"].items()}
        seconds = float(about["seconds"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return (values, counts, seconds) if values.shape == shape else None


def _write(file: Path, values: np.ndarray, counts: dict[str, int], seconds: float) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    about = json.dumps({"counts": counts, "seconds": seconds})
    try:
        with beside.open("wb") as stream:
            np.savez(stream, forecast=values, about=np.array(about))
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
