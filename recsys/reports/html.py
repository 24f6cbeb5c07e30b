"""report.html of a run: one file that opens offline, made from sections.

A section is a function from the facts of a run to `Section`, or None where the run does not hold
what it needs. Another kind of picture is one more function in `SECTIONS` or `FORECAST_SECTIONS`;
the template draws the blocks of `blocks` and knows no section.
"""

import math
from collections.abc import Callable, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from recsys.reports.blocks import Section
from recsys.reports.examples import examples_section
from recsys.reports.facts import ForecastFacts, RankingFacts, RunFacts, read_facts
from recsys.reports.fans import fans_section
from recsys.reports.forecast_verdict import forecast_caution, forecast_verdict
from recsys.reports.forecasting import horizon_words, show_metric
from recsys.reports.forecasting import leaderboard_section as forecast_leaderboard_section
from recsys.reports.formats import MISSING, decimal, duration, moment, plural, sentence_case, whole
from recsys.reports.horizons import horizon_section
from recsys.reports.labels import interval_name, model_title, protocol, view_words
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


def write_report(run: RunFolder) -> None:
    """Writes report.html from what the run folder holds."""
    run.write_text("report.html", render_report(read_facts(run)))


def render_report(facts: RankingFacts | ForecastFacts) -> str:
    """The page as text."""
    sections: list[Section | None]
    if isinstance(facts, ForecastFacts):
        sentences = forecast_verdict(facts), forecast_caution(facts)
        judged, numbers = _forecast_protocol(facts), _forecast_numbers(facts)
        sections = [make(facts) for make in FORECAST_SECTIONS]
    else:
        sentences = verdict(facts), caution(facts)
        judged, numbers = protocol(_split(facts)), _numbers(facts)
        sections = [make(facts) for make in SECTIONS]
    return render_page(
        title=_title(facts),
        subtitle=_subtitle(facts, judged),
        verdict=sentences[0],
        caution=sentences[1],
        numbers=numbers,
        sections=sections,
    )


def render_page(
    *,
    title: str,
    subtitle: Sequence[str],
    verdict: str,
    caution: str,
    numbers: Sequence[tuple[str, str]],
    sections: Sequence[Section | None],
) -> str:
    """A page of the sections that there are; everything that came from outside is escaped."""
    template = files("recsys.reports").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template).render(
        title=title,
        subtitle=subtitle,
        verdict=verdict,
        caution=caution,
        numbers=numbers,
        sections=[section for section in sections if section],
    )
    # half a surrogate pair in a product name cannot be written
    return page.encode("utf-8", "replace").decode("utf-8")


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
