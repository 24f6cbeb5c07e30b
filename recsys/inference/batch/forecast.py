"""Forecasts every series of a file, in memory that does not grow with its rows.

Axes: B series of a block, H steps of the horizon, Q quantiles.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.files import check_paths, create_table, open_histories
from recsys.inference.batch.history_blocks import Counts, Grid, WindowBlock, window_blocks
from recsys.inference.batch.tables import SERIES_COLUMN, TIME_COLUMN, ColumnKind
from recsys.inference.forecaster import Forecaster

# Rows of the input that are held at once, beside the longest series.
_CHUNK_ROWS = 2**16


class ForecastResult(NamedTuple):
    """What was done.

    Attributes:
        series: series forecast.
        rows: rows written.
        seconds: time it took.
        counts: what was found in the history beside.
    """

    series: int
    rows: int
    seconds: float
    counts: Counts


def forecast_file(
    forecaster: Forecaster,
    history: Path,
    output: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> ForecastResult:
    """Reads histories from a long table and writes the forecast of the steps after each last y.

    The columns written are series_id, timestamp (by the clock of the bundle's zone) and one for
    each quantile, named by its level.

    Args:
        forecaster: an opened bundle.
        history: .csv or .parquet with the columns series_id, timestamp, y (empty or null where
            missing) and those of the covariates. Rows of a series stand together; a step without a
            row is missing, not zero. A timestamp without an offset is what the clock of the
            bundle's zone shows; one with an offset is converted to that clock. Rows after the last
            y tell the covariates ahead.
        output: .csv or .parquet; it appears when all is written.
        progress: called after each block with the series done, and None.

    Raises:
        DataError: if a file cannot be used.
    """
    started = time.perf_counter()
    check_paths(history, output, "history")
    counts, done = Counts(), 0
    kinds: dict[str, ColumnKind] = {SERIES_COLUMN: "string", TIME_COLUMN: "timestamp"}
    kinds |= {f"{quantile:g}": "float32" for quantile in forecaster.quantiles}
    grid = Grid(
        forecaster.step_seconds,
        forecaster.manifest.get("step_offset"),
        forecaster.history_length,
        forecaster.horizon,
        forecaster.covariate_names,
    )
    names, zone = forecaster.covariate_names, forecaster.timezone
    with (
        open_histories(history, _CHUNK_ROWS, names, zone) as source,
        create_table(output, kinds) as target,
    ):
        for block in window_blocks(history, source, grid, counts):
            target.write(_forecast_block(forecaster, block))
            done += len(block.series)
            if progress is not None:
                progress(done, None)
        if not counts.rows:
            raise DataError(f"{history} holds no histories, only a header")
        if not done:
            raise DataError(f"{history} holds no y at all, so there is nothing to forecast from")
    return ForecastResult(done, done * forecaster.horizon, time.perf_counter() - started, counts)


def _forecast_block(forecaster: Forecaster, block: WindowBlock) -> list[NDArray[np.generic]]:
    """Rows of the output, as columns."""
    ahead = block.covariates if forecaster.covariate_names else None
    forecast = forecaster.forecast(block.series, block.history, block.start, ahead)  # (B, H, Q)
    times = forecaster.timestamps(block.start, block.history.shape[1])  # (B, H)
    series = np.repeat(np.array(block.series, dtype=object), forecaster.horizon)
    quantiles = forecast.reshape(-1, len(forecaster.quantiles)).T
    return [series, times.ravel(), *quantiles]
