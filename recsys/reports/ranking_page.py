"""The report of a recommender."""

from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, duration, whole
from recsys.reports.labels import protocol, view_words
from recsys.reports.page import Page
from recsys.reports.run_page import run_subtitle, run_title
from recsys.reports.sections.customers import customers_section
from recsys.reports.sections.data import data_section
from recsys.reports.sections.examples import examples_section
from recsys.reports.sections.exposure import exposure_section
from recsys.reports.sections.leaderboard import leaderboard_section
from recsys.reports.sections.parts import parts_section
from recsys.reports.sections.popularity import popularity_section
from recsys.reports.sections.repeat import repeat_section
from recsys.reports.sections.segments import segments_section
from recsys.reports.sections.tradeoff import tradeoff_section
from recsys.reports.sections.training import training_section
from recsys.reports.verdict import caution, verdict


def ranking_page(facts: RankingFacts) -> Page:
    """Leaderboard by view, example customers, metrics by customer and beyond accuracy."""
    return Page(
        title=run_title(facts),
        subtitle=run_subtitle(facts, protocol(facts.config.get("evaluation", {}).get("split", {}))),
        verdict=verdict(facts),
        caution=caution(facts),
        numbers=_numbers(facts),
        sections=(
            leaderboard_section(facts),
            parts_section(facts),
            examples_section(facts),
            customers_section(facts),
            segments_section(facts),
            popularity_section(facts),
            exposure_section(facts),
            tradeoff_section(facts),
            training_section(facts),
            data_section(facts),
            repeat_section(facts),
        ),
    )


def _numbers(facts: RankingFacts) -> list[tuple[str, str]]:
    numbers = []
    for view in facts.views:
        value = facts.scores(view).get(facts.model)
        numbers.append((decimal(value), f"NDCG@{facts.k}, {view_words(view).inline}"))
    evaluated = [facts.metrics.get(f"test/{view}/users") for view in facts.views]
    if any(evaluated):
        numbers.append((whole(max(count or 0 for count in evaluated)), "customers in the test"))
    if facts.curves:
        numbers.append((duration(facts.metrics.get("train/seconds")), "training"))
    return numbers
