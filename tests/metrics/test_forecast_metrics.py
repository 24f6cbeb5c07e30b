"""Metrics by arithmetic, by properties and against utilsforecast."""

from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from utilsforecast import losses

from recsys.metrics.forecast import (
    Scale,
    errors,
    forecast_metrics,
    intervals,
    mean_over_windows,
    recent_sales,
    seasonal_scale,
    segment_sums,
)
from recsys.metrics.forecast_accumulator import ForecastMetrics

POINT = (0.5,)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
NAN = float("nan")

# 10, 20, 0 were sold where 12, 15, 0 were forecast: e is 2, -5, 0
TRUTH = torch.tensor([[10.0, 20.0, 0.0]])
FORECAST = torch.tensor([[12.0, 15.0, 0.0]]).unsqueeze(2)
SCALE = Scale(torch.tensor([2.0]), torch.tensor([9.0]))


def of_series(
    forecast: Tensor,
    truth: Tensor,
    quantiles: tuple[float, ...] = POINT,
    scale: Scale | None = None,
) -> dict[str, Tensor]:
    return forecast_metrics(errors(forecast, truth, quantiles).sum(dim=1), quantiles, scale)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", (2 + 5 + 0) / 3),
        ("rmse", sqrt((4 + 25 + 0) / 3)),
        ("wape", 7 / 30),
        # 0 / 0 counts as 0
        ("smape", 200 * (2 / 22 + 5 / 35 + 0) / 3),
        ("bias", (2 - 5) / 30),
        # half of the absolute error, for the median
        ("pinball", 0.5 * 7 / 3),
        ("pinball_scaled", 7 / 30),
        ("mase", 7 / 3 / 2),
        ("rmsse", sqrt(29 / 3 / 9)),
    ],
)
def test_metric_equals_its_arithmetic(name: str, expected: float) -> None:
    metrics = of_series(FORECAST, TRUTH, scale=SCALE)
    assert metrics[name].tolist() == pytest.approx([expected])


def test_pinball_weighs_what_lies_above_and_below_by_the_level() -> None:
    # y = 10: the lower forecast 4 misses by 6 from below, the upper one 15 by 5 from above
    forecast = torch.tensor([[[4.0, 10.0, 15.0]]])
    metrics = of_series(forecast, torch.tensor([[10.0]]), (0.1, 0.5, 0.9))
    loss = (0.1 * 6 + 0 + (1 - 0.9) * 5) / 3
    assert metrics["pinball"].item() == pytest.approx(loss)
    assert metrics["pinball_scaled"].item() == pytest.approx(2 * loss / 10)


def test_coverage_counts_both_ends() -> None:
    forecast = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).expand(1, 4, 5)
    truth = torch.tensor([[1.0, 5.0, 2.5, 5.1]])
    metrics = of_series(forecast, truth, QUANTILES)
    assert metrics["coverage_80"].item() == 3 / 4
    assert metrics["coverage_50"].item() == 1 / 4


def test_intervals_are_pairs_of_quantiles_around_the_median() -> None:
    assert intervals(QUANTILES) == {"coverage_80": (0, 4), "coverage_50": (1, 3)}
    assert intervals((0.025, 0.1, 0.5, 0.9)) == {"coverage_80": (1, 3)}
    assert intervals((0.0125, 0.5, 0.9875)) == {"coverage_97.5": (0, 2)}
    assert intervals(POINT) == {}


def test_unknown_truth_is_left_out() -> None:
    forecast = FORECAST + torch.tensor([-6.0, -1.0, 0.0, 1.0, 6.0])
    longer = torch.cat([TRUTH, torch.tensor([[NAN, NAN]])], dim=1)
    beyond = torch.cat([forecast, torch.tensor([0.0, 1e6]).expand(5, 2).T.unsqueeze(0)], dim=1)
    expected = of_series(forecast, TRUTH, QUANTILES, SCALE)
    for name, value in of_series(beyond, longer, QUANTILES, SCALE).items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_series_without_known_truth_is_nan() -> None:
    for name, value in of_series(FORECAST, TRUTH * NAN, scale=SCALE).items():
        assert isnan(value), name


def test_series_without_sales_has_no_relative_metric() -> None:
    metrics = of_series(FORECAST, TRUTH * 0, scale=SCALE)
    relative = {"wape", "bias", "pinball_scaled"}
    assert {name for name, value in metrics.items() if isnan(value)} == relative


def test_zero_scale_is_nan() -> None:
    zero = torch.zeros(1)
    metrics = of_series(FORECAST, TRUTH, scale=Scale(zero, zero))
    assert isnan(metrics["mase"])
    assert isnan(metrics["rmsse"])


def test_forecast_that_is_no_number_makes_its_metrics_nan() -> None:
    forecast = torch.tensor([[[NAN, 10.0, NAN], [NAN, 20.0, NAN]]])
    metrics = of_series(forecast, torch.tensor([[10.0, 20.0]]), (0.1, 0.5, 0.9))
    assert metrics["wape"].item() == 0
    assert isnan(metrics["pinball"])
    assert isnan(metrics["coverage_80"])
    forecast = torch.tensor([[[1.0, NAN, 3.0], [1.0, 2.0, 3.0]]])
    assert isnan(of_series(forecast, torch.tensor([[2.0, 2.0]]), (0.1, 0.5, 0.9))["wape"])


def test_seasonal_scale_reads_the_history_alone() -> None:
    # two series; differences two steps apart: 2, -3, missing | 10
    y = np.array([1, 5, 3, 2, np.nan, 99, 10, 20, 20, 99], dtype=np.float32)
    indptr = np.array([0, 6, 10])
    scale = seasonal_scale(y, indptr, np.array([0, 1, 1, 0]), np.array([5, 3, 2, 6]), 2)
    assert scale.absolute.tolist() == pytest.approx([5 / 2, 10, NAN, (2 + 3 + 97) / 3], nan_ok=True)
    expected = [(4 + 9) / 2, 100, NAN, (4 + 9 + 97**2) / 3]
    assert scale.squared.tolist() == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("steps", [3, 5, 7])
def test_seasonal_scale_of_a_season_longer_than_all_series_is_nan(steps: int) -> None:
    end = np.array([steps])
    scale = seasonal_scale(np.ones(steps), np.array([0, steps]), np.array([0]), end, 7)
    assert isnan(scale.absolute)


def test_recent_sales_are_those_of_the_last_steps() -> None:
    y = np.array([1, 2, np.nan, 4, 100, -7, 1, 1], dtype=np.float32)
    indptr = np.array([0, 5, 8])
    # returned more than sold: no weight
    series, origin = np.array([0, 0, 1, 0]), np.array([4, 1, 2, 0])
    assert recent_sales(y, indptr, series, origin, 3).tolist() == [2 + 4, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_segment_sums_equal_slices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=rng.integers(1, 20))
    begin, end = rng.integers(0, len(values) + 1, (2, rng.integers(0, 10)))
    expected = [values[a:b].sum() for a, b in zip(begin, end, strict=True)]
    np.testing.assert_allclose(segment_sums(values, begin, end), expected, atol=1e-12)


def test_window_that_knows_nothing_leaves_the_mean() -> None:
    values = torch.tensor([[1.0, 1.0], [3.0, NAN], [NAN, NAN]])
    steps = torch.tensor([[2.0, 2.0], [2.0, 2.0], [0.0, 0.0]])
    assert mean_over_windows(values, steps).tolist() == pytest.approx([2, NAN], nan_ok=True)


class Panel:
    """Random forecasts of several windows, as tensors and as utilsforecast reads them."""

    windows, series, horizon, seasonality = 2, 5, 6, 3

    def __init__(self, seed: int, missing: bool = False) -> None:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(30, 40, self.series)
        self.indptr = np.concatenate([[0], lengths.cumsum()])
        self.y = rng.poisson(rng.gamma(1, 4, self.series).repeat(lengths)).astype(np.float32) + 0.5
        self.y[self.indptr[:-1]] = 9  # so that no series repeats itself
        self.window = np.repeat(np.arange(self.windows), self.series)
        self.of = np.tile(np.arange(self.series), self.windows)
        self.origin = lengths[self.of] - self.horizon * (self.windows - self.window)
        step = self.origin[:, None] + np.arange(self.horizon)
        truth = self.y[self.indptr[self.of][:, None] + step]
        if missing:
            truth[rng.random(truth.shape) < 0.2] = np.nan
        forecast = np.sort(rng.poisson(4, (*truth.shape, len(QUANTILES))), axis=2) + rng.random()
        self.truth, self.forecast = torch.from_numpy(truth), torch.from_numpy(forecast)
        self.scale = seasonal_scale(self.y, self.indptr, self.of, self.origin, self.seasonality)

        of = np.repeat(np.arange(self.series), lengths)
        self.train = pd.DataFrame(
            {"unique_id": of, "ds": np.arange(len(of)) - self.indptr[of], "y": self.y}
        )
        columns = {"m": forecast[:, :, 2]}
        for name, (low, high) in intervals(QUANTILES).items():
            level = name.removeprefix("coverage_")
            columns |= {f"m-lo-{level}": forecast[:, :, low], f"m-hi-{level}": forecast[:, :, high]}
        self.frame = pd.DataFrame(
            {
                "unique_id": self.of.repeat(self.horizon),
                "cutoff": (self.origin - 1).repeat(self.horizon),
                "ds": step.reshape(-1),
                "y": truth.reshape(-1),
            }
            | {name: values.reshape(-1) for name, values in columns.items()}
        )

    def theirs(self, table: pd.DataFrame) -> np.ndarray:
        """Values of utilsforecast in the order of ours."""
        key = pd.MultiIndex.from_arrays([self.of, self.origin - 1])
        return table.set_index(["unique_id", "cutoff"])["m"].loc[key].to_numpy()


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_those_of_utilsforecast(seed: int) -> None:
    panel = Panel(seed)
    ours = of_series(panel.forecast, panel.truth, QUANTILES, panel.scale)
    frame, models = panel.frame, ["m"]
    scaled = {"seasonality": panel.seasonality, "train_df": panel.train}
    sales = panel.truth.abs().mean(dim=1).double().numpy()
    places = {
        level: name
        for level, name in zip(
            QUANTILES, ("m-lo-80", "m-lo-50", "m", "m-hi-50", "m-hi-80"), strict=True
        )
    }
    pinball = np.mean(
        [
            panel.theirs(losses.quantile_loss(frame, {"m": name}, q=level))
            for level, name in places.items()
        ],
        axis=0,
    )
    theirs = {
        "mae": panel.theirs(losses.mae(frame, models)),
        "rmse": panel.theirs(losses.rmse(frame, models)),
        "wape": panel.theirs(losses.mae(frame, models)) / sales,
        # theirs runs from 0 to 1
        "smape": 200 * panel.theirs(losses.smape(frame, models)),
        "bias": panel.theirs(losses.bias(frame, models)) / sales,
        "mase": panel.theirs(losses.mase(frame, models, **scaled)),
        "rmsse": panel.theirs(losses.rmsse(frame, models, **scaled)),
        "pinball": pinball,
        "pinball_scaled": 2 * pinball / sales,
        "coverage_80": panel.theirs(losses.coverage(frame, models, 80)),
        "coverage_50": panel.theirs(losses.coverage(frame, models, 50)),
    }
    assert set(theirs) == set(ours)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name].numpy(), values, rtol=1e-6, err_msg=name)


def accumulated(panel: Panel, blocks: int, weight: Tensor | None = None) -> ForecastMetrics:
    metrics = ForecastMetrics(QUANTILES, panel.windows)
    for rows in np.array_split(np.arange(len(panel.of)), blocks):
        scale = Scale(panel.scale.absolute[rows], panel.scale.squared[rows])
        part = None if weight is None else weight[rows]
        window = torch.from_numpy(panel.window[rows])
        metrics.update(panel.forecast[rows], panel.truth[rows], scale, part, window)
    return metrics


@pytest.mark.parametrize("seed", range(3))
def test_accumulator_weighs_as_its_words_say(seed: int) -> None:
    panel = Panel(seed, missing=True)
    weight = torch.arange(1, 11).double()
    found = accumulated(panel, 1, weight).compute()
    point, y = panel.forecast[:, :, 2].double(), panel.truth.double()
    by_series = of_series(panel.forecast, panel.truth, QUANTILES, panel.scale)

    def over_windows(values: list[Tensor]) -> float:
        return float(torch.stack(values).mean())

    windows = [slice(0, 5), slice(5, 10)]
    absolute = (point - y).abs()
    expected = {
        "wape": over_windows([absolute[w].nansum() / y[w].abs().nansum() for w in windows]),
        "mae": over_windows([absolute[w].nanmean() for w in windows]),
        "rmse": over_windows([absolute[w].square().nanmean().sqrt() for w in windows]),
        "smape": over_windows([by_series["smape"][w].nanmean() for w in windows]),
        "mase": over_windows([by_series["mase"][w].nanmean() for w in windows]),
        "rmsse": over_windows([by_series["rmsse"][w].nanmean() for w in windows]),
        "weighted_rmsse": over_windows(
            [(by_series["rmsse"] * weight)[w].nansum() / weight[w].sum() for w in windows]
        ),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    assert found["forecasts"] == 10


@pytest.mark.parametrize("seed", range(3))
def test_blocks_and_their_order_do_not_matter(seed: int) -> None:
    panel = Panel(seed, missing=True)
    whole, parts = accumulated(panel, 1), accumulated(panel, 4)
    assert parts.compute() == pytest.approx(whole.compute(), nan_ok=True)
    for ours, theirs in zip(parts.windows(), whole.windows(), strict=True):
        assert ours == pytest.approx(theirs, nan_ok=True)


def test_series_without_sales_or_scale_are_counted_and_leave_the_means() -> None:
    truth = torch.tensor([[2.0, 2.0], [0.0, 0.0], [NAN, NAN], [4.0, 4.0]])
    forecast = torch.tensor([3.0, 1.0, 1.0, 2.0])[:, None, None].expand(4, 2, 1)
    scale = torch.tensor([1.0, 2.0, 1.0, 0.0])
    metrics = ForecastMetrics(POINT)
    metrics.update(forecast, truth, Scale(scale, scale), torch.tensor([1.0, 3.0, 5.0, 7.0]))
    found = metrics.compute()
    assert found["forecasts"] == 3
    assert found["series_without_sales"] == 1
    assert found["series_without_scale"] == 1
    assert found["mase"] == pytest.approx((1 / 1 + 1 / 2) / 2)
    assert found["weighted_rmsse"] == pytest.approx((1 * 1 + 3 * sqrt(1 / 2)) / (1 + 3))
    # the series without sales counts among the errors
    assert found["wape"] == pytest.approx((2 + 2 + 4) / (4 + 0 + 8))


def test_sums_of_processes_add_up() -> None:
    panel = Panel(0, missing=True)
    whole = accumulated(panel, 1)
    shares = []
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        metrics = ForecastMetrics(QUANTILES, panel.windows)
        scale = Scale(panel.scale.absolute[rows], panel.scale.squared[rows])
        window = torch.from_numpy(panel.window[rows].copy())
        metrics.update(panel.forecast[rows], panel.truth[rows], scale, None, window)
        shares.append(metrics)
    # what torchmetrics does between processes, with the reduction that each state declares
    for name, reduction in shares[0]._reductions.items():
        assert reduction is not None
        both = torch.stack([getattr(metrics, name) for metrics in shares])
        setattr(shares[0], name, reduction(both))
    assert shares[0].compute() == pytest.approx(whole.compute(), nan_ok=True)


def test_unweighted_metrics_have_no_weighted_rmsse() -> None:
    assert isnan(accumulated(Panel(0), 1).compute()["weighted_rmsse"])


def test_reset_forgets() -> None:
    metrics = accumulated(Panel(0), 1)
    metrics.reset()
    metrics.update(FORECAST.expand(1, 3, 5), TRUTH, SCALE)
    assert metrics.windows()[0]["wape"] == pytest.approx(7 / 30)
    assert isnan(metrics.windows()[1]["wape"])
