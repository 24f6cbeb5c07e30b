"""How much will we sell: from a panel of sales to a judged forecaster, its report and bundle."""

import time
from collections.abc import Mapping, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from recsys.comparison.units import UnitTable
from recsys.config.composition import model_targets
from recsys.config.settings import Settings
from recsys.config.targets import Target
from recsys.data.fingerprint import fingerprint
from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors
from recsys.errors import ConfigError, closest
from recsys.evaluation.settings import BacktestEvaluation
from recsys.metrics.registry import direction_of, require_direction
from recsys.models.forecaster import ForecastsPanel, is_network, is_statistical
from recsys.ranges import require_levels
from recsys.reports.console import print_forecast_leaderboard, print_panel_report, say
from recsys.reports.labels import unit_of
from recsys.reports.page import Page
from recsys.runs.folder import RunFolder
from recsys.stored_files import readable
from recsys.tasks.fitting import (
    check_training,
    evaluation_device,
    fit_network,
    required_loss,
    seed_everything,
)
from recsys.tasks.provenance import provenance
from recsys.tasks.seasons import fit_seasons, with_settings
from recsys.tasks.task import Direction
from recsys.tasks.units import FORECAST_UNITS
from recsys.training.forecaster_data import FittedPanel, covariate_scale
from recsys.training.objective import require_trains

if TYPE_CHECKING:
    # Lightning, which only a training loads
    import pytorch_lightning as pl

    from recsys.evaluation.backtest import BacktestResult
    from recsys.evaluation.backtest_evaluator import BacktestEvaluator
    from recsys.training.fit import FitResult

# windows that an export compares torch and graph on
EXPORTED_WINDOWS = 64


class Forecasting:
    """The task of forecasters."""

    name: str = "forecasting"
    data: type[Any] = SalesPanel
    evaluation: type[Any] = BacktestEvaluation

    def check(self, settings: Settings) -> None:
        """Refuses what no forecaster is trained or judged with."""
        _require_forecaster(settings)
        model = settings.model.resolve()
        if not is_statistical(model):
            require_trains(required_loss(settings).resolve(), model, settings.choices.model)
            check_training(settings)
        require_levels(settings.evaluation.arguments.get("quantiles", (0.5,)))
        for name in settings.evaluation.arguments.get("baselines", ()):
            _baseline(name)

    def prepare(
        self,
        settings: Settings,
        data: Any,
        run: RunFolder,
        metrics: MutableMapping[str, float],
    ) -> "PreparedForecasting":
        """Cuts the panel at its origins."""
        return PreparedForecasting(settings, data, run, metrics)

    def direction(self, metric: str) -> Direction | None:
        """See `recsys.metrics.forecast`; names are "val/METRIC"."""
        return direction_of(metric)

    def print_board(self, metrics: Mapping[str, float], settings: Settings) -> None:
        """The model beside its baselines."""
        print_forecast_leaderboard(dict(metrics), settings.choices.model)

    def page(self, run: RunFolder) -> Page:
        """Leaderboard, fans, horizon, slices, series, training, data."""
        from recsys.reports.facts import read_forecast_facts
        from recsys.reports.forecast_page import forecast_page

        return forecast_page(read_forecast_facts(run))

    def units(self, run: RunFolder) -> UnitTable:
        """One row per series and window."""
        return FORECAST_UNITS

    def load(self, run: RunFolder) -> nn.Module:
        """The forecaster that was fitted before the last origin."""
        config, data = run.read_config(), run.read_json("data_report.json")
        target = Target.from_plain("model", config.get("model"))
        if is_statistical(target.resolve()):
            raise ConfigError(
                f"{run.path}: model={config['choices']['model']} is fitted anew for every forecast"
                " and has no weights to load or export; export a run of model=lstm"
            )
        plain = dict(config.get("evaluation") or {})
        plain.pop("seasonality", None)  # of runs from before data.seasonality
        evaluation: BacktestEvaluation = Target.from_plain("evaluation", plain).build()
        target = with_settings(target, data.get("model_settings", {}))
        num_series, num_covariates = len(run.read_json("series.json")), len(data["covariates"])
        model = _build(
            target, evaluation, num_series, num_covariates, data["step"], data.get("season")
        )
        with readable(run.path / "checkpoints"):
            model.load_state_dict(run.read_weights())
        return model.eval()

    def export(self, run: RunFolder, folder: Path, *, seen: bool, because: bool = False) -> Path:
        """A bundle from raw numbers to raw quantiles."""
        from recsys.export import SampleWindows, write_forecaster_bundle

        for name, given in (("seen", seen), ("because", because)):
            if given:
                raise ConfigError(
                    f"{name}=true is for recommenders, and {run.path} is a forecaster's run"
                )
        model, data = self.load(run), run.read_json("data_report.json")
        return write_forecaster_bundle(
            folder,
            model=model,  # type: ignore[arg-type]
            series_ids=np.array(run.read_json("series.json"), dtype=object),
            step=data["step"],
            timezone=data["timezone"],
            covariate_names=data["covariates"],
            histories=SampleWindows(**run.read_arrays("windows.npz")),
            provenance=provenance(run),
            unit=unit_of(run.read_config().get("data", {}).get("measure")),
        )


class PreparedForecasting:
    """A panel of one run, cut at its origins.

    Args:
        settings, data, run, metrics: of `Forecasting.prepare`.
    """

    def __init__(
        self,
        settings: Settings,
        data: SalesPanel,
        run: RunFolder,
        metrics: MutableMapping[str, float],
    ) -> None:
        self._settings, self._panel, self._run, self._metrics = settings, data, run, metrics
        self._evaluation: BacktestEvaluation = settings.evaluation.build()
        self._quantiles = tuple(self._evaluation.quantiles)
        phases: list[ForecastPhase] = self._evaluation.split(data, settings.seed)
        self._phases = {phase.name: phase for phase in phases}
        seasons = fit_seasons(settings.model, data, settings.choices.overrides)
        self._model_settings = seasons.settings
        self._model = with_settings(settings.model, seasons.settings)
        for warning in seasons.warnings:
            say(f"warning: {warning}")
        data.report.decisions |= seasons.decisions
        for phase in phases:
            data.report.phases[phase.name] = dict(phase.counts)
            data.report.decisions |= phase.left_out
        self.phases: Sequence[str] = tuple(self._phases)
        self.split_fingerprint = fingerprint(
            *(array for phase in phases for array in (phase.fit_until, phase.origin))
        )
        self._tests: dict[str, np.ndarray] = {}
        print_panel_report(data.report)

    def fit(
        self, phase: str, *, epochs: int | None, callbacks: "Sequence[pl.Callback]"
    ) -> "tuple[Any, FitResult | None]":
        """Networks with validation, or for the epochs that it chose; statistical methods fit when
        they forecast.
        """
        settings, panel = self._settings, self._panel
        if phase == self.phases[0]:
            self._run.write_json("data_report.json", self._data_report())
        seed_everything(settings.seed)
        model = _build(
            self._model,
            self._evaluation,
            len(panel),
            len(panel.covariate_names),
            panel.step,
            panel.season,
        )
        if isinstance(model, ForecastsPanel):
            return model, None
        return model, self._fit_network(model, phase, epochs, callbacks)

    def _fit_network(
        self,
        model: Any,
        phase: str,
        epochs: int | None,
        callbacks: "Sequence[pl.Callback]",
    ) -> "FitResult":
        settings, cut = self._settings, self._phases[phase]
        model.scale_covariates(torch.from_numpy(covariate_scale(self._panel, cut)))
        data = FittedPanel(self._panel, cut)
        return fit_network(
            model,
            settings,
            self._run,
            phase,
            objective=required_loss(settings).build().objective(model, data, seed=settings.seed),
            evaluator=partial(self._evaluator, cut, model.quantiles) if phase == "val" else None,
            mode=require_direction("train.monitor", settings.train.monitor),
            epochs=epochs,
            callbacks=callbacks,
        )

    def _evaluator(
        self, cut: ForecastPhase, quantiles: tuple[float, ...], device: torch.device
    ) -> "BacktestEvaluator":
        """Of the validation windows, while training."""
        # torchmetrics takes as long to load as torch
        from recsys.evaluation.backtest_evaluator import BacktestEvaluator

        return BacktestEvaluator(self._panel, cut, quantiles, device)

    def judge(self, phase: str, model: Any) -> dict[str, float]:
        """Validation at once; tests are judged together, in `finish`."""
        cut = self._phases[phase]
        if not len(cut.origin):
            return {}
        start = time.perf_counter()
        made = self._forecast(model, cut)
        seconds = time.perf_counter() - start
        self._metrics["evaluation/seconds"] = self._metrics.get("evaluation/seconds", 0.0) + seconds
        if phase != "val":
            self._tests[phase] = made
            return {}
        found = self._judge([cut], [made]).metrics
        return {f"val/{key}": value for key, value in found.items()}

    def finish(self, model: Any) -> dict[str, float]:
        """Judges the tests beside baselines; writes series, windows and counts."""
        run, report = self._run, self._panel.report
        metrics = self._judge_tests() if self._tests else {}
        if isinstance(model, nn.Module):
            last = self._phases[self.phases[-1]]
            run.write_arrays("windows.npz", _last_windows(model, self._panel, last))
        run.write_json("data_report.json", self._data_report())
        run.write_json("series.json", self._panel.series_ids.tolist())
        counted = ("rows_in", "rows", "series", "steps")
        return (
            metrics
            | {f"data/{key}": float(getattr(report, key)) for key in counted}
            | {f"data/dropped/{reason}": float(n) for reason, n in report.dropped.items()}
        )

    def _data_report(self) -> dict[str, object]:
        used = {"model_settings": self._model_settings} if self._model_settings else {}
        return self._panel.report.to_json() | used

    def _forecast(self, model: Any, phase: ForecastPhase) -> np.ndarray:
        from recsys.evaluation.backtest import forecast_phase

        device = evaluation_device(self._settings)
        return forecast_phase(model, self._panel, phase, device=device, quantiles=self._quantiles)

    def _judge(
        self, phases: Sequence[ForecastPhase], forecasts: Sequence[np.ndarray]
    ) -> "BacktestResult":
        from recsys.evaluation.backtest import judge

        return judge(self._panel, phases, forecasts, self._quantiles)

    def _judge_tests(self) -> dict[str, float]:
        """The model and its baselines in the same windows; writes the tables of the test."""
        from recsys.evaluation.backtest import forecast_table
        from recsys.evaluation.forecast_examples import example_series

        run, panel, name = self._run, self._panel, self._settings.choices.model
        phases = [self._phases[phase] for phase in self._tests]
        own = list(self._tests.values())
        result = self._judge(phases, own)
        metrics = {f"test/{key}": value for key, value in result.metrics.items()}
        by_horizon, drawn = {name: result.by_horizon}, {}
        for baseline in self._evaluation.baselines:
            method, start = _baseline(baseline).build(), time.perf_counter()
            made = [self._forecast(method, phase) for phase in phases]
            found = self._judge(phases, made)
            metrics |= {f"test/baselines/{baseline}/{k}": v for k, v in found.metrics.items()}
            metrics[f"test/baselines/{baseline}/seconds"] = time.perf_counter() - start
            by_horizon[baseline] = found.by_horizon
            drawn[baseline] = made[-1]
        run.write_table("per_series.parquet", result.per_series)
        table = forecast_table(panel, phases, own, self._quantiles)
        run.write_table("forecasts.parquet", table)
        run.write_json("horizon.json", by_horizon)
        number = sum(len(phase.origin) for phase in phases)
        examples = example_series(panel, phases[-1], own[-1], self._quantiles, drawn, window=number)
        run.write_json("examples.json", examples)
        return metrics


def _require_forecaster(settings: Settings) -> None:
    model = settings.model.resolve()
    if not (isinstance(model, type) and (is_network(model) or is_statistical(model))):
        raise ConfigError(
            f"model={settings.choices.model} is no forecaster, and data={settings.choices.data} is"
            " a panel of sales: choose model=lstm or a statistical method such as model=auto_ets"
        )


def _baseline(name: str) -> Target:
    known = {
        each: target for each, target in model_targets().items() if is_statistical(target.resolve())
    }
    if name not in known:
        raise ConfigError(
            f"evaluation.baselines: {name} is no statistical method; {closest(name, known)}"
        )
    return known[name]


def _build(
    model: Target,
    evaluation: BacktestEvaluation,
    num_series: int,
    num_covariates: int,
    step: str,
    season: int | None,
) -> Any:
    """A network of these sizes, or a statistical method, which needs none."""
    if is_statistical(model.resolve()):
        return model.build()
    return model.build(
        num_series=num_series,
        num_covariates=num_covariates,
        horizon=evaluation.split.horizon,
        step=step,
        quantiles=tuple(evaluation.quantiles),
        season=season,
    )


def _last_windows(model: Any, panel: SalesPanel, phase: ForecastPhase) -> dict[str, np.ndarray]:
    """Windows before the end of what was fitted, spread over the series."""
    series = np.flatnonzero(phase.fit_until > 0)
    series = series[np.linspace(0, len(series) - 1, min(EXPORTED_WINDOWS, len(series))).astype(int)]
    window, _ = PanelTensors(panel, "cpu").window(
        torch.from_numpy(series),
        torch.from_numpy(phase.fit_until[series]),
        model.history_length,
        phase.horizon,
    )
    return {name: value.numpy() for name, value in window._asdict().items()}
