"""Events that are no purchases are impressions, by data.bought and data.shown."""

import numpy as np
import pandas as pd
import pytest

from recsys.data.dataset import Dataset
from recsys.data.interactions import index_phase
from recsys.data.sources.transactions import transactions
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError

COLUMNS = {"timestamp": "timestamp", "event_type": "what"}
ROWS = [
    # user, item, day, what, channel
    ("a", "x", 1, "view", "web"),
    ("a", "y", 1, "buy", "web"),
    ("b", "x", 2, "buy", "app"),
    ("a", "x", 3, "view", "app"),
    ("a", "never bought", 3, "view", "app"),
    ("only looks", "x", 3, "view", "app"),
    ("a", "x", 4, "buy", "app"),
    ("a", "y", 5, "view", "web"),
    ("b", "y", 5, "buy", "web"),
    ("b", "y", 5, "return", "web"),
]


def events(**settings: object) -> Dataset:
    table = pd.DataFrame(ROWS, columns=["user_id", "item_id", "day", "what", "channel"])
    table["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(table.pop("day"), unit="D")
    columns = dict(COLUMNS)
    if settings.pop("without_time", False):
        table, columns["timestamp"] = table.drop(columns="timestamp"), None  # type: ignore[assignment]
    return transactions(table, columns, **settings)  # type: ignore[arg-type]


def test_without_settings_every_row_is_a_purchase_as_before():
    dataset = events()
    assert len(dataset) == len(ROWS)
    assert dataset.impressions is None


def test_what_was_shown_is_no_purchase_and_kept_apart():
    dataset = events(bought=["buy"], shown=["view"])
    assert dataset.item_ids.tolist() == ["x", "y"]
    found = dataset.impressions
    assert found is not None
    pairs = [
        (dataset.user_ids[u], dataset.item_ids[i])
        for u, i in zip(found.user, found.item, strict=True)
    ]
    assert pairs == [("a", "x"), ("a", "x"), ("a", "y")]
    assert found.events_before.tolist() == [0, 2, 3]
    channel = found.context["channel"]
    assert [channel.categories[code] for code in channel.values] == ["web", "app", "web"]
    # nothing is silent: five were shown, and one is of neither type
    assert dataset.report.dropped == {
        "an impression (data.shown), no purchase": 5,
        "an event that is neither in data.bought nor in data.shown": 1,
    }


def test_all_other_types_are_purchases_where_only_those_that_were_shown_are_named():
    assert len(events(shown=["view"])) == 5
    assert len(events(bought=["buy"])) == 4
    assert events(bought=["buy"]).impressions is None


@pytest.mark.parametrize("without_time", [False, True])
def test_a_phase_sees_impressions_up_to_the_last_fitted_purchase_of_their_user(without_time):
    dataset = events(bought=["buy"], shown=["view"], without_time=without_time)
    # the last purchase of a, x on the 4th, is fitted or not
    for fit, days in (([0, 1, 2, 3], [1, 3]), ([0, 1, 3], [1])):
        phase = Phase(np.array(fit), np.setdiff1d(np.arange(4), fit))
        columns = index_phase(dataset, "val", phase).columns
        assert columns is not None
        shown = columns.shown
        assert shown is not None
        assert len(shown.user) == len(days)
        channel = columns.of_shown("context.channel", category=True)
        kinds = columns.categories("context.channel")
        assert [kinds[code] for code in channel] == ["web", "app"][: len(days)]
        if not without_time:
            first = pd.Timestamp("2024-01-01").to_julian_date() - pd.Timestamp(0).to_julian_date()
            assert shown.day is not None
            assert (shown.day - int(first)).tolist() == days
            assert columns.of_shown("time.hour", category=False).tolist() == [0.0] * len(days)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shown": ["views"]}, "data.shown=.*no event is of type 'views'; did you mean view"),
        ({"bought": ["view"], "shown": ["view"]}, "both name 'view'"),
        ({"shown": "view"}, r"data.shown='view': it has to be a list"),
    ],
)
def test_types_that_cannot_be_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        events(**settings)


def test_types_without_a_column_of_them_are_refused():
    table = pd.DataFrame(ROWS, columns=["user_id", "item_id", "day", "what", "channel"])
    with pytest.raises(ConfigError, match=r"set data\.columns\.event_type to its name"):
        transactions(table, {}, shown=["view"])
