"""Forecasts every series of a file, in memory that does not grow with its rows.

Axes: B series of a block, H steps of the horizon, Q quantiles.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.inference.batch.histories import SERIES_COLUMN, TIME_COLUMN, read_histories
from recsys.inference.batch.history_blocks import Counts, Grid, WindowBlock, window_blocks
from recsys.inference.batch.input_table import Dialect, check_paths, open_input
from recsys.inference.forecaster import Forecaster
from recsys.tables.writing import create_table

# Input rows in memory at once, beside the longest series.
_CHUNK_ROWS = 2**16


class ForecastResult(NamedTuple):
    """Counts of a batch.

    Attributes:
        series: series forecast.
        rows: rows written.
        seconds: time it took.
        counts: of the history, for warnings.
        known: series that the bundle was trained with; None where forecasts do not depend on them.
        decimals: unknown series whose id ends in ".0".
    """

    series: int
    rows: int
    seconds: float
    counts: Counts
    known: int | None
    decimals: int


def forecast_file(
    forecaster: Forecaster,
    history: str | Path,
    output: Path,
    progress: Callable[[int, int | None], None] | None = None,
    dialect: Dialect | None = None,
) -> ForecastResult:
    """Reads histories from a long table and writes the forecast of the steps after each last y.

    The columns written are series_id, timestamp (by the clock of the bundle's zone) and one for
    each quantile, named by its level.

    Args:
        forecaster: an opened bundle.
        history: CSV or Parquet file, folder of Parquet files or SQL URL, with the columns
            series_id, timestamp, y (empty where missing) and those of the covariates. Rows of a
            series are consecutive; a step without a row is missing, not zero; any day of a month
            stands for it. A timestamp without
            an offset is local time of the bundle's zone, others are converted to it. Rows after the
            last y hold the covariates of the horizon.
        output: CSV or Parquet file; it appears when it is complete.
        progress: called after each block with the number of series done, and None.
        dialect: how the history is written, where it is not as the training table was.

    Raises:
        DataError: a file cannot be read or written, or a row cannot be used.
    """
    started = time.perf_counter()
    check_paths(history, output, "history")
    counts, done, decimals = Counts(), 0, 0
    known: int | None = None
    schema = pa.schema(
        [
            (SERIES_COLUMN, pa.string()),
            (TIME_COLUMN, pa.timestamp("ms")),
            *((f"{quantile:g}", pa.float32()) for quantile in forecaster.quantiles),
        ]
    )
    grid = Grid(
        forecaster.step,
        forecaster.manifest.get("step_offset"),
        forecaster.history_length,
        forecaster.horizon,
        forecaster.covariate_names,
    )
    table = open_input(history, dialect or Dialect(), forecaster.manifest, "history")
    rows = read_histories(table, grid.covariate_names, forecaster.timezone, _CHUNK_ROWS)
    with table.sound(), create_table(output, schema) as target:
        for block in window_blocks(rows, table.place, grid, counts):
            target.write(_forecast_block(forecaster, block))
            done += len(block.series)
            if (is_known := forecaster.knows(block.series)) is not None:
                unknown = np.array(block.series, dtype=str)[~is_known]
                known = (known or 0) + int(is_known.sum())
                decimals += int(np.char.endswith(unknown, ".0").sum())
            if progress is not None:
                progress(done, None)
        if not counts.rows:
            raise DataError(f"{table.where} has a header but no histories")
        if not done:
            raise DataError(f"{table.where} has no y at all, so there is nothing to forecast from")
    seconds, rows_written = time.perf_counter() - started, done * forecaster.horizon
    return ForecastResult(done, rows_written, seconds, counts, known, decimals)


def _forecast_block(forecaster: Forecaster, block: WindowBlock) -> list[NDArray[np.generic]]:
    """Rows of the output, as columns."""
    ahead = block.covariates if forecaster.covariate_names else None
    forecast = forecaster.forecast(block.series, block.history, block.start, ahead)  # (B, H, Q)
    times = forecaster.timestamps(block.start, block.history.shape[1])  # (B, H)
    series = np.repeat(np.array(block.series, dtype=object), forecaster.horizon)
    quantiles = forecast.reshape(-1, len(forecaster.quantiles)).T
    return [series, times.ravel(), *quantiles]
