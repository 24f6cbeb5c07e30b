"""Forecasts from a bundle with numpy and ONNX Runtime alone.

Axes: B series of a query, T steps of history, H steps of the horizon, F covariates, Q quantiles.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recsys.bundle.list_columns import left_padded
from recsys.errors import DataError
from recsys.inference.bundle import open_bundle
from recsys.inference.inputs import as_list, as_strings, local_moment
from recsys.inference.verification import SAMPLES
from recsys.steps import later

# Steps of all series of a block, history and horizon: the activations of a network of 64 units then
# fit into the cache of a core.
_BLOCK_STEPS = 2**15


class Forecaster:
    """The forecaster of a bundle.

    Attributes:
        manifest: content of manifest.json.
        horizon: steps that are forecast, H.
        quantiles: levels of the forecast, ascending; 0.5 is the point forecast.
        history_length: steps of history that the model reads.
        step: hour, day, week or month.
        step_seconds: length of a step; None of months, whose lengths differ.
        timezone: IANA zone of the wall clock that `start` counts.
        covariate_names: inputs known ahead, in the order of the last axis, F of them.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Opens a bundle after checking that it is complete and unaltered.

        Args:
            path: folder of the bundle.
            threads: threads for one run of the graph; None lets ONNX Runtime choose.

        Raises:
            BundleError: the folder is not a forecaster's bundle, is incomplete or altered, or needs
                a newer recsys.
        """
        self._bundle = open_bundle(Path(path), "forecaster", threads)
        self.manifest = self._bundle.manifest
        self.horizon: int = self.manifest["horizon"]
        self.quantiles: tuple[float, ...] = tuple(self.manifest["quantiles"])
        self.history_length: int = self.manifest["history_length"]
        self.step: str = self.manifest["step"]
        self.step_seconds: int | None = self.manifest.get("step_seconds")
        self.timezone: str = self.manifest["timezone"]
        self.covariate_names: tuple[str, ...] = tuple(self.manifest["covariate_names"])
        self._opened = Path(path), threads

    def __reduce__(self) -> "tuple[type[Forecaster], tuple[Path, int | None]]":
        """Another process opens the bundle again: a session of ONNX Runtime cannot be sent."""
        return Forecaster, self._opened

    def forecast(
        self,
        series: Iterable[str | None],
        history: ArrayLike | Sequence[ArrayLike],
        start: ArrayLike,
        covariates: ArrayLike | Sequence[ArrayLike] | None = None,
    ) -> NDArray[np.float32]:
        """Quantiles of the H steps after each history, in the units of the history.

        A series that training did not see is forecast from its history alone. Large calls run in
        blocks of bounded memory.

        Args:
            series: ids, B of them; None or "" for a series without one.
            history: y so far, latest last, NaN where missing: (B, T), or B arrays of any lengths,
                each with its own start.
            start: of the first step of each history, by the clock of `timezone` (B,), of a month
                any moment in it: datetime64, datetime (with an offset it is converted), or whole
                seconds counted as if that clock showed UTC.
            covariates: (B, T + H, F), or B arrays (T + H, F), NaN where unknown; only where the
                bundle was trained with some.

        Returns:
            float32 (B, H, Q), ascending along Q.

        Raises:
            ValueError: shapes do not fit, a value is infinite, or covariates are missing, or given
                to a bundle without.
            DataError: values are so large that a forecast is no finite number.
            TypeError: an id is not a string, or start holds neither moments nor whole seconds.
        """
        given = ["" if name is None else name for name in as_list(series, "series")]
        names = np.array(as_strings(given, "series"), dtype=object)
        rows, lengths = _padded(history, (), "history")  # (B, T), (B,)
        _check_rows(rows, names, "history", "history")
        seconds = _seconds(start, self.timezone)
        if seconds.shape != names.shape:
            raise ValueError(
                f"start has the shape {seconds.shape} for {len(names)} series: give one for each"
            )
        seconds = later(seconds, lengths - rows.shape[1], self.step)
        ahead = self._covariates(covariates, names, lengths, rows.shape[1])
        return self._run(names, rows, seconds, ahead)

    def timestamps(self, start: ArrayLike, length: ArrayLike) -> NDArray[np.datetime64]:
        """When the steps of a forecast begin, by the clock of `timezone`.

        Args:
            start: of the first step of each history, as in `forecast` (B,).
            length: steps of history, of all series or of each (B,).

        Returns:
            datetime64[s] (B, H).
        """
        ahead = np.asarray(length, dtype=np.int64)[..., None] + np.arange(self.horizon)
        seconds = later(_seconds(start, self.timezone)[:, None], ahead, self.step)
        return seconds.astype("datetime64[s]")

    @cached_property
    def _known(self) -> set[str]:
        """A few series that the bundle was trained with."""
        samples = self._bundle.optional_file(SAMPLES)
        cases = [] if samples is None else json.loads(samples)["cases"]
        return {name for case in cases for name in case["series_id"] if name}

    def _covariates(
        self, covariates: Any, names: NDArray[np.object_], lengths: NDArray[np.int64], width: int
    ) -> NDArray[np.float32]:
        """Covariates beside histories that are padded to `width`, float32 (B, width + H, F)."""
        wanted = self.covariate_names
        if not wanted:
            if covariates is not None:
                raise ValueError(
                    f"{self._bundle.path} was trained without covariates: leave covariates out"
                )
            return np.empty((len(names), width + self.horizon, 0), dtype=np.float32)
        if covariates is None:
            raise ValueError(
                f"{self._bundle.path} needs covariates ({', '.join(wanted)}) of the history and "
                f"{self.horizon} steps ahead: give (B, T + {self.horizon}, {len(wanted)}), NaN "
                "where unknown"
            )
        if isinstance(covariates, list | tuple):
            covariates = [_in_order(table, wanted) for table in covariates]
        rows, found = _padded(covariates, (len(wanted),), "covariates")
        _check_rows(rows, names, "covariates", "table of covariates")
        if (wrong := np.flatnonzero(found != lengths + self.horizon)).size:
            row = wrong[0]
            raise ValueError(
                f"covariates of row {row} have {found[row]} steps beside a history of "
                f"{lengths[row]}: they cover the history and {self.horizon} steps ahead, "
                f"{lengths[row] + self.horizon}"
            )
        return rows

    def _run(
        self,
        names: NDArray[np.object_],
        history: NDArray[np.float32],
        start: NDArray[np.int64],
        covariates: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Forecasts (B, H, Q), computed in blocks."""
        history, start, covariates = self._cut(history, start, covariates)
        total, width = history.shape
        forecast = np.empty((total, self.horizon, len(self.quantiles)), dtype=np.float32)
        rows = max(1, _BLOCK_STEPS // (width + self.horizon))
        for begin in range(0, total, rows):
            block = slice(begin, begin + rows)
            feeds = {"series_id": names[block], "history": history[block], "start": start[block]}
            if self.covariate_names:
                feeds["covariates"] = covariates[block]
            (forecast[block],) = self._bundle.session.run(["forecast"], feeds)
        lost = np.flatnonzero(~np.isfinite(forecast).all(axis=(1, 2)))
        if lost.size:
            most = np.nanmax(np.abs(history[lost[0]]), initial=0)
            raise DataError(
                f"the forecast of series {names[lost[0]]!r} is no finite number: its history holds"
                f" values up to {most:.3g}, with which the bundle cannot compute; correct them, or"
                " leave the series out"
            )
        return forecast

    def knows(self, series: Iterable[str | None]) -> NDArray[np.bool_] | None:
        """Which series the bundle was trained with, as its forecasts tell them from others.

        Args:
            series: as in `forecast`, B of them.

        Returns:
            bool (B,); None where forecasts do not depend on the series.
        """
        known = sorted(self._known)
        given = ["" if name is None else name for name in as_list(series, "series")]
        names = np.array(as_strings(["", *known, *given], "series"), dtype=object)
        few = np.tile(np.array([1, 2], dtype=np.float32), (len(names), 1))
        size = len(names), few.shape[1] + self.horizon, len(self.covariate_names)
        ahead = np.full(size, np.nan, dtype=np.float32)
        found = self._run(names, few, np.zeros(len(names), dtype=np.int64), ahead)
        differs = (found != found[0]).any(axis=(1, 2))
        is_read = differs[1 : 1 + len(known)].any()
        return differs[1 + len(known) :] if is_read else None

    def _cut(
        self,
        history: NDArray[np.float32],
        start: NDArray[np.int64],
        covariates: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """At most `history_length` steps of history, and at least the one that the graph needs."""
        width = history.shape[1]
        if not width:
            missing = [(0, 0), (1, 0)]
            return (
                np.pad(history, missing, constant_values=np.nan),
                later(start, -1, self.step),
                np.pad(covariates, [*missing, (0, 0)], constant_values=np.nan),
            )
        older = max(0, width - self.history_length)
        return history[:, older:], later(start, older, self.step), covariates[:, older:]


def _in_order(table: Any, wanted: Sequence[str]) -> Any:
    """The covariates of one series, of a table of pandas by the names of its columns.

    Raises:
        ValueError: it has others.
    """
    if not hasattr(table, "columns"):
        return table
    if sorted(names := list(map(str, table.columns))) != sorted(wanted):
        raise ValueError(
            f"a table of covariates has the columns {', '.join(names)}: give {', '.join(wanted)}"
        )
    return table[list(wanted)]


def _padded(
    values: Any, tail: tuple[int, ...], what: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of different lengths as one array (B, W, *tail), NaN before shorter ones; and lengths.

    Raises:
        ValueError: for rows that are not numbers, or of another shape.
    """
    shape = ", ".join(["B", "steps", *map(str, tail)])
    # Includes DataFrames, which would be iterated by column. A mask is not lost on the way.
    if hasattr(values, "__array__") and (values := np.asanyarray(values)).dtype != object:
        array = _floats(values, what)
        if array.ndim != 2 + len(tail) or array.shape[2:] != tail:
            raise ValueError(f"{what} has the shape {array.shape}, not ({shape})")
        return array, np.full(len(array), array.shape[1], dtype=np.int64)
    rows = [_floats(row, what) for row in as_list(values, what)]
    for number, row in enumerate(rows):
        if row.ndim != 1 + len(tail) or row.shape[1:] != tail:
            wanted = shape.removeprefix("B, ") + ("" if tail else ",")
            raise ValueError(f"row {number} of {what} has the shape {row.shape}, not ({wanted})")
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    empty = np.empty((0, *tail), dtype=np.float32)
    return left_padded(np.concatenate([empty, *rows]), lengths, np.nan), lengths


def _floats(values: Any, what: str) -> NDArray[np.float32]:
    try:
        # A number too large for float32 becomes infinite, and is refused as such.
        with np.errstate(over="ignore"):
            if isinstance(values, np.ma.MaskedArray):
                return np.asarray(np.ma.filled(values.astype(np.float32), np.nan))
            return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} holds a value that is not a number: {error}") from None


def _check_rows(rows: NDArray[np.float32], names: NDArray[np.object_], what: str, one: str) -> None:
    if len(rows) != len(names):
        raise ValueError(f"{what} has {len(rows)} rows for {len(names)} series: give a {one} each")
    if np.isinf(rows).any():
        row = np.argwhere(np.isinf(rows))[0, 0]
        raise ValueError(
            f"row {row} of {what} holds an infinite value: NaN stands for what is missing"
        )


def _seconds(start: Any, timezone: str) -> NDArray[np.int64]:
    """Starts as whole seconds (B,)."""
    # types of pandas and of Arrow with a time zone, which numpy would drop
    if getattr(getattr(start, "dtype", None), "tz", None) is not None:
        start = start.tolist()
    elif getattr(getattr(start, "type", None), "tz", None) is not None:
        start = start.to_pylist()
    values = np.asarray(start)
    if values.dtype == object:
        moments = [local_moment(each, timezone, "start") for each in values.tolist()]
        values = np.array(moments, dtype="M8[s]")
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            raise ValueError("start holds NaT: every history starts somewhere")
        return values.astype("datetime64[s]").astype(np.int64)
    if values.size and values.dtype.kind not in "iu":
        raise TypeError(
            f"start is of type {values.dtype}: give datetime64, or whole seconds as int64"
        )
    return values.astype(np.int64)
