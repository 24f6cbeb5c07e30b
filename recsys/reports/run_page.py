"""The report of any run, from the files that every task writes."""

import math

from recsys.reports.blocks import Cell, Section, Table
from recsys.reports.facts import RunFacts, read_run_facts
from recsys.reports.formats import MISSING, decimal, duration, moment, plural, sentence_case
from recsys.reports.labels import metric_words, model_title
from recsys.reports.leaderboard import any_leaderboard
from recsys.reports.page import Page
from recsys.reports.sections.data import data_section
from recsys.reports.sections.repeat import repeat_section
from recsys.reports.sections.training import training_section
from recsys.runs.folder import RunFolder


def plain_page(run: RunFolder) -> Page:
    """The page of a task without one of its own: test metrics beside those of the baselines,
    learning curves, data and how to repeat the run.
    """
    facts = read_run_facts(run)
    model, board = model_title(facts.model), any_leaderboard(facts.metrics, facts.model)
    if facts.model in board.index:
        count = len(board) - 1
        verdict = f"{sentence_case(model)} was tested beside {plural(count, 'baseline')}."
        measured = zip(
            board.columns, board.to_numpy(float)[board.index == facts.model][0], strict=True
        )
        numbers = [(decimal(value), f"{name}, test") for name, value in measured][:4]
    else:
        verdict = f"{sentence_case(model)} was fitted without a test."
        numbers = []
    if facts.curves:
        numbers.append((duration(facts.metrics.get("train/seconds")), "training"))
    sections = (
        _leaderboard_section(facts),
        training_section(facts),
        data_section(facts),
        repeat_section(facts),
    )
    return Page(
        title=run_title(facts),
        subtitle=run_subtitle(facts),
        verdict=verdict,
        numbers=numbers,
        sections=sections,
    )


def run_title(facts: RunFacts) -> str:
    """GMF on complete journey."""
    data = facts.record.data.replace("_", " ")
    return sentence_case(f"{model_title(facts.model)} on {data}")


def run_subtitle(facts: RunFacts, protocol: str = "") -> list[str]:
    """How the model was tested, its seed, and when the run ended."""
    seed = f"seed {MISSING if facts.record.seed is None else facts.record.seed}"
    parts = [protocol, seed, moment(facts.record.finished)]
    return [part for part in parts if part and part != MISSING]


def _leaderboard_section(facts: RunFacts) -> Section | None:
    board = any_leaderboard(facts.metrics, facts.model)
    if board.empty:
        return None
    names = [str(name) for name in board.index]
    rows = tuple(
        (Cell(model_title(name)), *(Cell(decimal(value)) for value in values))
        for name, values in zip(names, board.to_numpy(dtype=float).tolist(), strict=True)
        if any(map(math.isfinite, values))
    )
    header = ("Model", *(metric_words(str(metric)).title for metric in board.columns))
    marked = names.index(facts.model) if facts.model in names else None
    table = Table("Metrics of the test", header, rows, marked)
    return Section("leaderboard", "Leaderboard", "The model beside its baselines.", (table,))
