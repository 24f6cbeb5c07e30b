"""What forecasters are fitted on."""

from dataclasses import dataclass

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase

# of a covariate that never changes
NO_SPREAD = 1.0


@dataclass(frozen=True)
class FittedPanel:
    """The part of a panel that one phase fits on.

    Attributes:
        panel: all series.
        phase: which steps of it are fitted.
    """

    panel: SalesPanel
    phase: ForecastPhase

    def typical_level(self) -> float:
        """Mean of |y| over all fitted steps; 1 where that is 0 or nothing is known."""
        panel = self.panel
        fitted = np.abs(panel.y[panel.before(self.phase.fit_until) & ~np.isnan(panel.y)])
        return float(fitted.mean()) or 1.0 if len(fitted) else 1.0


def covariate_scale(panel: SalesPanel, phase: ForecastPhase) -> np.ndarray:
    """Spread of each covariate within a series, over the fitted part: root of the mean over series
    of its variance, float32 (F,); 1 for one that is constant.
    """
    fitted = panel.before(phase.fit_until)
    values = panel.covariates[fitted].astype(np.float64)  # (N', F)
    of = np.repeat(np.arange(len(panel)), panel.lengths)[fitted]
    known = ~np.isnan(values)
    values = np.where(known, values, 0.0)

    def by_series(column: np.ndarray) -> np.ndarray:
        return np.bincount(of, column, minlength=len(panel))

    scale = np.full(values.shape[1], NO_SPREAD, dtype=np.float32)
    for place in range(values.shape[1]):
        count = by_series(known[:, place].astype(float))
        mean = by_series(values[:, place]) / np.maximum(count, 1)
        square = by_series(np.where(known[:, place], (values[:, place] - mean[of]) ** 2, 0.0))
        spread = float(np.sqrt(square.sum() / max(count.sum(), 1.0)))
        scale[place] = spread if spread > 0 else NO_SPREAD
    return scale
