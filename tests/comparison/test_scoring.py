"""What rows reached, on which questions, and whether it is luck."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recsys.comparison.reading import group_seeds, read_runs
from recsys.comparison.scoring import compare_entries, default_metric, known_metrics
from recsys.comparison.units import Ratio
from recsys.errors import ConfigError
from recsys.tasks import forecasting
from recsys.tasks.registry import task_of_run
from recsys.tasks.units import FORECAST_UNITS

LOW = [0.0, 0.1, 0.0, 0.2, 0.3, 0.0, 0.1, 0.4, 0.0, 0.1]
HIGH = [value + 0.3 + 0.01 * place for place, value in enumerate(LOW)]


def units_of(run):
    return task_of_run(run).units(run)


def compared(*folders, metric="new/ndcg@10", reference=None, **options):
    entries, notes = group_seeds(read_runs(folders, units_of))
    return compare_entries(
        entries, metric=metric, reference=reference or entries[0].name, notes=notes, **options
    )


def slice_values(comparison, name):
    part = comparison.slices[comparison.slices["name"] == name]
    return dict(zip(part["slice"], part["value"], strict=True))


def test_means_are_over_the_customers_of_the_view(recommender):
    found = compared(
        recommender("low", LOW, model="popularity", model__dim=1), recommender("high", HIGH)
    )
    assert found.board.index.tolist() == ["mf", "popularity"]
    assert [entry.name for entry in found.entries] == ["mf", "popularity"]
    assert found.row("mf")["value"] == pytest.approx(np.mean(HIGH))
    assert found.row("popularity")["value"] == pytest.approx(np.mean(LOW))
    assert found.row("mf")["difference"] == pytest.approx(0.345)
    assert found.row("mf")["p_holm"] < 0.05
    assert found.num_units == 10
    assert found.left_out == 0
    assert found.higher_is_better
    assert found.unit == "customer"


def test_differences_are_paired_by_customer_whatever_the_order_of_the_tables(recommender):
    # the tables are written in orders that depend on the seed
    first = recommender("a", LOW)
    other = recommender("b", [value + 0.25 for value in LOW], seed=5, model__dim=1)
    found = compared(first, other).row("mf (dim=1)")
    assert [found[key] for key in ("difference_low", "difference_high")] == pytest.approx(
        [0.25] * 2
    )


def test_a_row_of_seeds_is_their_mean_with_their_spread(recommender):
    seeds = [
        recommender(f"s{seed}", [value + 0.1 * seed for value in LOW], seed=seed)
        for seed in (1, 2, 4)
    ]
    found = compared(*seeds, recommender("low", LOW, model="popularity", model__dim=1))
    row = found.row("mf")
    assert found.row("popularity")["value"] == pytest.approx(np.mean(LOW))
    assert found.row("popularity")["difference"] == pytest.approx(-0.7 / 3)
    mean = np.mean(LOW)
    assert row["value"] == pytest.approx(mean + 0.7 / 3)
    assert row["seed_low"] == pytest.approx(mean + 0.1)
    assert row["seed_high"] == pytest.approx(mean + 0.4)
    assert row["seed_sd"] == pytest.approx(np.std([0.1, 0.2, 0.4], ddof=1))
    assert math.isnan(found.row("popularity")["seed_sd"])


def test_light_heavy_and_new_customers_are_told_by_their_purchases(recommender):
    found = compared(recommender("low", LOW), recommender("high", HIGH, model__dim=1))
    values = slice_values(found, "mf (dim=8)")
    assert list(values) == [f"{name} customers" for name in ("new", "light", "medium", "heavy")]
    # purchases are 0 to 9, in the order of the customers
    assert values == pytest.approx(
        {
            "new customers": LOW[0],
            "light customers": np.mean(LOW[1:4]),
            "medium customers": np.mean(LOW[4:7]),
            "heavy customers": np.mean(LOW[7:]),
        }
    )
    part = found.slices.set_index(["slice", "name"]).loc[("heavy customers", "mf (dim=8)")]
    assert part["units"] == 3
    assert part["meaning"] == "7 to 9 purchases before"
    assert any("no slice of tail items" in note for note in found.notes)


def test_slices_are_corrected_together(recommender):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.0, 0.5, 90)
    better = base + rng.normal(0.1, 0.02, 90)
    options = {"purchases": list(range(1, 91))}
    found = compared(
        recommender("a", base, **options), recommender("b", better, model__dim=1, **options)
    )
    tested = found.slices.dropna(subset="p")
    assert len(tested) == 3
    assert (tested["p"] == 0.0001).all()
    assert tested["p_holm"].tolist() == pytest.approx([0.0003] * 3)


def test_head_and_tail_items_count_where_there_was_such_a_truth(recommender):
    nan = math.nan
    head = {"head": [0.5, nan, *[1.0] * 8], "tail": [nan, 0.25, *[0.75] * 8]}
    found = compared(
        recommender("a", LOW, head=head), recommender("b", HIGH, head=head, model__dim=1)
    )
    values = slice_values(found, "mf (dim=8)")
    assert values["head items"] == pytest.approx(8.5 / 9)
    assert values["tail items"] == pytest.approx(6.25 / 9)
    assert set(found.slices[found.slices["slice"] == "tail items"]["units"]) == {9}
    assert not [note for note in found.notes if "head" in note]


def test_other_questions_are_refused(recommender):
    first = recommender("first", LOW)
    others = [f"u{number}" for number in range(3, 13)]
    for name, changes in {"other": {"customers": others}, "fewer": {}}.items():
        ndcg = LOW if changes else LOW[:9]
        other = recommender(name, ndcg, model__dim=1, **changes)
        with pytest.raises(ConfigError, match=f"first and .*{name} .*hold different cases"):
            compared(first, other)


def test_an_unknown_metric_is_named_beside_the_known_ones(recommender):
    with pytest.raises(
        ConfigError, match=r"did you mean new/ndcg@10\? It is one of: .*all/ndcg@10"
    ):
        compared(recommender("a", LOW), metric="new/ndgc@10")


def test_the_default_metric_is_what_the_runs_were_selected_by(recommender, forecaster, sales):
    def metric(folder):
        return default_metric(group_seeds(read_runs([folder], units_of))[0])

    assert metric(recommender("a", LOW)) == "new/ndcg@10"
    assert metric(recommender("b", LOW, record={"monitor": "val/all/ndcg@10"})) == "all/ndcg@10"
    assert metric(recommender("c", LOW, record={"monitor": None})).endswith("/ndcg@10")
    assert metric(forecaster("d", sales())) == "wape"


def test_a_metric_without_a_better_end_is_refused(forecaster, sales, monkeypatch):
    ratios = FORECAST_UNITS.ratios | {"bias": Ratio("bias")}
    monkeypatch.setattr(forecasting, "FORECAST_UNITS", replace(FORECAST_UNITS, ratios=ratios))
    folders = forecaster("a", sales(bias=0.1)), forecaster("b", sales(bias=0.2), model="lstm2")
    with pytest.raises(ConfigError, match="metric=bias: neither a higher nor a lower value"):
        compared(*folders, metric="bias")


def test_versions_of_the_code_are_counted(recommender):
    first, other = (
        recommender(name, LOW, model__dim=dim, record={"git_commit": commit})
        for name, dim, commit in (("a", 1, "aaaaaaaaaa"), ("b", 2, None))
    )
    found = compared(first, other)
    assert found.notes[-1] == "the runs come from 2 versions of the code: aaaaaaa, unknown"


def test_wape_is_pooled_in_a_window_and_averaged_over_windows(forecaster, sales):
    errors = np.arange(1.0, 13.0)
    found = compared(forecaster("a", sales(errors)), metric="wape")
    # absolute errors: a step's times 4 steps, the last series of window 2 has two steps
    first, second = 4 * errors[:6].sum() / 60, (4 * errors[6:11].sum() + 2 * 12) / 80
    assert found.row("lstm")["value"] == pytest.approx((first + second) / 2)
    assert found.num_units == 6
    assert found.unit == "series"
    assert not found.higher_is_better


def test_pooled_and_scaled_metrics_follow_their_definitions(forecaster, sales):
    errors = np.arange(1.0, 13.0)
    folder = forecaster("a", sales(errors))
    steps = [24, 22]
    sums = 4 * errors[:6].sum(), 4 * errors[6:11].sum() + 2 * 12
    values = {
        "mae": (sums[0] / steps[0] + sums[1] / steps[1]) / 2,
        "pinball": (sums[0] / steps[0] + sums[1] / steps[1]) / 8,
        "pinball_scaled": (sums[0] / 60 + sums[1] / 80) / 4,
        "mase": (errors[:6].mean() + errors[6:].mean()) / 4,
    }
    assert set(known_metrics(read_runs([folder], units_of)[0])) == {"wape", *values}
    for metric, value in values.items():
        assert compared(folder, metric=metric).row("lstm")["value"] == pytest.approx(value), metric


def test_lower_errors_stand_first_and_are_better(forecaster, sales):
    good, bad = forecaster("good", sales(1.0)), forecaster("bad", sales(2.0), model="naive")
    found = compared(bad, good, metric="wape")
    # the same settings: told apart by nothing but the table, so the later one stays
    assert len(found.entries) == 1
    bad = forecaster("worse", sales(2.0), model="naive", model__dim=1)
    found = compared(bad, good, metric="wape")
    assert found.board.index.tolist() == ["lstm", "naive"]
    assert found.row("lstm")["difference"] < 0


def test_windows_of_a_series_are_resampled_together(forecaster, sales):
    # 2^6 patterns of signs of six series; of twelve questions it would be far below
    good, bad = forecaster("a", sales(1.0)), forecaster("b", sales(2.0), model__dim=1)
    p_value = compared(good, bad, metric="mase").row("lstm (dim=1)")["p"]
    assert p_value == pytest.approx(2 / 64, abs=0.006)


def test_undefined_values_leave_all_rows_and_are_counted(forecaster, sales):
    errors = np.arange(1.0, 13.0)
    mase = np.where(np.arange(12) == 3, np.nan, errors)
    gap, whole = (
        forecaster("a", sales(errors, mase=mase)),
        forecaster("b", sales(errors, mase=errors), model__dim=1),
    )
    expected = (np.delete(errors[:6], 3).mean() + errors[6:].mean()) / 2
    for folders in ((gap, whole), (whole, gap)):
        found = compared(*folders, metric="mase")
        assert found.board["value"].tolist() == pytest.approx([expected] * 2)
        assert found.left_out == 1
    with pytest.raises(ConfigError, match="mase is undefined for every case"):
        compared(forecaster("c", sales(mase=np.nan)), metric="mase")


def test_a_window_without_sales_has_no_wape(forecaster, sales):
    sold = np.where(np.arange(12) < 6, 0.0, 10.0)
    found = compared(forecaster("a", sales(1.0, sum_y=sold)), metric="wape")
    assert found.row("lstm")["value"] == pytest.approx(22 / 60)
    assert found.left_out == 6


def test_slices_of_series_are_those_that_occur(forecaster, sales):
    errors = np.arange(1.0, 13.0)
    found = compared(
        forecaster("a", sales(errors)), forecaster("b", sales(1.0), model__dim=1), metric="wape"
    )
    values = slice_values(found, "lstm (dim=8)")
    # intermittent: s0 and s1 in both windows; new: s0 in the second
    assert values == pytest.approx(
        {
            "intermittent series": (4 * (1 + 2) / 4 + 4 * (7 + 8) / 6) / 2,
            "new series": 4 * 7 / 2,
        }
    )
