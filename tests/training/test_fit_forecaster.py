"""Training a forecaster proves that it learns, repeats itself, and resumes exactly."""

import math
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from panels import last_steps, make_panel
from scipy import stats
from tastes import settings

from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.errors import ConfigError, DataError, TrainingError
from recsys.evaluation.backtest import forecast_phase, judge
from recsys.evaluation.backtest_evaluator import BacktestEvaluator
from recsys.models.forecasters.lstm import LSTMForecaster, student_t_quantiles
from recsys.training import fit as training
from recsys.training.forecaster_data import FittedPanel, covariate_scale
from recsys.training.losses.quantile import Quantile, quantile_loss, window_weight
from recsys.training.losses.student_t import StudentT, student_t_loss
from recsys.training.settings import Validation

HORIZON = 7
UNITS = {"seasonal": 0.0, "level": 1.0}


def fit(panel, phase, folder, *, epochs=4, lr=0.02, seed=1, loss="quantile", **options):
    torch.manual_seed(seed)
    model = LSTMForecaster(
        len(panel),
        len(panel.covariate_names),
        phase.horizon,
        panel.step,
        context_length=14,
        hidden_size=8,
        dropout=options.pop("dropout", 0.0),
        distribution="student_t" if loss == "student_t" else "quantiles",
    )
    model.scale_covariates(torch.from_numpy(covariate_scale(panel, phase)))
    chosen = (
        options.pop("settings_of_loss", None)
        or {
            "quantile": Quantile(batch_size=32, batches=20, units=UNITS),
            "student_t": StudentT(batch_size=32, batches=20),
        }[loss]
    )
    objective = chosen.objective(model, FittedPanel(panel, phase), seed=seed)
    how = settings(epochs, lr, 0.0, "one_cycle", seed=seed, gradient_clip=1.0)
    return model, training.fit(model, objective, how, folder, **options)


def lowest(panel, phase, monitor: str, patience: int = 5) -> Validation:
    def evaluator(device: torch.device) -> BacktestEvaluator:
        quantiles = LSTMForecaster(1, 0, HORIZON, "day").quantiles
        return BacktestEvaluator(panel, phase, quantiles, device)

    return Validation(evaluator, monitor, patience, mode="min")


def wape(model, panel, phase) -> float:
    return judge(panel, [phase], [forecast_phase(model, panel, phase)]).metrics["wape"]


class StopInEpoch(pl.Callback):
    """Sends what ^C sends, in the middle of an epoch (counted from 0)."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["quantile", "student_t"])
def test_it_learns_what_promotions_do(tmp_path, loss):
    panel = make_panel([200] * 4, promotions=True)
    phase = last_steps(panel, HORIZON)
    untrained = LSTMForecaster(4, 1, HORIZON, "day", context_length=14)
    model, fitted = fit(panel, phase, tmp_path, epochs=12, loss=loss)
    # without promotions the best is a guess between single and double sales
    assert wape(untrained, panel, phase) > 0.15
    assert wape(model, panel, phase) < 0.08
    assert fitted.samples_per_second > 0


def test_validation_keeps_the_epoch_with_the_lowest_error(tmp_path):
    panel = make_panel([120] * 3, promotions=True)
    phase = last_steps(panel, HORIZON)
    validation = lowest(panel, phase, "val/wape", patience=3)
    model, fitted = fit(panel, phase, tmp_path, epochs=6, validation=validation)
    assert wape(model, panel, phase) == pytest.approx(fitted.value, abs=1e-6)
    assert 1 <= fitted.epochs <= 6


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path):
    panel = make_panel([80, 60], promotions=True)
    phase = last_steps(panel, HORIZON)
    options = {"validation": lowest(panel, phase, "val/mase"), "dropout": 0.2}
    whole, expected = fit(panel, phase, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        fit(panel, phase, tmp_path / "stopped", callbacks=[StopInEpoch(2)], **options)
    resumed, found = fit(panel, phase, tmp_path / "stopped", **options)
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert (found.epochs, found.value) == (expected.epochs, expected.value)


def test_nothing_behind_the_origin_is_learned_from(tmp_path):
    panel = make_panel([80, 60])
    phase = last_steps(panel, HORIZON)
    spoiled = panel.y.copy()
    for first, until in zip(panel.indptr, phase.fit_until, strict=False):
        spoiled[first + until : first + until + HORIZON] = 1e6
    one, _ = fit(panel, phase, tmp_path / "one")
    other, _ = fit(replace(panel, y=spoiled), phase, tmp_path / "other")
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_short_and_empty_histories_train(tmp_path):
    panel = make_panel([60, 5, 2, 1])
    y = panel.y.copy()
    y[10:20] = np.nan
    y[60:65] = 0.0
    phase = ForecastPhase("val", np.array([53, 4, 2, 0]), np.full((1, 4), -1), HORIZON)
    model, _ = fit(replace(panel, y=y), phase, tmp_path, epochs=2)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    panel = make_panel([80, 60])
    y = panel.y.copy()
    y[5] = np.inf
    with pytest.raises(TrainingError, match="the loss is NaN or infinite"):
        fit(replace(panel, y=y), last_steps(panel, HORIZON), tmp_path)


def test_a_monitor_that_is_not_measured_is_named(tmp_path):
    panel = make_panel([80])
    phase = last_steps(panel, HORIZON)
    with pytest.raises(ConfigError, match="'val/mape' is not among .*val/wape"):
        fit(panel, phase, tmp_path, validation=lowest(panel, phase, "val/mape"))


def test_a_monitor_that_is_never_a_number_is_said(tmp_path):
    panel = make_panel([80])
    still = replace(panel, y=np.full_like(panel.y, 3.0))  # its seasonal naive forecast never errs
    phase = last_steps(still, HORIZON)
    with pytest.raises(TrainingError, match="val/mase .* was undefined in every validation"):
        fit(still, phase, tmp_path, validation=lowest(still, phase, "val/mase"))


def test_a_likelihood_without_its_distribution_is_refused(tmp_path):
    panel = make_panel([80])
    loss = StudentT()
    with pytest.raises(ConfigError, match="loss=student_t needs model.distribution=student_t"):
        fit(panel, last_steps(panel, HORIZON), tmp_path, settings_of_loss=loss)


def test_nobody_to_ask_is_said(tmp_path):
    panel = make_panel([80])
    phase = replace(last_steps(panel, HORIZON), origin=np.full((1, 1), -1))
    with pytest.raises(DataError, match="no series can be evaluated in phase val"):
        fit(panel, phase, tmp_path, validation=lowest(panel, phase, "val/wape"))


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ({"sales": 1.0}, "loss.units.sales does not exist"),
        ({"level": 0.0}, "at least one has to be above 0"),
    ],
)
def test_units_that_make_no_sense_are_named(units, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Quantile(units=units)


def test_covariates_are_measured_by_how_they_move_within_a_series():
    panel = make_panel([50, 50], promotions=True)
    moved = panel.covariates.copy()
    moved[:50] += 100.0  # a level of its own is no movement
    moved[43:50] = 1e6  # nor is what lies behind the fitted part
    panel = replace(panel, covariates=moved)
    phase = last_steps(panel, HORIZON)
    fitted = [moved[:43, 0], moved[50:93, 0]]
    want = math.sqrt(np.mean([part.var() for part in fitted]))
    assert covariate_scale(panel, phase)[0] == pytest.approx(want, rel=1e-5)
    still = replace(panel, covariates=np.ones_like(moved))
    assert covariate_scale(still, phase)[0] == 1.0


def test_the_quantile_loss_is_the_absolute_error_at_the_median():
    forecast = torch.tensor([[[3.0]], [[7.0]]])
    target = torch.tensor([[5.0], [5.0]])
    assert quantile_loss(forecast, target, torch.tensor([0.5])).tolist() == [[2.0], [2.0]]
    # too low by 2 at level 0.9: 2 x 0.9 x 2
    low = quantile_loss(forecast[:1], target[:1], torch.tensor([0.9]))
    assert low.tolist() == [[pytest.approx(3.6)]]


def test_the_student_t_loss_is_its_likelihood_up_to_a_constant():
    standard = student_t_quantiles(torch.tensor([0.1, 0.5, 0.9]))
    location, scale = 2.0, 1.5
    forecast = torch.tensor(stats.t.ppf([0.1, 0.5, 0.9], 4, location, scale)).float()
    targets = torch.tensor([[-1.0, 2.0, 6.0]])
    got = student_t_loss(forecast.reshape(1, 1, 3).expand(1, 3, 3), targets, standard)[0]
    want = -stats.t.logpdf(targets[0].numpy(), 4, location, scale)
    difference = got.numpy() - want
    assert difference == pytest.approx([difference[0]] * 3, abs=1e-4)


def test_a_windows_errors_are_counted_in_its_own_units():
    history = torch.tensor([[2.0, 4.0, 2.0, 6.0], [0.0, 0.0, 0.0, 0.0]])
    weight = lambda **units: window_weight(  # noqa: E731
        history, 2, 10.0, {"seasonal": 0.0, "level": 0.0, "typical": 0.0} | units
    )[:, 0].tolist()
    assert weight(level=1.0) == pytest.approx([1 / 3.5, 1 / 10])
    assert weight(seasonal=1.0) == pytest.approx([1 / 1.0, 1 / 0.5])  # a twentieth of the level
    assert weight(typical=2.0) == pytest.approx([0.2, 0.2])
    missing = torch.tensor([[2.0, math.nan, 2.0, 6.0]])
    got = window_weight(missing, 2, 10.0, {"seasonal": 0.0, "level": 1.0, "typical": 0.0})
    assert got.item() == pytest.approx(3 / 10)
