"""From a panel of sales to a judged forecaster, and from its run to a bundle."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from recsys.config.composition import closest, instantiate, takes
from recsys.data.fingerprint import fingerprint
from recsys.data.panel import SalesPanel
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors
from recsys.errors import ConfigError
from recsys.evaluation.backtest import BacktestResult, forecast_phase, forecast_table, judge
from recsys.evaluation.forecast_examples import example_series
from recsys.export import SampleWindows, write_forecaster_bundle
from recsys.models.forecasters.statistical import StatsForecastModel
from recsys.reports.console import print_forecast_leaderboard, print_panel_report
from recsys.reports.html import write_report
from recsys.reports.labels import unit_of
from recsys.runs.folder import RunFolder, record
from recsys.tasks.setup import (
    add_seconds,
    evaluation_device,
    make_loggers,
    model_settings,
    note_training,
    optimization,
    provenance,
    require_validation,
    seed_everything,
    trainer_options,
)
from recsys.training.fit import FitResult, Validation
from recsys.training.fit_forecaster import fit_forecaster
from recsys.training.forecast_problem import ForecastObjective

# windows that an export compares torch and graph on
EXPORTED_WINDOWS = 64


def run_forecaster(
    config: dict[str, Any], panel: SalesPanel, run: RunFolder, metrics: dict[str, float]
) -> None:
    """Trains before every origin, judges and reports.

    Args:
        config: plain.
        panel: what `config["data"]` names.
        run: folder to write to.
        metrics: what is already known, such as the seconds of reading.
    """
    phases: list[ForecastPhase] = instantiate(config["evaluation"]["split"])(panel, config["seed"])
    print_panel_report(panel.report)
    run.write_json("data_report.json", panel.report.to_json())
    epochs: int | None = None
    tests: dict[str, np.ndarray] = {}
    for phase in phases:
        model, fitted = _fit(config, panel, phase, run, epochs)
        if fitted is not None:
            run.write_weights(phase.name, model)
            epochs = fitted.epochs
            note_training(metrics, phase.name, fitted, config["train"]["monitor"])
        if not len(phase.origin):
            continue
        start = time.perf_counter()
        forecast = _forecast(config, model, panel, phase)
        add_seconds(metrics, "evaluation/seconds", time.perf_counter() - start)
        if phase.name == "val":
            found = _judge(config, panel, [phase], [forecast]).metrics
            metrics |= {f"val/{key}": value for key, value in found.items()}
        else:
            tests[phase.name] = forecast
    if tests:
        _judge_tests(config, panel, [p for p in phases if p.name in tests], tests, run, metrics)
    if isinstance(model, nn.Module):
        run.write_arrays("windows.npz", _last_windows(model, panel, phases[-1]))
    _finish(config, run, panel, phases, metrics)


def validate_forecaster(
    config: dict[str, Any],
    panel: SalesPanel,
    run: RunFolder,
    metrics: dict[str, float],
    callbacks: list[pl.Callback],
) -> FitResult | None:
    """The validation phase alone: trains, judges, and never looks at the windows of the test.

    Args:
        config, panel, run, metrics: of `run_forecaster`.
        callbacks: of the training.

    Returns:
        How the training went; None for a statistical method, whose values are in `metrics`.

    Raises:
        ConfigError: the split has no validation windows.
    """
    phases = instantiate(config["evaluation"]["split"])(panel, config["seed"])
    phase = next((phase for phase in phases if phase.name == "val"), None)
    require_validation(config, phase is not None)
    assert phase is not None
    model, fitted = _fit(config, panel, phase, run, None, callbacks)
    if fitted is None:
        found = _judge(config, panel, [phase], [_forecast(config, model, panel, phase)]).metrics
        metrics |= {f"val/{key}": value for key, value in found.items()}
    return fitted


def load_forecaster(run: RunFolder) -> nn.Module:
    """The trained model of a finished run, fitted before its last origin; on the CPU and in
    evaluation mode.
    """
    config, data = run.read_config(), run.read_json("data_report.json")
    model = _build(
        config, len(run.read_json("series.json")), len(data["covariates"]), data["step_seconds"]
    )
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{run.path}: model={config['choices']['model']} reads its series anew for every"
            " forecast and has no weights to load or export; export a run of model=lstm"
        )
    model.load_state_dict(run.read_weights())
    return model.eval()


def export_forecaster(run: RunFolder, bundle: Path) -> Path:
    """Exports the model of a finished run; see `recsys.tasks.lifecycle.export_run`."""
    model, data = load_forecaster(run), run.read_json("data_report.json")
    return write_forecaster_bundle(
        bundle,
        model=model,  # type: ignore[arg-type]
        series_ids=np.array(run.read_json("series.json"), dtype=object),
        step=data["step"],
        timezone=data["timezone"],
        covariate_names=data["covariates"],
        histories=SampleWindows(**run.read_arrays("windows.npz")),
        provenance=provenance(run),
        unit=unit_of(run.read_config()["data"].get("measure")),
    )


def _build(config: dict[str, Any], num_series: int, num_covariates: int, step_seconds: int) -> Any:
    """A learned forecaster, or one of statsforecast's methods, which knows no sizes."""
    if takes(config["model"], "num_users"):
        raise ConfigError(
            f"model={config['choices']['model']} is a recommender, and"
            f" data={config['choices']['data']} is a panel of sales: choose model=lstm or a"
            " statistical method such as model=auto_ets"
        )
    if not takes(config["model"], "num_series"):
        return instantiate(config["model"])
    return instantiate(
        config["model"],
        num_series=num_series,
        num_covariates=num_covariates,
        horizon=config["evaluation"]["split"]["horizon"],
        step_seconds=step_seconds,
        quantiles=tuple(config["evaluation"]["quantiles"]),
    )


def _fit(
    config: dict[str, Any],
    panel: SalesPanel,
    phase: ForecastPhase,
    run: RunFolder,
    epochs: int | None,
    callbacks: list[pl.Callback] | None = None,
) -> tuple[Any, FitResult | None]:
    """Fits a fresh model with validation, or for the epochs that it chose; a statistical method is
    fitted when it is asked.
    """
    seed, train = config["seed"], config["train"]
    seed_everything(seed)
    model = _build(config, len(panel), len(panel.covariate_names), panel.step_seconds)
    if isinstance(model, StatsForecastModel):
        return model, None
    if "units" not in config["loss"]:
        raise ConfigError(
            f"loss={config['choices']['loss']} is for recommenders: choose quantile or student_t"
        )
    validation = None
    if phase.name == "val":
        validation = Validation(train["monitor"], train["patience"], train["validate_every"], "min")
    fitted = fit_forecaster(
        model,
        panel,
        phase,
        objective=ForecastObjective(**config["loss"]),
        optimization=optimization(config),
        seed=seed,
        folder=run.path / "checkpoints" / phase.name,
        trainer_options=trainer_options(config),
        seasonality=config["evaluation"]["seasonality"],
        validation=validation,
        stop_after=epochs,
        loggers=make_loggers(config, run, phase.name),
        callbacks=callbacks,
    )
    return model, fitted


def _forecast(
    config: dict[str, Any], model: Any, panel: SalesPanel, phase: ForecastPhase
) -> np.ndarray:
    quantiles = tuple(config["evaluation"]["quantiles"])
    device = evaluation_device(config)
    return forecast_phase(model, panel, phase, device=device, quantiles=quantiles)


def _judge(
    config: dict[str, Any],
    panel: SalesPanel,
    phases: list[ForecastPhase],
    forecasts: list[np.ndarray],
) -> BacktestResult:
    evaluation = config["evaluation"]
    quantiles = tuple(evaluation["quantiles"])
    return judge(panel, phases, forecasts, quantiles, evaluation["seasonality"])


def _judge_tests(
    config: dict[str, Any],
    panel: SalesPanel,
    phases: list[ForecastPhase],
    forecasts: dict[str, np.ndarray],
    run: RunFolder,
    metrics: dict[str, float],
) -> None:
    """The model and its baselines in the same windows; writes the tables of the test."""
    name, quantiles = config["choices"]["model"], tuple(config["evaluation"]["quantiles"])
    own = [forecasts[phase.name] for phase in phases]
    result = _judge(config, panel, phases, own)
    metrics |= {f"test/{key}": value for key, value in result.metrics.items()}
    by_horizon, drawn = {name: result.by_horizon}, {}
    for baseline in config["evaluation"]["baselines"]:
        method = _baseline(baseline)
        start = time.perf_counter()
        made = [_forecast(config, method, panel, phase) for phase in phases]
        found = _judge(config, panel, phases, made)
        metrics |= {f"test/baselines/{baseline}/{k}": v for k, v in found.metrics.items()}
        metrics[f"test/baselines/{baseline}/seconds"] = time.perf_counter() - start
        by_horizon[baseline] = found.by_horizon
        drawn[baseline] = made[-1]
    run.write_table("per_series.parquet", result.per_series)
    run.write_table("forecasts.parquet", forecast_table(panel, phases, own, quantiles))
    run.write_json("horizon.json", by_horizon)
    number = sum(len(phase.origin) for phase in phases)
    examples = example_series(panel, phases[-1], own[-1], quantiles, drawn, window=number)
    run.write_json("examples.json", examples)


def _baseline(name: str) -> StatsForecastModel:
    settings = model_settings()
    known = [stem for stem, plain in settings.items() if takes(plain, "season_length")]
    if name not in known:
        raise ConfigError(
            f"evaluation.baselines: {name} is no statistical method; {closest(name, known)}"
        )
    return instantiate(settings[name])


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


def _finish(
    config: dict[str, Any],
    run: RunFolder,
    panel: SalesPanel,
    phases: list[ForecastPhase],
    metrics: dict[str, float],
) -> None:
    """Writes what the run leaves, metrics.json last of the data: a run that has it has finished."""
    if not run.writes:
        return  # the first process does
    report = panel.report
    for key in ("rows_in", "rows", "series", "steps"):
        metrics[f"data/{key}"] = float(getattr(report, key))
    metrics |= {f"data/dropped/{reason}": float(count) for reason, count in report.dropped.items()}
    run.write_json("data_report.json", report.to_json() | {"step_seconds": panel.step_seconds})
    run.write_json("series.json", panel.series_ids.tolist())
    split = [array for p in phases for array in (p.fit_until, p.origin)]
    run.write_json(
        "run.json", record(run, "forecaster", config, report.fingerprint, fingerprint(*split))
    )
    run.write_json("metrics.json", metrics)
    print_forecast_leaderboard(metrics, str(config["choices"]["model"]))
    write_report(run)
