"""The reports of runs, as pages.

A section is a function from the facts of a run to `Section`, or None where the run does not hold
what it needs.
"""

import math
from collections.abc import Callable

from recsys.reports.blocks import Section
from recsys.reports.examples import examples_section
from recsys.reports.facts import (
    ForecastFacts,
    RankingFacts,
    RunFacts,
    read_forecast_facts,
    read_ranking_facts,
    read_run_facts,
)
from recsys.reports.fans import fans_section
from recsys.reports.forecast_verdict import forecast_caution, forecast_verdict
from recsys.reports.forecasting import horizon_words, show_metric
from recsys.reports.forecasting import leaderboard_section as forecast_leaderboard_section
from recsys.reports.formats import MISSING, decimal, duration, moment, plural, sentence_case, whole
from recsys.reports.horizons import horizon_section
from recsys.reports.labels import interval_name, model_title, protocol, view_words
from recsys.reports.page import Page
from recsys.reports.plain import plain_leaderboard
from recsys.reports.ranking import customers_section, leaderboard_section, popularity_section
from recsys.reports.record import data_section, repeat_section, training_section
from recsys.reports.series import series_section, slices_section
from recsys.reports.verdict import caution, verdict
from recsys.runs.folder import RunFolder

SECTIONS: tuple[Callable[[RankingFacts], Section | None], ...] = (
    leaderboard_section,
    examples_section,
    customers_section,
    popularity_section,
    training_section,
    data_section,
    repeat_section,
)

FORECAST_SECTIONS: tuple[Callable[[ForecastFacts], Section | None], ...] = (
    forecast_leaderboard_section,
    fans_section,
    horizon_section,
    slices_section,
    series_section,
    training_section,
    data_section,
    repeat_section,
)


def ranking_page(run: RunFolder) -> Page:
    """The report of a recommender."""
    facts = read_ranking_facts(run)
    return Page(
        _title(facts),
        _subtitle(facts, protocol(_split(facts))),
        verdict(facts),
        caution(facts),
        _numbers(facts),
        [make(facts) for make in SECTIONS],
    )


def forecast_page(run: RunFolder) -> Page:
    """The report of a forecaster."""
    facts = read_forecast_facts(run)
    return Page(
        _title(facts),
        _subtitle(facts, _forecast_protocol(facts)),
        forecast_verdict(facts),
        forecast_caution(facts),
        _forecast_numbers(facts),
        [make(facts) for make in FORECAST_SECTIONS],
    )


def plain_page(run: RunFolder) -> Page:
    """The report of any task, from what every run holds: metrics, training, data, record."""
    facts = read_run_facts(run)
    tested = {
        key.removeprefix("test/"): value
        for key, value in facts.metrics.items()
        if key.startswith("test/") and not key.startswith("test/baselines/")
    }
    return Page(
        _title(facts),
        _subtitle(facts, ""),
        "",
        "",
        [(decimal(value), name) for name, value in list(tested.items())[:3]],
        [
            plain_leaderboard(facts),
            training_section(facts),
            data_section(facts),
            repeat_section(facts),
        ],
    )


def _title(facts: RunFacts) -> str:
    data = str(facts.record.get("data", "unnamed data")).replace("_", " ")
    return sentence_case(f"{model_title(facts.model)} on {data}")


def _split(facts: RunFacts) -> dict[str, object]:
    return facts.config.get("evaluation", {}).get("split", {})


def _forecast_protocol(facts: ForecastFacts) -> str:
    """How the model was judged: tested on 4 windows of 28 days."""
    if not facts.windows:
        return protocol({"_target_": "FullData"})
    words = "the last window" if len(facts.windows) == 1 else f"{len(facts.windows)} windows"
    return f"tested on {words}" + (f" of {horizon_words(facts)}" if facts.horizon else "")


def _subtitle(facts: RunFacts, judged: str) -> list[str]:
    parts = [
        judged,
        f"seed {facts.record.get('seed', MISSING)}",
        moment(facts.record.get("finished")),
    ]
    return [part for part in parts if part and part != MISSING]


def _numbers(facts: RankingFacts) -> list[tuple[str, str]]:
    """The few numbers to see first: value and what it is."""
    numbers = []
    for view in facts.views:
        value = facts.scores(view).get(facts.model)
        numbers.append((decimal(value), f"NDCG@{facts.k}, {view_words(view).inline}"))
    asked = [facts.metrics.get(f"test/{view}/users") for view in facts.views]
    if any(asked):
        numbers.append((whole(max(count or 0 for count in asked)), "customers in the test"))
    if facts.curves:
        numbers.append((duration(facts.metrics.get("train/seconds")), "training"))
    return numbers


def _forecast_numbers(facts: ForecastFacts) -> list[tuple[str, str]]:
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
