"""The LightningModule that trains any learned forecaster."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys.data.loaders import Share, epoch_generator
from recsys.data.origins import ForecastPhase
from recsys.data.panel import SalesPanel
from recsys.data.windows import Window, WindowBatches
from recsys.errors import ConfigError
from recsys.evaluation.backtest_evaluator import BacktestEvaluator, OriginBlocks
from recsys.models.forecaster import Forecaster
from recsys.training.forecast_losses import quantile_loss, student_t_loss, window_weight
from recsys.training.loss_watch import LossWatch
from recsys.training.optimization import Optimization, require_numbers

UNITS = ("seasonal", "level", "typical")


@dataclass(frozen=True)
class ForecastObjective:
    """What a batch holds and how it is judged.

    Attributes:
        name: "quantile" (errors in units of y), or "student_t" (likelihood on the model's scale).
        batch_size: windows of a batch.
        batches: of an epoch.
        min_history: steps before an origin at least, where a series is long enough; None: two
            seasons.
        evenness: 1: every series is drawn as often; 0: every origin is.
        units: of `recsys.training.forecast_losses.window_weight`, for "quantile".
    """

    name: str
    batch_size: int = 128
    batches: int = 100
    min_history: int | None = None
    evenness: float = 1.0
    units: dict[str, float] = field(default_factory=lambda: {"seasonal": 1.0, "level": 1.0})

    def __post_init__(self) -> None:
        require_numbers(
            "loss", batch_size=self.batch_size, batches=self.batches, evenness=self.evenness
        )
        require_numbers("loss.units", **self.units)
        if self.name not in ("quantile", "student_t"):
            raise ConfigError(f"loss.name={self.name!r}: a forecaster has quantile or student_t")
        if self.batch_size < 1 or self.batches < 1:
            raise ConfigError(
                f"loss.batch_size={self.batch_size}, loss.batches={self.batches}: both have to be"
                " at least 1"
            )
        if not 0 <= self.evenness <= 1:
            raise ConfigError(f"loss.evenness={self.evenness}: it lies between 0 and 1")
        if unknown := sorted(set(self.units) - set(UNITS)):
            raise ConfigError(f"loss.units.{unknown[0]} is unknown; choose from {', '.join(UNITS)}")
        if not sum(self.units.values()) > 0:
            raise ConfigError("loss.units: at least one has to be above 0")


class ForecastModule(pl.LightningModule):
    """Trains `model` on windows that are cut on the device.

    Args:
        model: a forecaster with parameters and, for "student_t", the attribute `scaled`.
        panel, phase: what to fit on.
        objective, optimization: see there.
        seasonality: steps after which sales repeat.
        seed: with the epoch and the process it decides windows and dropout.
        evaluator: judges the model after an epoch; None: no validation.
    """

    model: Any
    _quantiles: Tensor

    def __init__(
        self,
        model: nn.Module,
        panel: SalesPanel,
        phase: ForecastPhase,
        objective: ForecastObjective,
        optimization: Optimization,
        seasonality: int,
        seed: int,
        evaluator: BacktestEvaluator | None = None,
    ) -> None:
        super().__init__()
        assert isinstance(model, Forecaster)
        self.model = model
        self.register_buffer("_quantiles", torch.tensor(model.quantiles), persistent=False)
        self._panel, self._phase = panel, phase
        self._objective, self._optimization = objective, optimization
        self._units = dict.fromkeys(UNITS, 0.0) | dict(objective.units)
        self._typical = _mean_before(panel, phase)
        self._seasonality = seasonality
        self._loss = LossWatch(optimization.lr)
        self._seed = seed
        self._evaluator = evaluator
        self._batches: WindowBatches | None = None
        self.samples = 0

    def train_dataloader(self) -> WindowBatches:
        """Windows of the fitted part, on the device of the model."""
        if self._batches is None:
            objective = self._objective
            least = objective.min_history
            self._batches = WindowBatches(
                self._panel,
                self._phase,
                history_length=self.model.history_length,
                min_history=2 * self._seasonality if least is None else least,
                batch_size=objective.batch_size,
                num_batches=objective.batches,
                evenness=objective.evenness,
                seed=self._seed,
                device=self.device,
                epoch=lambda: self.current_epoch,
                share=self._share(),
            )
        return self._batches

    def val_dataloader(self) -> OriginBlocks | tuple[()]:
        """Blocks of series and origins to ask about."""
        return () if self._evaluator is None else self._evaluator.blocks(self._share())

    def training_step(self, batch: tuple[Window, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch, a scalar: the mean over the steps that are known."""
        window, target = batch
        known = ~torch.isnan(target)
        target = torch.where(known, target, 0.0)
        if self._objective.name == "quantile":
            weight = window_weight(window.history, self._seasonality, self._typical, self._units)
            losses = weight * quantile_loss(self.model(window), target, self._quantiles)
        else:
            z, scaling = self.model.scaled(window)
            losses = student_t_loss(z, scaling.apply(target), self._quantiles)
        loss = torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)
        self.samples += len(target)
        self._loss.add(loss, self.current_epoch, batch_idx)
        return loss

    def on_train_epoch_start(self) -> None:
        """Seeds dropout by (seed, epoch, process), so that a resumed epoch repeats it."""
        generator = epoch_generator(
            self._seed, self.current_epoch, self._share().rank, torch.device("cpu")
        )
        torch.manual_seed(generator.initial_seed())
        self._loss.start(self.device)

    def on_validation_epoch_start(self) -> None:
        """Empties the evaluator; no model with a broken loss is judged, let alone kept."""
        if self._evaluator is not None:
            self._evaluator.reset()
        steps = self.trainer.fit_loop.epoch_loop.batch_idx
        if self.trainer.training or steps > 0:
            self._loss.check(self.current_epoch, steps)

    def validation_step(self, asked: Tensor, batch_idx: int) -> None:
        """Adds a block of questions (B,)."""
        assert self._evaluator is not None
        self._evaluator.update(self.model, asked)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/metric`."""
        if self._evaluator is not None:
            found = self._evaluator.compute()
            self.log_dict(
                {f"val/{name}": value for name, value in found.items()}, rank_zero_only=False
            )

    def on_train_epoch_end(self) -> None:
        """Logs the mean loss of the epoch."""
        steps = self.trainer.fit_loop.epoch_loop.batch_idx + 1
        self._loss.check(self.current_epoch, steps - 1)
        self.log("train/loss", self._loss.mean(steps), prog_bar=True, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds how many windows all processes together have seen."""
        checkpoint["samples"] = self.samples * self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """As `Optimization` says."""
        steps = len(self.train_dataloader())
        return self._optimization.configure(self.parameters(), steps, self.device)

    def _share(self) -> Share:
        return Share(self.global_rank, self.trainer.world_size)


def _mean_before(panel: SalesPanel, phase: ForecastPhase) -> float:
    """Mean size of y over the steps that are fitted; 1 where nothing was sold."""
    step = np.arange(len(panel.y)) - np.repeat(panel.indptr[:-1], panel.lengths)
    until = np.where(phase.fitted, phase.fit_until, 0)
    fitted = (step < np.repeat(until, panel.lengths)) & ~np.isnan(panel.y)
    return float(np.abs(panel.y[fitted]).mean()) or 1.0 if fitted.any() else 1.0
