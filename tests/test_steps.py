"""Steps on the wall clock, months among them, against numpy's calendar."""

import numpy as np
import pytest
import torch

from recsys.errors import ConfigError
from recsys.steps import (
    later,
    mean_seconds,
    month_number,
    month_start,
    require_step,
    steps_between,
)

MONTHS = np.arange(-4_700, 6_000)  # 1578 to 2469, with every kind of leap year


def seconds(*moments: str) -> np.ndarray:
    return np.array(moments, dtype="datetime64[s]").astype(np.int64)


def starts(months: np.ndarray) -> np.ndarray:
    """Of numpy's calendar."""
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def test_months_begin_where_the_calendar_says() -> None:
    assert np.array_equal(month_start(MONTHS), starts(MONTHS))
    assert np.array_equal(month_start(torch.from_numpy(MONTHS)).numpy(), starts(MONTHS))


@pytest.mark.parametrize("after", [0, 1, 86_400 * 27])
def test_every_moment_of_a_month_has_its_number(after: int) -> None:
    moments = starts(MONTHS) + after
    assert np.array_equal(month_number(moments), MONTHS)
    assert np.array_equal(month_number(torch.from_numpy(moments)).numpy(), MONTHS)


def test_the_second_before_a_month_is_in_the_one_before() -> None:
    assert np.array_equal(month_number(starts(MONTHS) - 1), MONTHS - 1)


def test_the_month_after_the_31st_of_january_is_february() -> None:
    steps = np.arange(-1, 4)
    found = later(seconds("2024-01-31T18:30")[:, None], steps, "month")
    want = ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
    assert found.tolist() == [seconds(*want).tolist()]


@pytest.mark.parametrize(("step", "length"), [("hour", 3_600), ("day", 86_400), ("week", 604_800)])
def test_other_steps_have_one_length(step: str, length: int) -> None:
    start = seconds("2024-02-28T06:00")
    assert later(start, 3, step).tolist() == [int(start[0]) + 3 * length]
    # a step holds its beginning, and ends before the next
    ends = start + 3 * length + np.array([-1, 0])
    assert steps_between(start, ends, step).tolist() == [2, 3]
    assert mean_seconds(step) == length


def test_steps_between_two_months_are_whole_ones() -> None:
    begin, end = seconds("2023-12-31"), seconds("2024-01-01", "2024-02-29", "2025-12-01")
    assert steps_between(begin, end, "month").tolist() == [1, 2, 24]
    # twelve of them are a year of 365.2425 days
    assert 12 * mean_seconds("month") == pytest.approx(365.2425 * 86_400)


def test_a_step_that_is_none_of_ours_is_named() -> None:
    require_step("month")
    with pytest.raises(ConfigError, match="data.step='quarter': choose hour, day, week, month"):
        require_step("quarter")
