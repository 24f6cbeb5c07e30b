"""What an experiment says of seasons, on other data than its own.

`lags`, `seasons_averaged` and `calendar` of an LSTM are chosen for one table. On another one they
may name another season, more seasons than any series has, or the weekday of a month. Where a file
says so, what can act takes its place, and that is said on screen and in the report; where it was
typed for these data, it is an error.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsys.config.targets import Target
from recsys.data.panel import SalesPanel
from recsys.errors import ConfigError
from recsys.models.forecasters.lstm import SEASONS_AVERAGED, lags_of


@dataclass
class FittedSeasons:
    """What takes the place of a model's settings.

    Attributes:
        settings: dotted name below `model` ("member.lags", "members.0.seasons_averaged") to value.
        warnings: a sentence for each.
        decisions: the same for the report, to the number that is used.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, value: Any, used: int, why: str, what: str) -> None:
        """Replaces a setting and says so: "`why`: `what`"."""
        self.settings[key] = value
        self.warnings.append(f"{why}: {what}; set model.{key} to choose otherwise")
        self.decisions[f"{why}: {what}"] = used


def fit_seasons(model: Target, panel: SalesPanel, overrides: Sequence[str] = ()) -> FittedSeasons:
    """Settings of a network, or of the members of an ensemble, that cannot act on these data, and
    what does instead.

    Args:
        model: with its settings.
        panel: what it is fitted on.
        overrides: as typed; what is set there is refused, not replaced.

    Raises:
        ConfigError: `seasons_averaged` was typed, and no series is that long.
    """
    fitted = FittedSeasons()
    typed = {override.lstrip("+").partition("=")[0] for override in overrides}
    of_all: list[int] | None = None
    for path, settings in _networks(model.arguments):
        lags = of_all
        if "lags" in settings:
            lags = _fit_lags(path, settings["lags"], panel, typed, fitted)
        if "seasons_averaged" in settings:
            _fit_averages(path, settings["seasons_averaged"], lags, panel, typed, fitted)
        if settings.get("calendar"):
            _fit_calendar(path, settings["calendar"], panel, typed, fitted)
        if path == "member.":
            of_all = lags  # of the members that have none of their own
    return fitted


def with_settings(model: Target, settings: Mapping[str, Any]) -> Target:
    """The model with what `fit_seasons` found, by dotted name."""
    arguments = dict(model.arguments)
    for key, value in settings.items():
        first, *rest = key.split(".")
        arguments[first] = _replaced(arguments.get(first), rest, value)
    return replace(model, arguments=arguments)


def _replaced(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(node, Sequence):
        place = int(first)
        return [*node[:place], _replaced(node[place], rest, value), *node[place + 1 :]]
    return {**node, first: _replaced(node.get(first), rest, value)}


def _networks(arguments: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Where settings of networks stand, below `model`, and these."""
    if "member" not in arguments:
        return [("", arguments)]
    members = enumerate(arguments.get("members") or ())
    return [
        ("member.", arguments["member"]),
        *((f"members.{place}.", own) for place, own in members),
    ]


def _fit_lags(
    path: str,
    lags: Sequence[int] | None,
    panel: SalesPanel,
    typed: Collection[str],
    fitted: FittedSeasons,
) -> list[int] | None:
    """Lags that hold the season of the panel; None: `lags_of`."""
    if lags is None or panel.season in lags or _is_typed(path, "lags", typed):
        return None if lags is None else list(lags)
    usual = lags_of(panel.step, panel.season)
    fitted.put(
        f"{path}lags",
        None,
        len(usual),
        f"model.{path}lags={list(lags)} leaves out the season of {panel.season} {panel.step}s",
        f"the usual lags ({_listed(usual)}) are read",
    )
    return None


def _fit_averages(
    path: str,
    averaged: int | Sequence[int],
    own_lags: list[int] | None,
    panel: SalesPanel,
    typed: Collection[str],
    fitted: FittedSeasons,
) -> None:
    key, step = f"{path}seasons_averaged", panel.step
    lags = own_lags or list(lags_of(step, panel.season))
    is_typed = _is_typed(path, "seasons_averaged", typed)
    asked = [averaged] * len(lags) if isinstance(averaged, int) else list(averaged)
    is_of_others = not isinstance(averaged, int) and f"{path}lags" in fitted.settings
    if is_of_others or len(asked) != len(lags):
        # where both were stated, the model says what is wrong
        if not is_typed and own_lags is None:
            fitted.put(
                key,
                SEASONS_AVERAGED,
                SEASONS_AVERAGED,
                f"model.{key}={asked} is for other seasons than {_listed(lags)} {step}s",
                f"{SEASONS_AVERAGED} are averaged",
            )
        return
    longest = int(panel.known.max())
    # as many as by default are "those there are"
    fits = [
        number if number <= SEASONS_AVERAGED else min(number, max(longest // lag, 1))
        for number, lag in zip(asked, lags, strict=True)
    ]
    if fits == asked:
        return
    reach = max(number * lag for number, lag in zip(asked, lags, strict=True))
    value: int | list[int] = fits[0] if len(set(fits)) == 1 else fits
    why = (
        f"model.{key}={averaged} reaches {reach:,} {step}s back, and the longest series of"
        f" {panel.report.source} has {longest:,}"
    )
    if is_typed:
        raise ConfigError(f"{why}: set model.{key}={value}")
    fitted.put(key, value, max(fits), why, f"{value} are averaged")


def _fit_calendar(
    path: str,
    calendar: Sequence[str],
    panel: SalesPanel,
    typed: Collection[str],
    fitted: FittedSeasons,
) -> None:
    within = [part for part in calendar if part != "year"]
    if panel.step != "month" or not within or _is_typed(path, "calendar", typed):
        return
    fitted.put(
        f"{path}calendar",
        ["year"],
        1,
        f"model.{path}calendar={list(calendar)} reads {_listed(within)}, by which whole months do"
        " not differ",
        "the year is read",
    )


def _is_typed(path: str, name: str, typed: Collection[str]) -> bool:
    """Whether a setting, or the list that holds it, was typed."""
    return f"model.{path}{name}" in typed or (
        path.startswith("members.") and "model.members" in typed
    )


def _listed(values: Sequence[object]) -> str:
    return " and ".join(map(str, values))
