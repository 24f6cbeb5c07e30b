"""What is no number is never ranked, and no error of it is ever measured."""

import numpy as np
import pytest
import torch
from scored_phases import ScoreTable, phase_of
from test_backtest import PANEL, LastValue
from test_backtest import phase_of as windows_of

from recsys.data.interactions import Candidates
from recsys.errors import TrainingError
from recsys.evaluation import backtest
from recsys.evaluation.backtest_evaluator import BacktestEvaluator
from recsys.evaluation.ranking import RankingEvaluator, evaluate

NAN, INF = float("nan"), float("inf")
CPU = torch.device("cpu")


@pytest.mark.parametrize("broken", [[1, NAN, 0], [NAN] * 3, [0, INF, 1], [-INF] * 3])
@pytest.mark.parametrize("view", ["new", "all"])
def test_a_user_whose_scores_are_no_numbers_stops_the_ranking(broken, view):
    phase = phase_of([[0], [0]], [[1], [2]], num_items=3)
    with pytest.raises(TrainingError, match=r"phase test: the scores of 1 of 2 users are NaN"):
        evaluate(ScoreTable([[3, 2, 1], broken]), phase, views=(view,), ks=(1,))


def test_the_same_holds_while_training_and_for_lists_of_candidates():
    lists = Candidates(
        user=torch.tensor([0]),
        item=torch.tensor([[0, 1]]),
        relevant=torch.tensor([[True, False]]),
    )
    phase = phase_of([[0]], [[1]], num_items=2, candidates=lists)
    model = ScoreTable([[NAN, 0.0]])
    evaluator = RankingEvaluator(phase, views=("candidates",), ks=(1,), device=CPU)
    with pytest.raises(TrainingError, match="1 of 1 users"):
        evaluator.update(model, torch.tensor([0]))


def test_an_item_that_is_never_recommended_may_score_minus_infinity():
    phase = phase_of([[0], [0]], [[1], [2]], num_items=3)
    found = evaluate(ScoreTable([[3, 2, -INF]] * 2), phase, views=("all",), ks=(2,)).metrics
    assert found["all/recall@2"] == 1 / 2


class Broken(LastValue):
    """Forecasts NaN for the second series."""

    def forward(self, window):
        made = super().forward(window).clone()
        made[window.series == 1] = NAN
        return made


def test_forecasts_are_checked_while_training():
    cut = windows_of([4, 4])
    evaluator = BacktestEvaluator(PANEL, cut, Broken.quantiles, CPU)
    with torch.inference_mode(), pytest.raises(TrainingError, match=r"1 of 2 forecasts.*'s1'"):
        evaluator.update(Broken(2, 2).eval(), torch.arange(2))


@pytest.mark.parametrize("value", [NAN, INF])
def test_forecasts_of_statistical_methods_are_checked(monkeypatch, value):
    class Method:
        cache_key, counts, seconds = "made up", {}, 0.0  # noqa: RUF012

        def forecast(self, panel, phase, quantiles):
            raise AssertionError

    made = np.ones((1, 2, 2, 1), dtype=np.float32)
    made[0, 0, 1] = value
    monkeypatch.setattr(backtest, "cached_forecast", lambda *arguments: made)
    with pytest.raises(TrainingError, match=r"1 of 2 forecasts.*'s0'"):
        backtest.forecast_phase(Method(), PANEL, windows_of([4, 4]), quantiles=(0.5,))
