"""Sales as series: what models of demand are fitted on and judged with.

Axes: S series, N steps of all series together, F covariates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from recsys.data.fingerprint import fingerprint
from recsys.data.report import PanelReport
from recsys.errors import DataError
from recsys.steps import SEASONALITY, Step, later


@dataclass(frozen=True)
class SalesPanel:
    """Series of sales on a regular grid of local wall-clock steps, one after the other in flat
    arrays.

    Series s has the steps `indptr[s]:indptr[s + 1]`; its step i begins i steps after `start[s]`
    (`recsys.steps.later`).
    Steps after the last known sale, where a source has any, carry covariates and y = NaN.

    Attributes:
        series_ids: object of str (S,).
        start: local wall-clock seconds of each first step, counted as if UTC, int64 (S,).
        indptr: int64 (S + 1,), starts at 0, rises.
        y: units sold a step (or value, or lines), float32 (N,), NaN where missing.
        covariates: known ahead, float32 (N, F), NaN where unknown; F may be 0.
        covariate_names: (F,).
        step: hour, day, week or month.
        timezone: IANA zone of the wall clock.
        retire_after: zero steps kept after a last sale before the series ends; None: series end
            where their table does.
        seasonality: steps of a season; None: as usual for the step. Read `season`.
        series_names: series id to a name for people, where the source has one.
        keys: column that series were grouped by to its value for every series, object of str (S,);
            empty where the table came as series.
        report: what was read, dropped and decided.
    """

    series_ids: np.ndarray
    start: np.ndarray
    indptr: np.ndarray
    y: np.ndarray
    covariates: np.ndarray
    covariate_names: tuple[str, ...]
    step: Step
    timezone: str
    report: PanelReport
    retire_after: int | None = None
    seasonality: int | None = None
    series_names: dict[str, str] = field(default_factory=dict)
    keys: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.series_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of every series, int64 (S,)."""
        return np.diff(self.indptr)

    @property
    def season(self) -> int:
        """Steps after which sales repeat: the one season of models, baselines, losses and scales of
        metrics.
        """
        return self.seasonality or SEASONALITY[self.step]

    @cached_property
    def step_numbers(self) -> np.ndarray:
        """Number of every step in its series, from 0, int64 (N,)."""
        return np.arange(len(self.y)) - np.repeat(self.indptr[:-1], self.lengths)

    @property
    def seconds(self) -> np.ndarray:
        """Local wall-clock seconds at which every step begins, int64 (N,)."""
        return later(np.repeat(self.start, self.lengths), self.step_numbers, self.step)

    def before(self, step: np.ndarray) -> np.ndarray:
        """Steps that lie before `step` (S,) of their series, bool (N,)."""
        return self.step_numbers < np.repeat(step, self.lengths)

    @cached_property
    def known(self) -> np.ndarray:
        """Steps of every series up to its last known y, int64 (S,); those behind carry covariates
        only.
        """
        step = np.where(np.isnan(self.y), -1, self.step_numbers)
        return np.maximum.reduceat(step, self.indptr[:-1]) + 1


def complete_panel(panel: SalesPanel) -> SalesPanel:
    """Leaves out series without a sale and completes the report."""
    report, lengths = panel.report, panel.lengths
    size = len(panel)
    series = np.repeat(np.arange(size), lengths)
    sold = np.bincount(series, weights=np.nan_to_num(panel.y) != 0, minlength=size) > 0
    report.decide("series of zeros only, left out", int((~sold).sum()))
    if not sold.any():
        raise DataError(f"{report.source}: no series has a sale in a whole {panel.step}")
    panel = take_series(panel, np.flatnonzero(sold))

    y, first = panel.y, panel.indptr[:-1]
    low, high = np.fmin.reduceat(y, first), np.fmax.reduceat(y, first)
    season = report.season = panel.season
    report.decide("constant series", int((low == high).sum()))
    report.decide(f"series shorter than {season + 1} steps", int((panel.known <= season).sum()))
    report.series, report.steps = len(panel), len(y)
    last = later(panel.start, panel.known - 1, panel.step).max()
    report.first, report.last = (_iso(edge) for edge in (panel.start.min(), last))
    return _with_fingerprint(panel)


def take_series(panel: SalesPanel, chosen: np.ndarray) -> SalesPanel:
    """The panel of some of its series, by number (S',), in their order."""
    lengths = panel.lengths[chosen]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(indptr[-1]) + np.repeat(panel.indptr[chosen] - indptr[:-1], lengths)
    return replace(
        panel,
        series_ids=panel.series_ids[chosen],
        start=panel.start[chosen],
        indptr=indptr,
        y=panel.y[rows],
        covariates=panel.covariates[rows],
        keys={name: values[chosen] for name, values in panel.keys.items()},
    )


def with_covariates(panel: SalesPanel, names: Sequence[str], values: np.ndarray) -> SalesPanel:
    """The panel with what is known ahead, values (N, F)."""
    panel = replace(
        panel, covariates=values.astype(np.float32, copy=False), covariate_names=tuple(names)
    )
    for name, column in zip(names, panel.covariates.T, strict=True):
        panel.report.decide(f"unknown values of {name}", int(np.isnan(column).sum()))
    return _with_fingerprint(panel)


def _with_fingerprint(panel: SalesPanel) -> SalesPanel:
    panel.report.covariates = list(panel.covariate_names)
    panel.report.fingerprint = fingerprint(
        panel.series_ids, panel.start, panel.indptr, panel.y, panel.covariates
    )
    return panel


def _iso(seconds: np.integer) -> str:
    return str(np.datetime64(int(seconds), "s"))
