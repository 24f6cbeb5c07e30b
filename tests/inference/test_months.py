"""A forecaster of months: from its bundle to forecasts of the next ones.

Its model forecasts, for every step, the number of the month in the year, from what the graph is
told of the start of the history.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.errors import BundleError, DataError
from recsys.export.forecaster.bundle import write_forecaster_bundle
from recsys.export.forecaster.parity import SampleWindows
from recsys.inference import Forecaster, verify
from recsys.inference.batch.forecast import forecast_file
from recsys.models.forecaster import Window
from recsys.steps import later, month_number

HEAD = "series_id,timestamp,y\n"


class MonthOfYear(nn.Module):
    """1 for January … 12 for December, plus the last value of the history / 1000."""

    num_series, num_covariates, horizon, history_length, step = 2, 0, 3, 14, "month"
    quantiles = (0.1, 0.5, 0.9)

    def forward(self, window: Window) -> Tensor:
        steps = window.history.shape[1] + torch.arange(3)
        month = month_number(later(window.start[:, None], steps, "month")) % 12 + 1.0  # (B, H)
        point = month + torch.nan_to_num(window.history[:, -1:]) / 1_000
        return point[:, :, None] + torch.tensor([-0.1, 0.0, 0.1])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    months = np.arange(600, 604)
    windows = SampleWindows(
        np.array([0, 1, 0, 1]),
        np.random.default_rng(0).poisson(20, (4, 20)).astype(np.float32),
        months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64),
        np.zeros((4, 23, 0), dtype=np.float32),
    )
    return write_forecaster_bundle(
        tmp_path_factory.mktemp("exported") / "months",
        model=MonthOfYear(),
        series_ids=np.array(["a", "b"]),
        step="month",
        timezone="Europe/Berlin",
        covariate_names=[],
        histories=windows,
        provenance={"model": "MonthOfYear"},
    )


def forecasts(bundle: Path, folder: Path, text: str) -> list[tuple[str, str, float]]:
    (folder / "h.csv").write_text(text, encoding="utf-8")
    forecast_file(Forecaster(bundle), folder / "h.csv", folder / "o.csv")
    with (folder / "o.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(row["series_id"], row["timestamp"], round(float(row["0.5"]), 3)) for row in rows]


def test_the_bundle_says_months_and_no_length(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["step"] == "month"
    assert not {"step_seconds", "step_offset"} & set(manifest)
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "a step is one month by the clock of Europe/Berlin, begins on its first day" in card
    verify(bundle)
    assert Forecaster(bundle).step_seconds is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"step": "quarter"}, "steps of a 'quarter', which is not known here"),
        ({"step_seconds": 2_629_746}, "step='month' and step_seconds=2629746"),
        ({"step": "day"}, "lacks 'step_seconds'"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    bundle: Path, tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(BundleError, match=sentence):
        Forecaster(tmp_path)


@pytest.mark.parametrize("start", ["2023-11-30", "2023-11-01", "2023-11-30T23:59:59"])
def test_months_follow_each_other_from_any_day_of_the_first(bundle: Path, start: str) -> None:
    forecaster = Forecaster(bundle)
    begin = np.array([start], dtype="datetime64[s]")
    found = forecaster.forecast(["a"], [[5.0, 6.0]], begin)
    np.testing.assert_allclose(found[0, :, 1], [1.006, 2.006, 3.006], rtol=1e-6)
    times = forecaster.timestamps(begin, [2])
    assert times.astype("datetime64[D]").astype(str).tolist() == [
        ["2024-01-01", "2024-02-01", "2024-03-01"]
    ]


def test_ragged_and_long_histories_end_in_the_same_month(bundle: Path) -> None:
    rows = [np.arange(1.0, 31.0), [30.0], []]
    start = np.array(["2021-08", "2024-01", "2024-02"], dtype="datetime64[s]")
    found = Forecaster(bundle).forecast(["a", "b", "new"], rows, start)
    np.testing.assert_allclose(found[0, :, 1], [2.03, 3.03, 4.03], rtol=1e-6)
    np.testing.assert_allclose(found[1, :, 1], [2.03, 3.03, 4.03], rtol=1e-6)
    np.testing.assert_allclose(found[2, :, 1], [2, 3, 4], rtol=1e-6)


def test_the_month_after_the_31st_of_january_is_february(bundle: Path, tmp_path: Path) -> None:
    text = f"{HEAD}a,2023-12-31,7\na,2024-01-31,9\nb,2023-12,4\nb,2024-02-15,8\n"
    assert forecasts(bundle, tmp_path, text) == [
        ("a", "2024-02-01T00:00:00", 2.009),
        ("a", "2024-03-01T00:00:00", 3.009),
        ("a", "2024-04-01T00:00:00", 4.009),
        ("b", "2024-03-01T00:00:00", 3.008),
        ("b", "2024-04-01T00:00:00", 4.008),
        ("b", "2024-05-01T00:00:00", 5.008),
    ]


def test_a_month_without_a_row_is_missing_and_counted(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(f"{HEAD}a,2023-11-01,7\na,2024-02-01,9\n")
    result = forecast_file(Forecaster(bundle), tmp_path / "h.csv", tmp_path / "o.csv")
    assert (result.counts.missing_steps, result.counts.added_up) == (2, 0)


def test_a_month_is_that_of_the_bundles_clock(bundle: Path, tmp_path: Path) -> None:
    rows = forecasts(bundle, tmp_path, f"{HEAD}a,2024-01-31T23:30:00Z,5\n")
    assert rows[0][:2] == ("a", "2024-03-01T00:00:00")


def test_two_rows_of_a_month_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: the series 'a' has the month 2024-01 twice"):
        forecasts(bundle, tmp_path, f"{HEAD}a,2024-01-02,5\na,2024-01-31,6\n")
