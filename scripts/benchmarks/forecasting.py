"""LSTM training through Lightning against the same cells in a bare torch loop, alternating."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from recsys.arguments import setting
from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.models.forecasters.lstm import LSTMForecaster
from recsys.training.fit import fit
from recsys.training.forecaster_data import FittedPanel, covariate_scale
from recsys.training.losses.quantile import Quantile, quantile_loss
from recsys.training.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class ForecastingArguments:
    """Seconds of a training step on generated daily sales, from cutting the windows to the
    optimizer, against nn.LSTM cells of the same sizes on inputs that are ready.
    """

    series: int = setting("series", default=400, minimum=1)
    steps: int = setting("days of a series", default=700, minimum=400)
    context: int = setting("steps that the encoder reads", default=168, minimum=1)
    horizon: int = setting("steps that the decoder forecasts", default=48, minimum=1)
    hidden_size: int = setting("of both LSTMs", default=64, minimum=1)
    batch_size: int = setting("windows a batch", default=128, minimum=1)
    batches: int = setting("training steps of a round", default=40, minimum=1)
    rounds: int = setting("times that both are measured, in turn", default=5, minimum=1)
    threads: int = setting("threads of torch", default=2, minimum=1)


def forecasting(arguments: ForecastingArguments) -> None:
    """Measures and prints."""
    torch.set_num_threads(arguments.threads)
    panel = _generated(arguments)
    until = panel.lengths - arguments.horizon
    nobody = np.full((0, len(panel)), -1)
    phase = ForecastPhase("full_data", until, nobody, arguments.horizon)
    seconds: dict[str, list[float]] = {"bare torch loop": [], "recsys through Lightning": []}
    for round_number in range(arguments.rounds + 1):
        torch.manual_seed(1)
        model = LSTMForecaster(
            len(panel),
            1,
            arguments.horizon,
            "day",
            context_length=arguments.context,
            lags=(7,),
            hidden_size=arguments.hidden_size,
            calendar=("weekday",),
        )
        found = (_bare_loop(model, arguments), _lightning(model, panel, phase, arguments))
        if round_number:  # the first round warms up
            for name, value in zip(seconds, found, strict=True):
                seconds[name].append(value / arguments.batches)
    _print(seconds, arguments)


def _generated(arguments: ForecastingArguments) -> SalesPanel:
    generator = np.random.default_rng(1)
    size = arguments.series * arguments.steps
    day = np.tile(np.arange(arguments.steps), arguments.series)
    return SalesPanel(
        series_ids=np.arange(arguments.series).astype(str).astype(object),
        start=np.zeros(arguments.series, dtype=np.int64),
        indptr=np.arange(arguments.series + 1) * arguments.steps,
        y=generator.poisson(20 + 10 * np.sin(day * 2 * np.pi / 7)).astype(np.float32),
        covariates=generator.random((size, 1)).astype(np.float32),
        covariate_names=("promotion",),
        step="day",
        timezone="UTC",
        report=PanelReport("generated"),
    )


def _bare_loop(model: LSTMForecaster, arguments: ForecastingArguments) -> float:
    """The same two LSTMs and head, loss and optimizer; seconds of all steps."""
    cells = nn.ModuleList(
        [
            nn.LSTM(old.input_size, old.hidden_size, old.num_layers, batch_first=True)
            for old in (model.encoder, model.decoder)
        ]
        + [nn.Linear(model.head.in_features, model.head.out_features)]
    )
    encoder, decoder, head = cells
    optimizer = torch.optim.AdamW(cells.parameters(), lr=0.001, fused=True)
    quantiles = torch.tensor(model.quantiles)
    past = torch.randn(arguments.batch_size, arguments.context, model.encoder.input_size)
    ahead = torch.randn(arguments.batch_size, arguments.horizon, model.decoder.input_size)
    target = torch.randn(arguments.batch_size, arguments.horizon)
    start = time.perf_counter()
    for _ in range(arguments.batches):
        optimizer.zero_grad()
        hidden, _ = decoder(ahead, encoder(past)[1])
        quantile_loss(head(hidden), target, quantiles).mean().backward()
        optimizer.step()
    return time.perf_counter() - start


def _lightning(
    model: LSTMForecaster,
    panel: SalesPanel,
    phase: ForecastPhase,
    arguments: ForecastingArguments,
) -> float:
    """`fit` as users call it, start-up and checkpoint included; seconds of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        model.scale_covariates(torch.from_numpy(covariate_scale(panel, phase)))
        settings = FitSettings(
            max_epochs=1,
            seed=1,
            optimizer=partial(torch.optim.AdamW, lr=0.001, weight_decay=0.0),
            trainer=partial(pl.Trainer, accelerator="cpu"),
        )
        loss = Quantile(batch_size=arguments.batch_size, batches=arguments.batches)
        objective = loss.objective(model, FittedPanel(panel, phase), seed=1)
        fitted = fit(model, objective, settings, Path(folder))
    return fitted.seconds


def _print(seconds: dict[str, list[float]], arguments: ForecastingArguments) -> None:
    title = f"a training step of {arguments.batch_size} windows"
    table = Table(title=title, title_justify="left")
    for column in ("", "median", "lowest", "highest"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in seconds.items():
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(f"{name}, ms", *(f"{1000 * figure:.1f}" for figure in figures))
    bare, own = seconds.values()
    ratios = [mine / theirs for mine, theirs in zip(own, bare, strict=True)]
    figures = (statistics.median(ratios), min(ratios), max(ratios))
    table.add_row("ratio", *(f"{figure:.2f}" for figure in figures))
    Console().print(table)
