import math

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation.significance import bootstrap_intervals
from recsys.reports.facts import read_ranking_facts
from recsys.reports.intervals import mean_interval
from recsys.reports.leaderboard import leaderboard
from recsys.reports.verdict import caution, verdict


def said(make_run, values):
    return verdict(read_ranking_facts(make_run(metrics=values)))


def test_winning_baseline_is_named_first(make_run, metrics):
    sentence = said(make_run, metrics(0.30, 0.40, popularity=(0.36, 0.2), ease=(0.33, 0.3)))
    # 0.36 / 0.30 = 1.2; 0.40 / 0.30 = 1.33
    assert sentence.replace("\N{NO-BREAK SPACE}", " ") == (
        "On new items, popularity is ahead of GMF (NDCG@10 0.3600 against 0.3000, 20 % more); "
        "on all purchases, GMF is ahead of EASE (NDCG@10 0.4000 against 0.3000, 33 % more)."
    )


def test_baselines_that_tie_for_the_lead_are_all_named(make_run, metrics):
    sentence = said(make_run, metrics(popularity=(0.36, 0.2), personal_frequency=(0.36, 0.1)))
    assert sentence.startswith(
        "On new items, popularity and personal top frequency (P-TopFreq) are ahead of GMF"
    )


def test_level_is_neither_ahead_nor_behind(make_run, metrics):
    sentence = said(make_run, metrics(0.3, 0.4, popularity=(0.3, 0.1)))
    assert sentence.startswith("On new items, GMF is level with popularity (NDCG@10 0.3000);")


def test_lead_of_less_than_one_percent_is_not_rounded_to_nothing(make_run, metrics):
    sentence = said(make_run, metrics(0.300, 0.4, popularity=(0.301, 0.1)))
    assert "less than 1" in sentence.partition(";")[0]


def test_baseline_without_any_hit_has_no_percentage(make_run, metrics):
    sentence = said(make_run, metrics(0.3, 0.4, popularity=(0.0, 0.0)))
    assert sentence.startswith(
        "On new items, GMF is ahead of popularity (NDCG@10 0.3000 against 0.0000);"
    )


def test_without_baselines_nothing_is_claimed(make_run, metrics):
    sentence = said(make_run, metrics(0.3, 0.4))
    assert "0.3000 on new items and 0.4000 on all purchases" in sentence
    assert "no baseline was evaluated" in sentence


def test_undefined_view_is_left_out(make_run, metrics):
    sentence = said(make_run, metrics(math.nan, 0.4, popularity=(0.1, 0.2)))
    assert "new items" not in sentence
    assert sentence.startswith("On all purchases, GMF is ahead")


def test_baseline_of_the_same_name_does_not_replace_the_model(make_run, metrics):
    values = metrics(0.3, 0.4, gmf=(0.9, 0.9))
    assert said(make_run, values).startswith("On new items, GMF (baseline) is ahead of GMF")
    board = leaderboard(values, "gmf", [10])
    assert board["new ndcg@10"].to_dict() == {"gmf (baseline)": 0.9, "gmf": 0.3}


def test_interval_is_that_of_a_comparison():
    values = pd.Series([0.0, 0.2, 0.4, 0.6, 0.9])
    expected = bootstrap_intervals(values.to_numpy()[None], np.ones(5))[0]
    assert mean_interval(values) == tuple(expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[], [0.5]])
def test_interval_of_less_than_two_customers_is_undefined(values):
    assert mean_interval(pd.Series(values, dtype=float)) is None


def test_difference_within_the_interval_is_too_close_to_call(make_run, metrics):
    # the four customers have 0, 0, 0.4 and 0.8
    facts = read_ranking_facts(make_run(metrics=metrics(0.3, 0.3, popularity=(0.36, 0.9))))
    assert caution(facts).startswith(
        "Too close to call on new items (0.0000 to 0.7000): over 4 customers"
    )


def test_clear_difference_needs_no_caution(make_run, metrics):
    assert caution(read_ranking_facts(make_run(metrics=metrics(popularity=(0.9, 0.9))))) == ""


def test_level_needs_no_caution(make_run, metrics):
    assert (
        caution(read_ranking_facts(make_run(metrics=metrics(0.3, 0.3, popularity=(0.3, 0.3)))))
        == ""
    )
