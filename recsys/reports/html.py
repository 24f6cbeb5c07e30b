"""report.html of a run: one file that opens offline, made from sections.

A section is a function from `RunFacts` to `Section`, or None where the run does not hold what it
needs. Another kind of picture is one more function in `SECTIONS`; the template draws the blocks of
`blocks` and knows no section.
"""

from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from recsys.reports.blocks import Section
from recsys.reports.examples import examples_section
from recsys.reports.facts import RunFacts, read_facts
from recsys.reports.formats import MISSING, decimal, duration, moment, sentence_case, whole
from recsys.reports.labels import model_title, protocol, view_words
from recsys.reports.ranking import customers_section, leaderboard_section, popularity_section
from recsys.reports.record import data_section, repeat_section, training_section
from recsys.reports.verdict import caution, verdict
from recsys.runs import RunFolder

SECTIONS: tuple[Callable[[RunFacts], Section | None], ...] = (
    leaderboard_section,
    examples_section,
    customers_section,
    popularity_section,
    training_section,
    data_section,
    repeat_section,
)


def write_report(run: RunFolder) -> None:
    """Writes report.html from what the run folder holds."""
    run.write_text("report.html", render_report(read_facts(run)))


def render_report(facts: RunFacts) -> str:
    """The page as text; everything that came from outside is escaped."""
    template = files("recsys.reports").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template).render(
        title=_title(facts),
        subtitle=_subtitle(facts),
        verdict=verdict(facts),
        caution=caution(facts),
        numbers=_numbers(facts),
        sections=[section for make in SECTIONS if (section := make(facts))],
    )
    # half a surrogate pair in a product name cannot be written
    return page.encode("utf-8", "replace").decode("utf-8")


def _title(facts: RunFacts) -> str:
    data = str(facts.record.get("data", "unnamed data")).replace("_", " ")
    return sentence_case(f"{model_title(facts.model)} on {data}")


def _subtitle(facts: RunFacts) -> list[str]:
    split = facts.config.get("evaluation", {}).get("split", {})
    parts = [
        protocol(split),
        f"seed {facts.record.get('seed', MISSING)}",
        moment(facts.record.get("finished")),
    ]
    return [part for part in parts if part and part != MISSING]


def _numbers(facts: RunFacts) -> list[tuple[str, str]]:
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
