"""The report of a forecaster."""

import math

from recsys.reports.facts import ForecastFacts
from recsys.reports.forecast_verdict import forecast_caution, forecast_verdict
from recsys.reports.formats import duration, plural, show_metric, whole
from recsys.reports.labels import interval_name
from recsys.reports.page import Page
from recsys.reports.run_page import run_subtitle, run_title
from recsys.reports.sections.data import data_section
from recsys.reports.sections.fans import fans_section
from recsys.reports.sections.forecast_leaderboard import leaderboard_section
from recsys.reports.sections.horizon import horizon_section
from recsys.reports.sections.repeat import repeat_section
from recsys.reports.sections.series import series_section
from recsys.reports.sections.slices import slices_section
from recsys.reports.sections.training import training_section


def forecast_page(facts: ForecastFacts) -> Page:
    """Leaderboard, example forecasts, metrics by horizon, by kind of series and by series."""
    return Page(
        title=run_title(facts),
        subtitle=run_subtitle(facts, _protocol(facts)),
        verdict=forecast_verdict(facts),
        caution=forecast_caution(facts),
        numbers=_numbers(facts),
        sections=(
            leaderboard_section(facts),
            fans_section(facts),
            horizon_section(facts),
            slices_section(facts),
            series_section(facts),
            training_section(facts),
            data_section(facts),
            repeat_section(facts),
        ),
    )


def _protocol(facts: ForecastFacts) -> str:
    """How the model was tested: tested on 4 windows of 28 days."""
    if not facts.windows:
        return "fitted on everything, not tested"
    words = "the last window" if len(facts.windows) == 1 else f"{len(facts.windows)} windows"
    horizon = f" of {plural(facts.horizon, facts.step)}" if facts.horizon else ""
    return f"tested on {words}{horizon}"


def _numbers(facts: ForecastFacts) -> list[tuple[str, str]]:
    numbers = []
    shown = {"wape": "WAPE, absolute errors over sales", "mase": "MASE, below 1 beats last season"}
    if facts.coverage:
        shown[facts.coverage] = f"of sales inside the {interval_name(facts.coverage)} interval"
    for metric, label in shown.items():
        value = facts.scores(metric).get(facts.model, math.nan)
        if math.isfinite(value):
            numbers.append((show_metric(metric, value), label))
    if facts.num_series:
        windows = plural(len(facts.windows), "window")
        numbers.append((whole(facts.num_series), f"series in {windows}"))
    if facts.curves:
        numbers.append((duration(facts.metrics.get("train/seconds")), "training"))
    return numbers
