"""The wrapper around the graph of a forecaster: shapes, ragged histories, blocks, errors.

The model of conftest.py: the mean of the last four steps + 100 x series + hour / 100 + covariates.
"""

import pickle
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.errors import BundleError, DataError
from recsys.inference import Forecaster, Recommender
from recsys.inference import forecaster as module

NAN = float("nan")
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00


def point(forecaster: Forecaster, *arguments: Any, **named: Any) -> list[list[float]]:
    """The forecast at 0.5, rounded."""
    return forecaster.forecast(*arguments, **named)[:, :, 1].astype(float).round(3).tolist()


def test_forecast_is_that_of_the_model(plain: Forecaster) -> None:
    # Series "7" is number 1; the history ends at 03:00, so that the forecast begins at 04:00.
    found = plain.forecast(["7"], np.array([[9.0, 1, 2, 3, 4]]), [MIDNIGHT - 3600])
    assert (found.dtype, found.shape) == (np.float32, (1, 3, 3))
    np.testing.assert_allclose(found[0, :, 1], [102.54, 102.55, 102.56], rtol=1e-6)
    np.testing.assert_allclose(found[0, 0], [101.54, 102.54, 103.54], rtol=1e-6)


def test_contract_of_the_manifest_is_at_hand(ahead: Forecaster) -> None:
    assert (ahead.horizon, ahead.quantiles, ahead.history_length) == (3, (0.1, 0.5, 0.9), 4)
    assert (ahead.step, ahead.step_seconds, ahead.timezone) == ("hour", 3600, "Europe/Berlin")
    assert ahead.covariate_names == ("price", "promo")


@pytest.mark.parametrize("nobody", ["nobody", "", None, "07"])
def test_unknown_series_is_forecast_from_its_history(plain: Forecaster, nobody: Any) -> None:
    # Number 4 of four series stands for whatever is unknown.
    found = point(plain, [nobody, "007"], np.array([[6.0, NAN], [NAN, NAN]]), [MIDNIGHT] * 2)
    assert found == [[406.02, 406.03, 406.04], [0.02, 0.03, 0.04]]


def test_ragged_histories_end_together_and_begin_each_at_its_own_start(plain: Forecaster) -> None:
    rows = [[1.0, 3.0], np.array([5.0]), [], (2.0, 4.0, 6.0, 8.0, NAN, 8.0)]
    start = [MIDNIGHT, MIDNIGHT + 5 * 3600, MIDNIGHT + 7 * 3600, MIDNIGHT]
    found = point(plain, ["007"] * 4, rows, start)
    # The last: the mean of 6, 8 and 8 of its last four steps.
    assert [row[0] for row in found] == [2.02, 5.06, 0.07, pytest.approx(7.393, abs=2e-3)]
    for row, values in enumerate(rows):
        alone = point(plain, ["007"], [values], start[row : row + 1])
        assert alone[0] == pytest.approx(found[row], abs=2e-3)


def test_history_longer_or_shorter_than_is_read_changes_nothing(plain: Forecaster) -> None:
    read = np.array([[1.0, 2, 3, 4]])
    want = point(plain, ["7"], read, [MIDNIGHT])
    for older in (1, 5, 300):
        long = np.hstack([np.full((1, older), 1e6), read])
        assert point(plain, ["7"], long, [MIDNIGHT - older * 3600]) == want
    assert point(plain, ["7"], np.empty((1, 0)), [MIDNIGHT]) == [[100.0, 100.01, 100.02]]


def test_start_may_be_seconds_or_datetimes(plain: Forecaster) -> None:
    history = np.ones((2, 3))
    want = point(plain, ["7", "7"], history, [MIDNIGHT, MIDNIGHT + 3600])
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        start = np.array(["2024-01-01T00", "2024-01-01T01"], dtype=f"datetime64[{unit}]")
        assert point(plain, ["7", "7"], history, start) == want
    assert (
        point(plain, ["7", "7"], history, np.array([MIDNIGHT, MIDNIGHT + 3600], np.int32)) == want
    )


@pytest.mark.parametrize(
    "start",
    [
        [datetime(2024, 1, 1), datetime(2024, 1, 1, 1)],
        [datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)],  # Berlin's +1
        pd.to_datetime(["2024-01-01T00", "2024-01-01T01"]),
        pd.Series(pd.to_datetime(["2023-12-31T23:00Z", "2024-01-01T00:00Z"])),
    ],
    ids=["naive", "with an offset", "pandas", "pandas with a zone"],
)
def test_start_may_be_what_python_and_pandas_call_a_moment(plain: Forecaster, start: Any) -> None:
    history = np.ones((2, 3))
    want = point(plain, ["7", "7"], history, [MIDNIGHT, MIDNIGHT + 3600])
    assert point(plain, ["7", "7"], history, start) == want


def test_a_pickled_forecaster_opens_its_bundle_again(plain: Forecaster) -> None:
    call = ["7"], np.ones((1, 3)), [MIDNIGHT]
    assert point(pickle.loads(pickle.dumps(plain)), *call) == point(plain, *call)


def test_covariates_of_the_horizon_count_and_unknown_ones_do_not(ahead: Forecaster) -> None:
    covariates = np.full((1, 5, 2), 50.0)
    covariates[0, 2:] = [[0.25, NAN], [NAN, NAN], [0.5, 1.0]]
    found = point(ahead, ["007"], np.array([[4.0, 6.0]]), [MIDNIGHT], covariates)
    assert found == [[5.27, 5.03, 6.54]]
    ragged = [covariates[0, 1:], covariates[0]]
    found = point(ahead, ["007"] * 2, [[5.0], [4.0, 6.0]], [MIDNIGHT + 3600, MIDNIGHT], ragged)
    assert found == [[5.27, 5.03, 6.54]] * 2
    # Longer than is read: cut beside the history.
    long = np.concatenate([np.full((1, 9, 2), 7.0), covariates], axis=1)
    history = np.hstack([np.full((1, 7), 1.0), [[NAN, NAN, 4.0, 6.0]]])
    assert point(ahead, ["007"], history, [MIDNIGHT - 9 * 3600], long) == [[5.27, 5.03, 6.54]]


@pytest.mark.parametrize("name", ["plain", "ahead"])
def test_blocks_change_nothing(
    forecasters: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecaster = Forecaster(forecasters / name, threads=1)
    generator = np.random.default_rng(0)
    series = generator.choice(["007", "7", "?"], 23).tolist()
    history = generator.poisson(9, (23, 4)).astype(float)
    covariates = generator.random((23, 7, 2)) if name == "ahead" else None
    start = MIDNIGHT + 3600 * np.arange(23)
    want = forecaster.forecast(series, history, start, covariates)
    sizes: list[int] = []
    run = forecaster._bundle.session.run

    def count(names: list[str], feeds: dict[str, Any]) -> Any:
        sizes.append(len(feeds["start"]))
        return run(names, feeds)

    monkeypatch.setattr(forecaster._bundle.session, "run", count)
    monkeypatch.setattr(module, "_BLOCK_STEPS", 5 * (4 + 3))
    assert np.array_equal(forecaster.forecast(series, history, start, covariates), want)
    assert sizes == [5, 5, 5, 5, 3]


def test_no_series_give_no_rows(plain: Forecaster, ahead: Forecaster) -> None:
    assert plain.forecast([], np.empty((0, 5)), []).shape == (0, 3, 3)
    assert plain.forecast([], [], np.empty(0, np.int64)).shape == (0, 3, 3)
    assert ahead.forecast([], [], [], []).shape == (0, 3, 3)


def test_timestamps_follow_the_history(plain: Forecaster) -> None:
    start = np.array(["2024-01-01T00", "2024-01-01T05"], dtype="datetime64[h]")
    found = plain.timestamps(start, [2, 1])
    assert found.dtype == np.dtype("datetime64[s]")
    assert found.astype(str).tolist() == [
        ["2024-01-01T02:00:00", "2024-01-01T03:00:00", "2024-01-01T04:00:00"],
        ["2024-01-01T06:00:00", "2024-01-01T07:00:00", "2024-01-01T08:00:00"],
    ]
    assert plain.timestamps([MIDNIGHT], 2).tolist() == found[:1].tolist()


OK: dict[str, Any] = {"series": ["7", "007"], "history": np.ones((2, 2)), "start": [0, 0]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"history": np.ones((3, 2))}, "history has 3 rows for 2 series"),
        ({"history": np.ones(2)}, r"history has the shape \(2,\), not \(B, steps\)"),
        ({"history": [[1.0], [[2.0]]]}, r"row 1 of history has the shape \(1, 1\), not \(steps,\)"),
        ({"history": [[1.0], ["two"]]}, "history holds a value that is not a number"),
        ({"history": [[1.0], [1.0, np.inf]]}, "row 1 of history holds an infinite value"),
        ({"history": [[1.0], [1e39]]}, "row 1 of history holds an infinite value"),
        ({"start": [0]}, r"start has the shape \(1,\) for 2 series"),
        ({"start": np.array(["2024", "NaT"], "M8[s]")}, "start holds NaT"),
        ({"covariates": np.ones((2, 5, 2))}, "trained without covariates: leave covariates out"),
    ],
)
def test_wrong_values_are_refused(plain: Forecaster, change: Any, sentence: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=sentence):
            plain.forecast(**OK | change)


@pytest.mark.parametrize(
    ("covariates", "sentence"),
    [
        (None, r"needs covariates \(price, promo\) of the history and 3 steps ahead"),
        (np.ones((2, 5, 3)), r"covariates has the shape \(2, 5, 3\), not \(B, steps, 2\)"),
        (np.ones((1, 5, 2)), "covariates has 1 rows for 2 series"),
        (np.ones((2, 2, 2)), "covariates of row 0 have 2 steps beside a history of 2: .* ahead, 5"),
        ([np.ones((5, 2)), np.ones((6, 2))], "covariates of row 1 have 6 steps"),
        ([np.ones((5, 2)), np.ones(5)], r"row 1 of covariates .* not \(steps, 2\)"),
        (np.full((2, 5, 2), -np.inf), "row 0 of covariates holds an infinite value"),
    ],
)
def test_covariates_that_do_not_fit_are_refused(
    ahead: Forecaster, covariates: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        ahead.forecast(**OK, covariates=covariates)


@pytest.mark.parametrize(
    "change",
    [
        {"series": "77"},
        {"series": [7, 8]},
        {"start": [0.0, 1.0]},
        {"start": ["2024", "2025"]},
        {"start": [None, MIDNIGHT]},
    ],
)
def test_wrong_types_are_refused(plain: Forecaster, change: Any) -> None:
    with pytest.raises(TypeError):
        plain.forecast(**OK | change)


def test_bundles_of_the_other_task_are_refused(forecasters: Path, bundles: Path) -> None:
    with pytest.raises(BundleError, match="task 'forecaster', not 'recommender'"):
        Recommender(forecasters / "plain")
    with pytest.raises(BundleError, match="task 'recommender', not 'forecaster'"):
        Forecaster(bundles / "by_user")


def test_which_series_are_known_is_told_by_their_forecasts(plain: Forecaster) -> None:
    assert plain.knows(["7", "nobody", None, "007"]).tolist() == [True, False, False, True]
    assert plain.knows([]).tolist() == []


def test_a_mask_hides_values_as_nan_does(plain: Forecaster) -> None:
    hidden = np.ma.masked_equal(np.array([[1.0, 900, 3, 4]]), 900)
    want = point(plain, ["7"], np.array([[1.0, NAN, 3, 4]]), [MIDNIGHT])
    assert point(plain, ["7"], hidden, [MIDNIGHT]) == want
    assert point(plain, ["7"], [hidden[0]], [MIDNIGHT]) == want


def test_tables_of_covariates_are_read_by_name(ahead: Forecaster) -> None:
    values = np.arange(10.0).reshape(5, 2)
    want = point(ahead, ["7"], [[1.0, 2]], [MIDNIGHT], [values])
    table = pd.DataFrame(values, columns=["price", "promo"])
    assert point(ahead, ["7"], [[1.0, 2]], [MIDNIGHT], [table[["promo", "price"]]]) == want
    with pytest.raises(ValueError, match="has the columns price, other: give price, promo"):
        point(ahead, ["7"], [[1.0, 2]], [MIDNIGHT], [table.rename(columns={"promo": "other"})])


def test_moments_of_arrow_keep_their_zone(ahead: Forecaster) -> None:
    aware = [datetime(2024, 6, 30, 22, tzinfo=UTC)]  # midnight in Berlin
    given = [np.arange(10.0).reshape(1, 5, 2)]
    want = point(ahead, ["7"], [[1.0, 2]], aware, *given)
    column = pa.array(aware, pa.timestamp("us", "UTC"))
    for start in (column, pa.chunked_array([column])):
        assert point(ahead, ["7"], [[1.0, 2]], start, *given) == want
    with pytest.raises(ValueError, match="start holds NaT"):
        point(ahead, ["7"], [[1.0, 2]], [pd.NaT], *given)


def test_histories_have_an_order(plain: Forecaster) -> None:
    with pytest.raises(TypeError, match="history is a set, which has no order"):
        plain.forecast(["7", "NA"], {(1.0, 2.0), (3.0, 4.0)}, [MIDNIGHT] * 2)


def test_a_forecast_that_is_no_number_is_refused(plain: Forecaster) -> None:
    with pytest.raises(DataError, match=r"series '7' is no finite number.* up to 3\.4e\+38"):
        plain.forecast(["NA", "7"], np.array([[1.0] * 4, [3.4e38] * 4]), [MIDNIGHT] * 2)
