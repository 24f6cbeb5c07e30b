"""Small panels whose future can be learned."""

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase

MONDAY = 1_483_315_200  # 2017-01-02


def make_panel(lengths: list[int], seed: int = 0, promotions: bool = False) -> SalesPanel:
    """Daily sales with a week's shape, each series at its own level; promoted days sell double."""
    generator = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    week = np.array([1.0, 1.0, 1.2, 1.4, 2.0, 3.0, 0.5])
    y, promoted = [], []
    for place, length in enumerate(lengths):
        days = np.arange(length)
        promotion = (generator.random(length) < 0.2).astype(float)
        level = 10.0 * (place + 1)
        sales = level * week[days % 7] * (1 + promotions * promotion)
        y.append(sales * (1 + 0.02 * generator.standard_normal(length)))
        promoted.append(promotion)
    covariates = np.concatenate(promoted)[:, None][:, : int(promotions)]
    return SalesPanel(
        series_ids=np.array([f"s{place}" for place in range(len(lengths))], dtype=object),
        start=np.full(len(lengths), MONDAY, dtype=np.int64),
        indptr=indptr.astype(np.int64),
        y=np.concatenate(y).astype(np.float32),
        covariates=covariates.astype(np.float32),
        covariate_names=("promotion",) if promotions else (),
        step="day",
        timezone="UTC",
        report=PanelReport("made up"),
    )


def last_steps(panel: SalesPanel, horizon: int, name: str = "val", back: int = 1) -> ForecastPhase:
    """Fitted on all but the last `back` horizons, asked about the first of those."""
    until = panel.lengths - back * horizon
    return ForecastPhase(name, until, until[None, :].copy(), horizon)
