"""Steps of series on the wall clock: how long they are, when they begin, how many lie between two.

Moments are local wall-clock seconds counted as if UTC. An hour, a day and a week have one length; a
month has that of the calendar, begins on its first day, and is counted by its number since 1970-01.
The same arithmetic on whole numbers serves numpy, torch and what torch exports.
"""

from typing import Any, Literal, TypeVar

from recsys.errors import ConfigError

Step = Literal["hour", "day", "week", "month"]
STEPS: tuple[Step, ...] = ("hour", "day", "week", "month")
HOUR_SECONDS, DAY_SECONDS, WEEK_SECONDS = 3_600, 86_400, 604_800
# of the steps that are always equally long
STEP_SECONDS: dict[str, int] = {"hour": HOUR_SECONDS, "day": DAY_SECONDS, "week": WEEK_SECONDS}
# a twelfth of the 365.2425 days of the mean year
MEAN_MONTH_SECONDS = 2_629_746
# steps after which sales repeat, unless `data.seasonality` says otherwise
SEASONALITY: dict[str, int] = {"hour": 24, "day": 7, "week": 52, "month": 12}
# the calendar repeats after 400 years; days are counted from 0000-03-01, so that a leap day is last
_ERA_DAYS, _ERA_MONTHS, _DAYS_TO_1970 = 146_097, 4_800, 719_468
_MONTHS_TO_1970 = 23_638

# whole numbers of any shape: int, an int64 array or an int64 tensor
Numbers = TypeVar("Numbers", bound=Any)


def require_step(step: str) -> None:
    """Raises ConfigError where a step is none of ours."""
    if step not in STEPS:
        raise ConfigError(f"data.step={step!r}: choose {', '.join(STEPS)}")


def mean_seconds(step: str) -> int:
    """Length of a step; of a month the mean one, which says how long it lasts and never when."""
    return STEP_SECONDS.get(step, MEAN_MONTH_SECONDS)


def later(moment: Numbers, steps: Any, step: str) -> Numbers:
    """The moment some steps later, or earlier where `steps` is below 0; of months the beginning of
    one, whatever day the moment is in.

    Args:
        moment: seconds, of any shape.
        steps: whole numbers that broadcast with it.
        step: one of `STEPS`.

    Returns:
        Seconds, of the shape of both together.
    """
    if step == "month":
        return month_start(month_number(moment) + steps)
    return moment + steps * STEP_SECONDS[step]


def steps_between(begin: Any, end: Any, step: str) -> Any:
    """How many steps after the beginning of one (`begin`) the step begins that holds `end`; seconds
    of shapes that broadcast.
    """
    if step == "month":
        return month_number(end) - month_number(begin)
    return (end - begin) // STEP_SECONDS[step]


def month_number(moment: Numbers) -> Numbers:
    """Months from 1970-01 to the month that holds each moment (seconds).

    Source: H. Hinnant, chrono-Compatible Low-Level Date Algorithms, 2013 (civil_from_days).
    """
    days = moment // DAY_SECONDS + _DAYS_TO_1970
    era = days // _ERA_DAYS
    day = days - era * _ERA_DAYS  # of the era, from 0
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day = day - (365 * year + year // 4 - year // 100)  # of the year that begins in March
    return era * _ERA_MONTHS + 12 * year + (5 * day + 2) // 153 - _MONTHS_TO_1970


def month_start(number: Numbers) -> Numbers:
    """Seconds at which each month begins, by its number since 1970-01.

    Source: H. Hinnant, chrono-Compatible Low-Level Date Algorithms, 2013 (days_from_civil).
    """
    months = number + _MONTHS_TO_1970  # since 0000-03
    year = months // 12
    days = 365 * year + year // 4 - year // 100 + year // 400
    return (days + (153 * (months - 12 * year) + 2) // 5 - _DAYS_TO_1970) * DAY_SECONDS
