"""The LSTM answers in units of y, whatever the scale, the length or the gaps of a history."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.models.forecaster import Forecaster
from recsys.models.forecasters.lstm import LSTMForecaster, Scaling, student_t_quantiles

DAY = 86_400
HORIZON = 9


def make(**options) -> LSTMForecaster:
    torch.manual_seed(0)
    settings = {"hidden_size": 8, "context_length": 14, "calendar": ("weekday",)}
    num_covariates, step = options.pop("num_covariates", 0), options.pop("step", "day")
    return LSTMForecaster(3, num_covariates, HORIZON, step, **settings | options).eval()


def window_of(history: torch.Tensor, series=None, covariates=None, start=0) -> Window:
    size = len(history)
    return Window(
        torch.zeros(size, dtype=torch.int64) if series is None else series,
        history,
        torch.full((size,), start, dtype=torch.int64),
        torch.zeros(size, history.shape[1] + HORIZON, 0) if covariates is None else covariates,
    )


def weekly(size=2, length=42) -> torch.Tensor:
    week = torch.tensor([1.0, 1.0, 1.2, 1.4, 2.0, 3.0, 0.5])
    days = torch.arange(length)
    return (torch.arange(size).unsqueeze(1) + 1) * 50 * week[days % 7]


def perturb(model: LSTMForecaster) -> LSTMForecaster:
    """As after some training: every weight counts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def test_it_is_a_forecaster():
    assert isinstance(make(), Forecaster)


def test_an_untrained_model_repeats_the_week():
    history = weekly()
    forecast = make()(window_of(history))[..., 2]
    want = history[:, 7 : 7 + HORIZON]  # 42 steps are whole weeks
    assert torch.allclose(forecast, want, rtol=1e-3)


@pytest.mark.parametrize("distribution", ["quantiles", "student_t"])
def test_quantiles_ascend(distribution):
    model = perturb(make(distribution=distribution))
    forecast = model(window_of(weekly() + torch.rand(2, 42)))
    assert forecast.shape == (2, HORIZON, 5)
    assert (forecast.diff(dim=2) > 0).all()


def test_student_t_quantiles_are_those_of_the_distribution():
    got = student_t_quantiles(torch.tensor([0.1, 0.5, 0.9]))
    assert got.tolist() == pytest.approx(stats.t.ppf([0.1, 0.5, 0.9], 4), abs=1e-6)
    model = perturb(make(distribution="student_t", quantiles=(0.1, 0.5, 0.9)))
    z, _ = model.scaled(window_of(weekly()))
    assert torch.allclose(z[..., 2] - z[..., 1], z[..., 1] - z[..., 0], atol=1e-5)


def test_ten_times_the_sales_are_ten_times_the_forecast():
    model = perturb(make())
    history = weekly() + torch.rand(2, 42)
    assert torch.allclose(model(window_of(10 * history)), 10 * model(window_of(history)), rtol=1e-3)


@pytest.mark.parametrize(
    "history",
    [
        torch.zeros(2, 42),
        torch.full((2, 42), 7.0),
        torch.full((2, 42), math.nan),
        torch.full((2, 42), -3.0),
        torch.full((2, 1), 4.0),
        torch.zeros(2, 0),
        torch.cat([torch.zeros(2, 41), torch.full((2, 1), 1e7)], dim=1),
    ],
    ids=["zeros", "constant", "all missing", "negative", "one step", "no step", "one huge sale"],
)
def test_no_history_breaks_it(history):
    assert torch.isfinite(perturb(make())(window_of(history))).all()


def test_a_constant_series_stays_near_its_value():
    forecast = make()(window_of(torch.full((1, 42), 7.0)))[..., 2]
    assert torch.allclose(forecast, torch.tensor(7.0), rtol=0.2)


def test_missing_steps_change_the_answer_little_and_zeros_a_lot():
    model, history = make(), weekly()
    gap, zero = history.clone(), history.clone()
    gap[:, -3] = math.nan
    zero[:, -3] = 0.0
    whole = model(window_of(history))[..., 2]
    by_gap = (model(window_of(gap))[..., 2] - whole).abs().sum()
    by_zero = (model(window_of(zero))[..., 2] - whole).abs().sum()
    assert by_gap < by_zero / 2


def test_only_the_last_steps_count_and_shorter_histories_are_padded():
    model = perturb(make())
    length = model.history_length
    assert length == 14 + 2 * 7
    history = weekly(length=length + 14)
    cut = window_of(history[:, 14:], start=14 * DAY)
    assert torch.allclose(model(window_of(history)), model(cut), rtol=1e-4)
    short = weekly(length=14)
    missing = torch.full((2, length - 14), math.nan)
    padded = window_of(torch.cat([missing, short], dim=1), start=-(length - 14) * DAY)
    assert torch.allclose(model(window_of(short)), model(padded), rtol=1e-4)


def test_the_calendar_follows_from_start_and_step():
    model = perturb(make())
    history = torch.full((1, 28), 5.0) + torch.rand(1, 28)
    monday = model(window_of(history, start=4 * DAY))  # 1970-01-05
    tuesday = model(window_of(history, start=5 * DAY))
    next_monday = model(window_of(history, start=11 * DAY))
    assert torch.allclose(monday, next_monday, rtol=1e-5)
    assert not torch.allclose(monday, tuesday, rtol=1e-4)


def test_weekdays_hours_and_years_are_right():
    model = LSTMForecaster(1, 0, 2, "hour", calendar=("hour", "weekday", "month", "year"))
    noon = 1_483_358_400  # 2017-01-02 12:00, a Monday
    features = model._calendar(torch.tensor([[noon, noon + 6 * DAY, noon + 3_600]]))[0]
    hour, weekday = features[:, :4], features[:, 4:11]
    assert weekday.argmax(dim=1).tolist() == [0, 6, 0]
    assert hour[0].tolist() == pytest.approx([0, 0, -1, 1], abs=1e-6)  # sin, sin 2, cos, cos 2
    assert torch.allclose(hour[0], hour[1])
    assert not torch.allclose(hour[0], hour[2])
    year = features[:, 19:]
    assert year[0, 2] == pytest.approx(1.0, abs=0.01)  # early January


def test_an_unknown_series_is_served_and_every_series_has_its_own_answer():
    model = perturb(make())
    history = weekly(1).repeat(4, 1)
    forecast = model(window_of(history, series=torch.tensor([0, 1, 2, 3])))
    assert torch.isfinite(forecast).all()
    assert len({round(float(value), 3) for value in forecast[:, 0, 2].detach()}) == 4


def test_covariates_count_by_what_differs_from_their_usual():
    model = perturb(make(num_covariates=1))
    history = weekly(1)
    usual = torch.rand(1, 42 + HORIZON, 1)
    promoted = usual.clone()
    promoted[:, -HORIZON] += 1.0
    plain = model(window_of(history, covariates=usual))
    assert torch.allclose(plain, model(window_of(history, covariates=usual + 5.0)), rtol=1e-3)
    assert not torch.allclose(plain, model(window_of(history, covariates=promoted)), rtol=1e-3)
    unknown = torch.full_like(usual, math.nan)
    assert torch.isfinite(model(window_of(history, covariates=unknown))).all()


def test_scaling_inverts_itself():
    scaling = Scaling(torch.tensor([[2.0]]), torch.tensor([[1.0]]), torch.tensor([[0.5]]))
    y = torch.tensor([[-3.0, 0.0, 0.1, 50.0, 1e6]])
    assert torch.allclose(scaling.invert(scaling.apply(y).unsqueeze(2)).squeeze(2), y, rtol=1e-4)


def test_lags_follow_the_season_where_nothing_is_said() -> None:
    for step, season, lags in (
        ("hour", None, (24, 168)),
        ("hour", 168, (168,)),
        ("day", None, (7,)),
        ("day", 30, (30,)),
        ("week", None, (52,)),
        ("month", None, (12,)),
    ):
        assert make(step=step, season=season, calendar=None).lags == lags


def test_months_of_a_forecast_follow_those_of_its_history() -> None:
    model = make(step="month", calendar=None, seasons_averaged=1)
    assert (model.calendar, model.history_length) == (("year",), 14 + 12)

    def moments(*dates: str) -> torch.Tensor:
        return torch.from_numpy(np.array(dates, dtype="datetime64[s]").astype(np.int64))

    history = torch.rand(1, 5).expand(2, 5)
    window = window_of(history, start=0)._replace(start=moments("2023-10-31", "2023-10-01"))
    known, ahead = model._known(window)
    # five months of history, the last 14 + 9 of which end with November 2024
    begins = model._calendar(moments("2024-03-01", "2024-11-01").unsqueeze(0))[0]
    assert torch.equal(ahead[0, [0, 8]], begins)
    assert torch.equal(ahead[0], ahead[1])
    assert torch.equal(known[0, -1], model._calendar(moments("2024-02-01").unsqueeze(0))[0, 0])
    assert torch.allclose(*model(window))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"quantiles": (0.9, 0.5)}, "they have to ascend"),
        ({"quantiles": (0.1, 0.9)}, "0.5 among them"),
        ({"quantiles": (0.0, 0.5)}, "between 0 and 1"),
        ({"distribution": "student_t", "quantiles": (0.5,)}, "has a width"),
        ({"lags": (7, 14), "seasons_averaged": (1,)}, "give one for each lag"),
        (
            {"lags": (60_000,), "season": 60_000, "seasons_averaged": (60_000,)},
            "reach 3,600,000,0.. steps back",
        ),
        ({"lags": (1, 14)}, r"lags=\[1, 14\] leaves out the season of 7 days.*data.seasonality"),
        ({"step": "month", "calendar": ("year", "weekday")}, "weekday says nothing of a step"),
    ],
)
def test_settings_that_make_no_sense_are_named(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(**options)
