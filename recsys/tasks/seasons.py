"""What an experiment says of seasons, on other data than its own.

`lags` and `seasons_averaged` of an LSTM are chosen for one table. On another one they may name
another season, or more seasons than any series has. Where a file says so, as much of it is used as
can act, and that is said; where it was typed for these data, it is an error.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsys.config.targets import Target
from recsys.data.panel import SalesPanel
from recsys.errors import ConfigError
from recsys.models.forecasters.lstm import SEASONS_AVERAGED, lags_of


@dataclass
class Fitted:
    """What is used in place of a model's settings.

    Attributes:
        settings: dotted name below `model` ("member.lags", "members.0.seasons_averaged") to value.
        notes: what was decided to the number that is used, for the report.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


def fit_seasons(model: Target, panel: SalesPanel, overrides: Sequence[str]) -> Fitted:
    """Settings of a network, or of the members of an ensemble, that these data cannot have, with
    what is used instead; warns of each.

    Args:
        model: with its settings.
        panel: what it is fitted on.
        overrides: as typed; settings among them are refused, not replaced.

    Raises:
        ConfigError: `seasons_averaged` was typed, and no series is that long.
    """
    fitted = Fitted()
    typed = {override.lstrip("+").partition("=")[0] for override in overrides}
    shared: Mapping[str, Any] = {}
    for path, settings in _networks(model.arguments):
        # members have what all of them have where they say nothing
        lags = _fit_lags(path, {**shared, **settings}, panel, typed, fitted)
        if "seasons_averaged" in settings:
            _fit_averages(path, {**settings, "lags": lags}, panel, typed, fitted)
        if path == "member.":
            shared = {"lags": lags}
    for note, count in fitted.notes.items():
        warnings.warn(f"{note}: {count}", stacklevel=2)
    return fitted


def with_settings(model: Target, settings: Mapping[str, Any]) -> Target:
    """The model with what `fit_seasons` put in place."""
    arguments = dict(model.arguments)
    for path, value in settings.items():
        first, *rest = path.split(".")
        arguments[first] = _set(arguments.get(first), rest, value)
    return replace(model, arguments=arguments)


def _set(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(node, list | tuple):
        place = int(first)
        return [_set(each, rest, value) if at == place else each for at, each in enumerate(node)]
    return {**node, first: _set(node.get(first), rest, value)}


def _networks(arguments: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Where settings of networks stand, below `model`, and these."""
    if "member" not in arguments:
        return [("", arguments)] if "seasons_averaged" in arguments else []
    members = arguments.get("members") or ()
    return [
        ("member.", arguments["member"]),
        *((f"members.{place}.", own) for place, own in enumerate(members)),
    ]


def _fit_lags(
    path: str,
    settings: Mapping[str, Any],
    panel: SalesPanel,
    typed: Collection[str],
    fitted: Fitted,
) -> list[int] | None:
    """`lags` that hold the season of the panel; None: those of where nothing is said."""
    lags = settings.get("lags")
    if lags is None or panel.season in lags or _is_typed(path, "lags", typed):
        return lags
    fitted.settings[f"{path}lags"] = None
    fitted.notes[
        f"lags of the usual seasons, as model.{path}lags={list(lags)} leaves out the season of"
        f" {panel.season} {panel.step}s"
    ] = len(lags_of(panel.step, panel.season))
    return None


def _fit_averages(
    path: str,
    settings: Mapping[str, Any],
    panel: SalesPanel,
    typed: Collection[str],
    fitted: Fitted,
) -> None:
    key, averaged = f"{path}seasons_averaged", settings["seasons_averaged"]
    is_typed = _is_typed(path, "seasons_averaged", typed)
    lags = settings["lags"] or lags_of(panel.step, panel.season)
    replaced = f"{path}lags" in fitted.settings and not isinstance(averaged, int)
    if replaced or (not isinstance(averaged, int) and len(averaged) != len(lags)):
        if is_typed or settings["lags"] is not None:
            return  # the model says what is wrong
        fitted.settings[key] = SEASONS_AVERAGED
        fitted.notes[
            f"seasons averaged, as model.{key}={list(averaged)} is for other seasons than"
            f" {_listed(lags)} {panel.step}s"
        ] = SEASONS_AVERAGED
        return
    longest = int(panel.known.max())
    asked = [averaged] * len(lags) if isinstance(averaged, int) else list(averaged)
    fits = [
        number if number <= SEASONS_AVERAGED else min(number, max(longest // lag, 1))
        for number, lag in zip(asked, lags, strict=True)
    ]
    if fits == asked:
        return
    value = fits if len(fits) > 1 else fits[0]
    reach = max(number * lag for number, lag in zip(asked, lags, strict=True))
    if is_typed:
        raise ConfigError(
            f"model.{key}={averaged} reaches {reach:,} {panel.step}s back, and the longest series"
            f" of {panel.report.source} has {longest:,}: set model.{key}={value}"
        )
    fitted.settings[key] = value
    fitted.notes[
        f"seasons averaged at most, as model.{key}={averaged} reaches {reach:,} {panel.step}s back"
        f" and the longest series has {longest:,}"
    ] = max(fits)


def _is_typed(path: str, name: str, typed: Collection[str]) -> bool:
    """Whether a setting, or what holds it, was typed."""
    key = f"model.{path}{name}"
    return key in typed or (path.startswith("members") and "model.members" in typed)


def _listed(lags: Sequence[int]) -> str:
    return " and ".join(map(str, lags))
