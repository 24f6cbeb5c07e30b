from io import StringIO
from math import inf

import pytest
from benchmarks.beside_implicit import (
    Curve,
    best_table,
    contenders,
    curve_table,
    points,
    time_table,
)
from benchmarks.beside_recbole import NeuMFSettings, rows_beside_recbole
from benchmarks.ratios import RatioRow, ratio_table, ratios, reached, spread
from rich.console import Console


def text(table):
    written = StringIO()
    Console(width=300, file=written).print(table)
    return written.getvalue()


def test_spread_is_median_lowest_and_highest():
    assert spread([3.0, 1.0, 8.0]) == (3.0, 1.0, 8.0)
    assert spread([3.0, 1.0, 8.0]).text(1) == "3.0 (1.0 – 8.0)"
    assert spread([1234567.0]).text(0) == "1,234,567 (1,234,567 – 1,234,567)"


def test_what_is_never_reached_is_called_never():
    assert spread([2.0, inf, inf]).text(1) == "never (2.0 – never)"


def test_ratios_are_taken_within_a_round():
    # the second round was twice as slow for both: the ratio is 4 in either
    assert ratios([8.0, 4.0], [2.0, 1.0]) == [4.0, 4.0]


def test_a_target_is_reached_at_the_first_value_that_is_as_good():
    assert reached([1.0, 2.0, 3.0], [0.1, 0.3, 0.2], 0.2) == 2.0
    assert reached([1.0, 2.0], [0.1, 0.3], 0.3) == 2.0
    assert reached([1.0, 2.0], [0.1, 0.3], 0.31) == inf


def test_the_table_of_ratios_shows_both_sides_and_the_ratio_with_its_spread():
    rows = [RatioRow("speed", [8.0, 6.0, 9.0], [2.0, 2.0, 2.0])]
    shown = text(ratio_table("films", ("ours", "theirs"), rows))
    assert "films" in shown
    assert "8 (6 – 9)" in shown
    assert "2 (2 – 2)" in shown
    assert "4.00 (3.00 – 4.50)" in shown


def test_seconds_become_samples_and_users_a_second():
    ours = [{"train_seconds": 2.0, "evaluation_seconds": 0.5, "ndcg": 0.2, "peak_mb": 300.0}]
    theirs = [{"train_seconds": 8.0, "evaluation_seconds": 5.0, "ndcg": 0.1, "peak_mb": 600.0}]
    training, ranking, quality, memory = rows_beside_recbole(ours, theirs, samples=1000, users=50)
    assert (training.ours, training.theirs) == ([500.0], [125.0])
    assert (ranking.ours, ranking.theirs) == ([100.0], [10.0])
    assert (quality.ours, quality.theirs) == ([0.2], [0.1])
    assert (memory.ours, memory.theirs) == ([300.0], [600.0])


def test_what_is_equal_is_said():
    said = NeuMFSettings(epochs=3, batch_size=2048, lr=0.001, dropout=0.0).text()
    assert "Equal on both sides: NeuMF with 64 factors and layers of 128-64" in said
    assert "3 epochs of 2,048 pairs a step" in said
    assert "Adam at 0.001, no decay, no schedule; dropout 0" in said


def test_time_to_the_best_of_a_peer_is_compared_within_a_round():
    theirs = {"als": [Curve([1, 2, 3], [0.1, 0.3, 0.2], 1), Curve([2, 4, 6], [0.1, 0.2, 0.2], 1)]}
    ours = {"ials": [Curve([1, 5], [0.2, 0.4], 1)] * 2, "mf": [Curve([1, 5], [0.1, 0.1], 1)] * 2}
    shown = text(time_table("films", theirs, ours))
    # its best are 0.3 after 2 s and 0.2 after 4 s; ours has them after 5 s and 1 s
    assert "3.00 (2.00 – 4.00)" in shown
    assert "3.00 (1.00 – 5.00)" in shown
    assert "ratio 1.38 (0.25 – 2.50)" in shown
    assert "ratio never (never – never)" in shown


@pytest.mark.parametrize(("epochs", "expected"), [(1, [0]), (3, [0, 1, 2])])
def test_short_curves_are_shown_whole(epochs, expected):
    assert points(Curve([1.0] * epochs, [0.1] * epochs, 1)) == expected


def test_a_long_curve_is_shown_at_few_epochs_with_both_ends():
    shown = points(Curve([1.0] * 100, [0.1] * 100, 1))
    assert shown[0] == 0
    assert shown[-1] == 99
    assert len(shown) == 8
    curve = Curve([float(e) for e in range(100)], [0.001 * e for e in range(100)], 1)
    assert "99.00 s" in text(curve_table("films", {"als": [curve]}))


def test_what_comes_before_the_first_epoch_is_no_part_of_an_epoch():
    shown = text(best_table("films", {"ials": [Curve([5.0, 6.0, 7.0], [0.1, 0.3, 0.2], 90)]}))
    assert "1.000 (1.000 – 1.000)" in shown
    assert "6.00 (6.00 – 6.00)" in shown


@pytest.mark.parametrize(
    ("data", "theirs", "ours"),
    [("movielens_1m", {"als", "bpr"}, {"ials", "mf"}), ("generated", {"als"}, {"ials"})],
)
def test_contenders_of_both_sides_are_there(data, theirs, ours):
    assert {c.model for c in contenders(data) if c.is_peer} == theirs
    assert {c.model for c in contenders(data) if not c.is_peer} == ours
