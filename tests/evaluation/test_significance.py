import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.evaluation import significance as comparison
from recsys.evaluation.significance import (
    bootstrap_intervals,
    compare,
    holm,
    purchase_groups,
    randomization_test,
)


def skewed(models: int, units: int, seed: int = 0) -> np.ndarray:
    """Many zeros and a few high values, as NDCG by customer."""
    return np.random.default_rng(seed).beta(0.3, 2.0, (models, units))


@pytest.mark.parametrize("units", [10, 60])
def test_intervals_of_a_mean_agree_with_scipy(units: int) -> None:
    values = np.random.default_rng(8).lognormal(0.0, 1.5, (2, units))
    found = bootstrap_intervals(values, np.ones(units), resamples=60_000, confidence=0.9)
    for row, own in zip(values, found, strict=True):
        theirs = stats.bootstrap(
            (row,), np.mean, method="BCa", confidence_level=0.9, n_resamples=60_000, rng=1
        ).confidence_interval
        width = theirs.high - theirs.low
        assert own == pytest.approx([theirs.low, theirs.high], abs=0.015 * width)


def test_intervals_of_a_ratio_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.gamma(0.7, 10.0, 50)
    totals = sizes * rng.uniform(0.1, 0.6, 50)
    own = bootstrap_intervals(totals[None], sizes, resamples=40_000)[0]

    def ratio(total: np.ndarray, size: np.ndarray, axis: int = -1) -> np.ndarray:
        return total.sum(axis=axis) / size.sum(axis=axis)

    theirs = stats.bootstrap(
        (totals, sizes), ratio, method="BCa", paired=True, n_resamples=20_000, rng=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert own == pytest.approx([theirs.low, theirs.high], abs=0.03 * width)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    samples = rng.beta(0.3, 2.0, (400, 80))
    truth = 0.3 / 2.3
    hits = 0
    for number, sample in enumerate(samples):
        low, high = bootstrap_intervals(sample[None], np.ones(80), resamples=400, seed=number)[0]
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_all_rows_see_the_same_resamples() -> None:
    values = skewed(1, 200)[0]
    both = np.stack([values, values + 0.25, values - values])
    intervals = bootstrap_intervals(both, np.ones(200))
    assert intervals[1] == pytest.approx(intervals[0] + 0.25)
    assert intervals[2].tolist() == [0.0, 0.0]


def test_blocks_do_not_change_the_resamples_of_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    values = skewed(2, 64)
    whole = bootstrap_intervals(values, np.ones(64), resamples=100)
    coins = randomization_test(values[1:] - values[:1], flips=200)
    monkeypatch.setattr(comparison, "_BLOCK", 7 * 64)
    assert bootstrap_intervals(values, np.ones(64), resamples=100) == pytest.approx(whole)
    assert randomization_test(values[1:] - values[:1], flips=200) == pytest.approx(coins)


def test_fewer_than_two_units_have_no_interval() -> None:
    assert np.isnan(bootstrap_intervals(np.ones((2, 1)), np.ones(1))).all()
    assert np.isnan(bootstrap_intervals(np.ones((2, 0)), np.ones(0))).all()


@pytest.mark.filterwarnings("error")
def test_a_resample_without_size_leaves_the_interval_undefined() -> None:
    # one of two units has no sales: a quarter of the resamples draw only that one
    found = bootstrap_intervals(np.array([[1.0, 1.0]]), np.array([0.0, 2.0]))
    assert np.isnan(found).all()


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    values = skewed(1, 100)
    narrow, wide = (
        bootstrap_intervals(values, np.ones(100), confidence=share)[0] for share in (0.5, 0.99)
    )
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_many_units_get_the_normal_limit_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    values = skewed(2, 3_000)
    sizes = np.random.default_rng(3).gamma(2.0, 1.0, 3_000)
    totals = (3.0 + values) * sizes
    differences = values[1:] - values[:1] + 0.008
    exact = bootstrap_intervals(totals, sizes), randomization_test(differences)
    monkeypatch.setattr(comparison, "MOST_RESAMPLED", 2_999)
    limit = bootstrap_intervals(totals, sizes), randomization_test(differences)
    assert limit[0] == pytest.approx(exact[0], abs=0.001)
    assert 0.01 < limit[0][0, 1] - limit[0][0, 0] < 0.03
    assert 0.01 < exact[1][0] < 0.9
    assert limit[1] == pytest.approx(exact[1], abs=0.02)
    assert randomization_test(np.zeros((1, 3_000))).tolist() == [1.0]


def test_p_is_the_share_of_sign_patterns_as_far_from_zero() -> None:
    # of the 8 patterns of (1, 2, 4) two, all plus and all minus, reach |7|
    p_value = randomization_test(np.array([[1.0, 2.0, 4.0]]), flips=40_000)
    assert p_value == pytest.approx([2 / 8], abs=0.01)
    # |1 + 2 - 4| = 1 is reached by all
    assert randomization_test(np.array([[1.0, 2.0, -4.0]])).tolist() == [1.0]


def test_p_agrees_with_scipy_and_is_never_zero() -> None:
    rng = np.random.default_rng(4)
    differences = rng.normal(0.15, 1.0, (1, 120))
    theirs = stats.permutation_test(
        (differences[0], np.zeros(120)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=9_999,
        rng=1,
    ).pvalue
    assert randomization_test(differences) == pytest.approx([theirs], abs=0.015)
    assert randomization_test(np.full((1, 100), 0.1)).tolist() == [1 / 10_000]


def test_p_of_equal_models_is_uniform() -> None:
    differences = np.random.default_rng(5).normal(size=(600, 50)) * 1e-9
    p_values = randomization_test(differences, flips=499)
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert p_values.mean() == pytest.approx(0.5, abs=0.05)


def test_sums_that_differ_by_rounding_count_as_equal() -> None:
    differences = np.array([[0.1, 0.2, 0.3, -0.6 + 1e-17]])
    assert randomization_test(differences).tolist() == [1.0]


def test_holm_steps_down_and_never_falls() -> None:
    # sorted: .01 x 4, .015 x 3 = .045, .03 x 2 = .06, .05 x 1 below the one before
    assert holm(np.array([0.03, 0.01, 0.05, 0.015])) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert holm(np.array([0.7, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_only_raises(p_values: list[float]) -> None:
    p = np.array(p_values)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(p * len(p), 1.0).max() + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


def table(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_compare_gives_means_differences_and_corrected_p() -> None:
    rng = np.random.default_rng(6)
    base = rng.uniform(size=300)
    totals = table(
        reference=base, better=base + rng.normal(0.1, 0.1, 300), same=rng.permutation(base)
    )
    found = compare(totals, np.ones(300), "reference")
    assert found["value"].to_dict() == pytest.approx(totals.mean().to_dict())
    assert found.loc["reference", ["difference", "p", "p_holm"]].isna().all()
    better = found.loc["better"]
    assert better["difference"] == pytest.approx((totals["better"] - base).mean())
    assert 0.08 < better["difference_low"] < better["difference"] < better["difference_high"] < 0.12
    assert better["p_holm"] == pytest.approx(2 * better["p"]) == pytest.approx(0.0002)
    assert found.loc["same", "p_holm"] > 0.05
    assert found.loc["same", "difference_low"] < 0 < found.loc["same", "difference_high"]
    # paired: what all models share leaves the difference
    assert better["difference_high"] - better["difference_low"] < better["high"] - better["low"]


def test_compare_depends_on_the_seed_only_in_what_is_drawn() -> None:
    totals = table(a=list(skewed(1, 50)[0]), b=list(skewed(1, 50, seed=1)[0]))
    first, again, other = (compare(totals, np.ones(50), "a", seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first["value"].equals(other["value"])
    assert not first["low"].equals(other["low"])


def test_compare_weighs_units_by_their_size() -> None:
    found = compare(table(a=[1.0, 3.0], b=[2.0, 6.0]), np.array([10.0, 10.0]), "b")
    assert found["value"].tolist() == [0.2, 0.4]
    assert found.loc["a", "difference"] == pytest.approx(-0.2)


def test_a_single_model_is_only_estimated() -> None:
    found = compare(table(alone=[0.0, 0.5, 1.0]), np.ones(3), "alone")
    assert found.loc["alone", "value"] == 0.5
    assert np.isfinite(found.loc["alone", ["low", "high"]].to_numpy(dtype=float)).all()
    assert np.isnan(found.loc["alone", "p_holm"])


def test_customers_are_cut_into_thirds_and_new_ones_stand_apart() -> None:
    groups = purchase_groups(np.array([5, 0, 1, 2, 9, 7, 3]))
    assert {name: np.flatnonzero(members).tolist() for name, members in groups.items()} == {
        "new": [1],
        "light": [2, 3],
        "medium": [0, 6],
        "heavy": [4, 5],
    }


def test_customers_with_as_many_purchases_stay_together() -> None:
    groups = purchase_groups(np.array([1, 1, 1, 1, 1, 8]))
    assert {name: members.tolist() for name, members in groups.items()} == {
        "light": [True] * 5 + [False],
        "heavy": [False] * 5 + [True],
    }
    assert list(purchase_groups(np.array([0, 0]))) == ["new"]
