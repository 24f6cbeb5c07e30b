"""Windows hold what lies before and after their origin, and nothing of what may not be known."""

import numpy as np
import pytest
import torch

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.shards import Shard
from recsys.data.splits.rolling_origin import ForecastPhase
from recsys.data.windows import PanelTensors
from recsys.errors import DataError
from recsys.training.forecaster_data import FittedPanel
from recsys.training.objectives.windows import WindowLoss, WindowObjective

DAY = 86_400


def panel_of(*lengths: int) -> SalesPanel:
    """Series s has the values 100 s + step; one covariate, a thousand more."""
    y = np.concatenate([100 * s + np.arange(n) for s, n in enumerate(lengths)]).astype(np.float32)
    return SalesPanel(
        np.array([str(s) for s in range(len(lengths))], dtype=object),
        DAY * 7 * np.arange(len(lengths)),
        np.concatenate([[0], np.cumsum(lengths)]),
        y,
        y[:, None] + 1000,
        ("x",),
        "day",
        "UTC",
        PanelReport("made up"),
    )


def batches(panel, until, horizon=3, **options):
    origin = np.full((1, len(panel)), -1)
    given = {"min_history": 2, "batch_size": 16, "batches": 4} | options
    epoch, shard = given.pop("epoch", lambda: 0), given.pop("shard", Shard())
    phase = ForecastPhase("val", np.array(until), origin, horizon)
    objective = WindowObjective(FittedPanel(panel, phase), WindowLoss(**given), 5, no_loss, seed=1)
    return objective.batches(torch.device("cpu"), epoch, shard)


def no_loss(model, window, target):
    raise AssertionError


def test_a_window_is_the_past_and_what_follows():
    window, target = PanelTensors(panel_of(10, 8), "cpu").window(
        torch.tensor([1, 0]), torch.tensor([4, 6]), 3, 2
    )
    assert window.history.tolist() == [[101, 102, 103], [3, 4, 5]]
    assert target.tolist() == [[104, 105], [6, 7]]
    assert window.covariates[0, :, 0].tolist() == [1101, 1102, 1103, 1104, 1105]
    assert window.start.tolist() == [7 * DAY + DAY, 3 * DAY]
    assert window.series.tolist() == [1, 0]


def test_what_lies_outside_of_the_series_is_missing_not_its_neighbour():
    window, target = PanelTensors(panel_of(4, 4, 4), "cpu").window(
        torch.tensor([1, 1]), torch.tensor([1, 3]), 3, 3
    )
    assert torch.isnan(window.history[0]).tolist() == [True, True, False]
    assert target[1].tolist()[0] == 103
    assert torch.isnan(target[1]).tolist() == [False, True, True]
    assert torch.isnan(window.covariates[0, :2]).all()


def test_series_that_the_model_does_not_know_get_the_index_behind_the_last():
    tensors = PanelTensors(panel_of(4, 4), "cpu", known=np.array([True, False]))
    window, _ = tensors.window(torch.tensor([0, 1]), torch.tensor([2, 2]), 2, 1)
    assert window.series.tolist() == [0, 2]


def test_targets_end_where_fitting_ends_and_what_follows_is_never_read():
    panel = panel_of(30, 12)
    for window, target in batches(panel, [20, 9]):
        last = np.where(window.series.numpy() == 0, 20, 109)
        assert (np.nanmax(target.numpy(), axis=1) < last).all()
        assert (np.nanmax(window.history.numpy(), axis=1) < last).all()


def test_every_origin_that_may_be_fitted_is_drawn():
    panel = panel_of(12)
    firsts = {
        int(value)
        for _, target in batches(panel, [12], batches=40)
        for value in target[:, 0].tolist()
    }
    assert firsts == set(range(2, 10))  # two steps before, three after


def test_a_series_shorter_than_a_horizon_is_asked_for_what_it_has():
    panel = panel_of(2)
    window, target = next(iter(batches(panel, [2], horizon=4)))
    assert (window.history[:, -1] == 0).all()
    assert (target[:, 0] == 1).all()
    assert torch.isnan(target[:, 1:]).all()


def test_long_series_do_not_drown_short_ones_unless_asked_to():
    panel = panel_of(1000, 10)
    shares = {}
    for series_balance in (1.0, 0.0):
        drawn = torch.cat(
            [
                w.series
                for w, _ in batches(panel, [1000, 10], series_balance=series_balance, batches=100)
            ]
        )
        shares[series_balance] = (drawn == 1).float().mean().item()
    assert shares[1.0] == pytest.approx(0.5, abs=0.05)
    assert shares[0.0] == pytest.approx(6 / (996 + 6), abs=0.01)


def test_series_left_out_are_never_drawn():
    panel = panel_of(20, 20, 20)
    for window, _ in batches(panel, [20, 1, 0], batches=20):
        assert set(window.series.tolist()) == {0}


def test_an_epoch_repeats_itself_and_differs_from_the_next_and_from_another_process():
    panel = panel_of(50)

    def drawn(epoch, shard=None):
        loader = batches(panel, [50], epoch=lambda: epoch, shard=shard or Shard())
        return torch.cat([target for _, target in loader])

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    half = drawn(0, Shard(1, 2))
    assert len(half) == len(drawn(0)) // 2
    assert not torch.equal(half, drawn(0)[: len(half)])


def test_nothing_to_fit_on_is_said():
    with pytest.raises(DataError, match="no series has two steps before the first origin"):
        batches(panel_of(5), [1])
