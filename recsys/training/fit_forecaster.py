"""One call that trains a forecaster on one phase."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from recsys.data.panel import SEASONALITY, SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError
from recsys.evaluation.backtest_evaluator import BacktestEvaluator
from recsys.training.fit import FitResult, Validation, fit_module
from recsys.training.forecast_problem import ForecastObjective, ForecastProblem
from recsys.training.optimization import Optimization
from recsys.training.training_module import TrainingModule

# of a covariate that never changes
NO_SPREAD = 1.0


def fit_forecaster(
    model: nn.Module,
    panel: SalesPanel,
    phase: ForecastPhase,
    *,
    objective: ForecastObjective,
    optimization: Optimization,
    seed: int,
    folder: Path,
    trainer_options: dict[str, Any],
    seasonality: int | None = None,
    validation: Validation | None = None,
    stop_after: int | None = None,
    loggers: list[Logger] | None = None,
    callbacks: list[pl.Callback] | None = None,
) -> FitResult:
    """Trains in place, as `fit_module` does.

    Args:
        model: a forecaster with parameters; told how covariates move in what is fitted.
        panel, phase: what to fit on and, with validation, to ask about.
        objective, optimization, validation: see there; the monitor is "val/metric".
        seed: decides windows and dropout.
        seasonality: steps after which sales repeat; None: as usual for the panel's step.
        stop_after: epochs to train, of the `optimization.max_epochs` that the schedule spans; None:
            all.
        folder, trainer_options, loggers, callbacks: of `fit_module`.

    Raises:
        ConfigError: the monitor is no metric of forecasts.
        DataError: there is nothing to fit on, or nothing to ask.
    """
    scale = torch.from_numpy(covariate_scale(panel, phase))
    model.scale_covariates(scale)  # type: ignore[operator]
    quantiles: tuple[float, ...] = model.quantiles  # type: ignore[assignment]

    problem = ForecastProblem(
        panel,
        phase,
        objective,
        model,  # type: ignore[arg-type]
        seasonality or SEASONALITY[panel.step],
        seed,
    )

    def build(device: torch.device) -> TrainingModule:
        evaluator = None
        if validation is not None:
            evaluator = BacktestEvaluator(panel, phase, quantiles, seasonality, device)
            known = [f"val/{name}" for name in evaluator.metric_names()]
            if validation.monitor not in known:
                raise ConfigError(
                    f"train.monitor={validation.monitor!r} is not among the metrics of forecasts: "
                    + ", ".join(known)
                )
        return TrainingModule(model, problem, optimization, seed, evaluator)

    return fit_module(
        build,
        model,
        max_epochs=stop_after or optimization.max_epochs,
        folder=folder,
        trainer_options=trainer_options,
        validation=validation,
        loggers=loggers,
        callbacks=callbacks,
    )


def covariate_scale(panel: SalesPanel, phase: ForecastPhase) -> np.ndarray:
    """How much each covariate usually moves within a series, over what is fitted: root of the mean
    over series of its variance, float32 (F,); 1 for one that never moves.
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
