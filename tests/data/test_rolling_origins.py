"""Where forecasts start, and which series are asked."""

from typing import Any

import numpy as np
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.splits.rolling_origin import FitAll, ForecastPhase, RollingOrigin
from recsys.errors import ConfigError, DataError

DAY = 86_400


def panel_of(*series: tuple[int, list[float]], retire_after: int | None = None) -> SalesPanel:
    """Series as (day of their first step, values)."""
    lengths = [len(values) for _, values in series]
    return SalesPanel(
        series_ids=np.array([f"s{place}" for place in range(len(series))], dtype=object),
        start=np.array([first * DAY for first, _ in series], dtype=np.int64),
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        y=np.concatenate([np.array(values, dtype=np.float32) for _, values in series]),
        covariates=np.zeros((sum(lengths), 0), dtype=np.float32),
        covariate_names=(),
        step="day",
        timezone="UTC",
        report=PanelReport("shop.csv"),
        retire_after=retire_after,
    )


def cut(panel: SalesPanel, **settings: Any) -> dict[str, ForecastPhase]:
    return {phase.name: phase for phase in RollingOrigin(**settings)(panel, seed=1)}


def origins(phases: dict[str, ForecastPhase]) -> dict[str, list[list[int]]]:
    return {name: phase.origin.tolist() for name, phase in phases.items()}


def test_test_windows_are_the_last_and_validation_lies_before_them() -> None:
    phases = cut(panel_of((0, [1] * 20)), horizon=3, windows=2, validation_windows=2)
    assert list(phases) == ["val", "test-1", "test-2"]
    assert origins(phases) == {"val": [[8], [11]], "test-1": [[14]], "test-2": [[17]]}
    assert [phase.fit_until.tolist() for phase in phases.values()] == [[8], [14], [17]]
    assert all(phase.horizon == 3 for phase in phases.values())
    assert phases["val"].origin.dtype == phases["val"].fit_until.dtype == np.int64


def test_no_window_of_validation_reaches_into_the_test() -> None:
    phases = cut(panel_of((0, [1] * 30)), horizon=5, windows=3, validation_windows=3, stride=2)
    assert origins(phases) == {
        "val": [[12], [14], [16]],
        "test-1": [[21]],
        "test-2": [[23]],
        "test-3": [[25]],
    }
    assert phases["val"].origin.max() + 5 <= phases["test-1"].origin.min()


def test_without_refit_one_phase_asks_all_windows_and_is_fitted_before_the_first() -> None:
    phases = cut(panel_of((0, [1] * 20)), horizon=3, windows=2, refit=False)
    assert origins(phases) == {"val": [[11]], "test-1": [[14], [17]]}
    assert phases["test-1"].fit_until.tolist() == [14]


def test_validation_can_be_left_out() -> None:
    phases = cut(panel_of((0, [1] * 4)), horizon=3, validation_windows=0)
    assert origins(phases) == {"test-1": [[1]]}


def test_calendar_origins_are_one_instant_and_end_origins_are_each_series_own() -> None:
    panel = panel_of((0, [1] * 20), (4, [1] * 16), (0, [1] * 14))
    calendar = cut(panel, horizon=3)
    assert origins(calendar) == {"val": [[14, 10, -1]], "test-1": [[17, 13, -1]]}
    end = cut(panel, horizon=3, align="end")
    assert origins(end) == {"val": [[14, 10, 8]], "test-1": [[17, 13, 11]]}


def test_instant_between_the_steps_of_a_series_falls_into_the_step_that_is_forecast() -> None:
    panel = panel_of((0, [1] * 10), (0, [1] * 10))
    panel.start[1] -= DAY // 2
    assert origins(cut(panel, horizon=2))["test-1"] == [[8, 8]]


def test_steps_with_covariates_only_are_no_part_of_the_test() -> None:
    panel = panel_of((0, [1.0] * 10 + [np.nan] * 3))
    for align in ("calendar", "end"):
        phases = cut(panel, horizon=2, align=align)
        assert origins(phases) == {"val": [[6]], "test-1": [[8]]}
    assert FitAll(2)(panel, seed=1)[0].fit_until.tolist() == [10]


def test_series_is_asked_only_when_it_has_begun() -> None:
    panel = panel_of((0, [1] * 20), (13, [1] * 7), (14, [1] * 6))
    at_the_origin = panel_of((0, [1] * 20), (11, [1] * 9))
    assert origins(cut(at_the_origin, horizon=3, windows=2))["val"] == [[11, -1]]
    phases = cut(panel, horizon=3, windows=2)
    assert origins(phases) == {
        "val": [[11, -1, -1]],
        "test-1": [[14, 1, -1]],
        "test-2": [[17, 4, 3]],
    }
    assert phases["val"].fit_until.tolist() == [11, 0, 0]
    assert (phases["val"].fit_until > 0).tolist() == [True, False, False]
    assert phases["test-1"].counts["not_asked_not_begun"] == 1


def test_series_that_begins_after_the_fitted_part_is_asked_and_new() -> None:
    panel = panel_of((0, [1] * 20), (15, [1] * 5))
    phase = cut(panel, horizon=3, windows=2, refit=False)["test-1"]
    assert phase.origin.tolist() == [[14, -1], [17, 2]]
    assert (phase.fit_until > 0).tolist() == [True, False]
    assert phase.fit_until.tolist() == [14, 0]
    assert phase.counts["series_new"] == 1
    later = cut(panel, horizon=3, windows=2, refit=False, min_steps=3)["test-1"]
    assert later.origin.tolist() == [[14, -1], [17, -1]]


def test_new_series_is_fitted_once_it_is_long_enough() -> None:
    panel = panel_of((0, [1] * 30), (20, [1] * 10))
    phases = cut(panel, horizon=5, windows=3, stride=4, min_steps=3, validation_windows=0)
    assert origins(phases) == {"test-1": [[17, -1]], "test-2": [[21, -1]], "test-3": [[25, 5]]}
    assert [(p.fit_until > 0).tolist() for p in phases.values()] == [[True, False]] * 2 + [
        [True, True]
    ]
    assert phases["test-2"].fit_until.tolist() == [21, 0]


def test_short_series_are_left_out_of_every_phase() -> None:
    panel = panel_of((0, [1] * 20), (10, [1] * 10), (11, [1] * 9))
    phases = cut(panel, horizon=3, windows=2, min_steps=4)
    assert origins(phases)["test-2"] == [[17, 7, -1]]
    assert (phases["test-2"].fit_until > 0).tolist() == [True, True, False]
    left_out = "series left out: fewer than 4 steps before the first test window"
    assert phases["val"].left_out == {left_out: 1}


def test_share_of_selling_steps_is_counted_from_the_first_step_of_the_panel() -> None:
    panel = panel_of(
        (0, [1] * 12),
        (0, [1, 0] * 6),  # half of the 10 steps before the test
        (5, [1] * 7),  # half of them too, though all of its own
        (4, [1] * 8),  # six of ten
        (10, [1] * 2),
    )
    phases = cut(panel, horizon=2, min_selling_share=0.5)
    assert (phases["test-1"].fit_until > 0).tolist() == [True, False, False, True, False]
    assert origins(phases)["test-1"] == [[10, -1, -1, 6, -1]]
    assert phases["test-1"].left_out == {
        "series left out: sold in 0.5 or less of the steps before the first test window": 2,
        "series left out: not begun before the first test window": 1,
    }


def test_share_of_selling_steps_keeps_out_who_begins_later() -> None:
    panel = panel_of((0, [1] * 20), (15, [1] * 5))
    phases = cut(panel, horizon=3, windows=2, min_selling_share=0.5)
    assert origins(phases)["test-2"] == [[17, -1]]


def test_sales_in_the_test_do_not_decide_who_is_in() -> None:
    before = [1, 0, 0, 0, 0, 1, 0, 0]
    sold = panel_of((0, [1] * 12), (0, [*before, 9, 9, 9, 9]))
    unsold = panel_of((0, [1] * 12), (0, [*before, 0, 0, 0, 0]))
    for share in (0.2, 0.25, 0.3):
        phases = [
            cut(panel, horizon=2, windows=2, min_selling_share=share) for panel in (sold, unsold)
        ]
        assert origins(phases[0]) == origins(phases[1])
        assert (phases[0]["test-2"].fit_until > 0).tolist() == [True, share < 0.25]


def test_splitting_leaves_the_panel_as_it_was() -> None:
    panel = panel_of((0, [1] * 12), (0, [1, 0] * 6))
    report = panel.report.to_json()
    first, second = (cut(panel, horizon=2, min_selling_share=0.5)["val"] for _ in range(2))
    assert panel.report.to_json() == report
    assert first.left_out == second.left_out != {}


def test_series_that_has_not_sold_for_long_is_not_asked() -> None:
    # retires after 5 zeros, so that with 3 of them two more are stored, a horizon of 2
    three, four = [1.0] * 13 + [0] * 5, [1.0] * 12 + [0] * 5
    panel = panel_of((0, [1] * 18), (0, three), (0, four), retire_after=5)
    phases = cut(panel, horizon=2)
    assert origins(phases)["test-1"] == [[16, 16, -1]]
    assert phases["test-1"].counts["not_asked_retired"] == 1
    assert phases["test-1"].counts["not_asked_without_whole_truth"] == 0
    # two steps earlier nobody could tell
    assert origins(phases)["val"] == [[14, 14, 14]]


def test_sales_after_the_origin_do_not_bring_a_retired_series_back() -> None:
    back = [1.0] * 12 + [0] * 4 + [9, 9]
    panel = panel_of((0, [1] * 18), (0, back), retire_after=5)
    assert origins(cut(panel, horizon=2))["test-1"] == [[16, -1]]


def test_return_is_no_sale_that_keeps_a_series_alive() -> None:
    panel = panel_of((0, [1] * 18), (0, [1.0] * 12 + [0, 0, 0, -1, 0, 0]), retire_after=5)
    assert origins(cut(panel, horizon=2))["test-1"] == [[16, -1]]


def test_counts_of_a_phase_add_up() -> None:
    panel = panel_of((0, [1] * 20), (15, [1] * 5), (0, [1] * 16))
    assert cut(panel, horizon=3, windows=2, refit=False)["test-1"].counts == {
        "series_fitted": 2,
        "steps_fitted": 28,
        "windows": 2,
        "series_asked": 2,
        "series_new": 1,
        "forecasts": 3,
        "not_asked_not_begun": 1,
        "not_asked_retired": 0,
        "not_asked_without_whole_truth": 2,
    }


def test_panel_that_is_too_short_says_by_how_much() -> None:
    with pytest.raises(
        DataError,
        match=r"shop\.csv covers 9 steps \(of a day\), but 2 test windows and 1 for validation of 3"
        r" steps hold out 9.*lower evaluation\.split\.windows",
    ):
        cut(panel_of((0, [1] * 9)), horizon=3, windows=2)
    assert cut(panel_of((0, [1] * 10)), horizon=3, windows=2)["val"].origin.tolist() == [[1]]
    with pytest.raises(DataError, match=r"the longest series of shop\.csv has 5 steps"):
        cut(panel_of((0, [1] * 5), (9, [1] * 5)), horizon=3, align="end")


def test_window_in_which_nobody_can_be_asked_says_why() -> None:
    panel = panel_of((0, [1, 0] * 10), (0, [0, 1] * 10))
    with pytest.raises(
        DataError, match=r"none of 2 series can be evaluated in window 1 of phase val: 0 pass.*0\.8"
    ):
        cut(panel, horizon=2, min_selling_share=0.8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, r"split\.horizon=0"),
        ({"windows": 0}, r"split\.windows=0"),
        ({"validation_windows": -1}, r"split\.validation_windows=-1"),
        ({"stride": 0}, r"split\.stride=0"),
        ({"stride": 2**63}, r"split\.stride=9223372036854775808"),
        ({"min_steps": 0}, r"split\.min_steps=0"),
        ({"align": "start"}, r"split\.align='start': choose calendar or end"),
        ({"min_selling_share": 1.0}, r"split\.min_selling_share=1\.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RollingOrigin(**({"horizon": 2} | settings))


def test_series_may_not_end_before_a_forecast_of_it_does() -> None:
    with pytest.raises(ConfigError, match=r"data\.retire_after=2 is shorter than .*horizon=3"):
        cut(panel_of((0, [1] * 20), retire_after=2), horizon=3)


def test_shipped_model_reads_everything_and_is_asked_nothing() -> None:
    panel = panel_of((0, [1] * 20), (0, [1] * 3))
    (phase,) = FitAll(horizon=4, min_steps=5)(panel, seed=1)
    assert (phase.name, phase.horizon) == ("full_data", 4)
    assert phase.fit_until.tolist() == [20, 0]
    assert (phase.fit_until > 0).tolist() == [True, False]
    assert phase.origin.shape == (0, 2)
    assert phase.counts == {"series_fitted": 1, "steps_fitted": 20}
    with pytest.raises(DataError, match="has 20 steps, fewer than evaluation.split.min_steps=21"):
        FitAll(4, 21)(panel, seed=1)
    with pytest.raises(ConfigError, match=r"split\.horizon=0"):
        FitAll(0)
