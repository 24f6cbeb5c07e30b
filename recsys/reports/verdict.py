"""One honest sentence about a run, made from its numbers."""

import math

from recsys.reports.attributes import attributes_sentence
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, plural, sentence_case
from recsys.reports.labels import INTERVAL, model_title, view_words


def verdict(facts: RankingFacts) -> str:
    """How the model stands against the best baseline beside it, view by view.

    A baseline that wins is named first. What attributes are worth for cold customers is a sentence
    of its own.
    """
    sentence = _against_baselines(facts)
    if facts.cold_users is None:
        return sentence
    gain = attributes_sentence(facts.cold_users, model_title(facts.model))
    return f"{sentence} {sentence_case(gain)}."


def _against_baselines(facts: RankingFacts) -> str:
    model = model_title(facts.model)
    own = {view: facts.scores(view).get(facts.model, math.nan) for view in facts.views}
    own = {view: value for view, value in own.items() if math.isfinite(value)}
    if not own:
        return f"{sentence_case(model)} was fitted without a test, so its quality is unknown."
    clauses = [_clause(facts, view, value) for view, value in own.items()]
    if any(clauses):
        return sentence_case("; ".join(clause for clause in clauses if clause)) + "."
    reached = [f"{decimal(value)} on {view_words(view).inline}" for view, value in own.items()]
    return (
        f"{sentence_case(model)} reaches an NDCG@{facts.k} of {' and '.join(reached)}; "
        "no baseline was evaluated for comparison."
    )


def caution(facts: RankingFacts) -> str:
    """Says where the difference is smaller than the uncertainty over customers; else empty."""
    close, size = [], 0
    for view in facts.views:
        interval = facts.interval(view)
        best = max(_baselines(facts, view).values(), default=math.nan)
        level = _level(best, facts.scores(view).get(facts.model, math.nan))
        if interval is not None and interval[0] <= best <= interval[1] and not level:
            size = max(size, len(facts.by_user(view)))
            ends = " to ".join(map(decimal, interval))
            close.append(f"{view_words(view).inline} ({ends})")
    if not close:
        return ""
    return (
        f"Too close to call on {' and '.join(close)}: over {plural(size, 'customer')}, the best "
        f"baseline lies within the {INTERVAL} of {model_title(facts.model)}. "
        "A paired comparison of the two by customer is more precise."
    )


def _baselines(facts: RankingFacts, view: str) -> dict[str, float]:
    scores = facts.scores(view)
    return {n: value for n, value in scores.items() if n != facts.model and math.isfinite(value)}


def _clause(facts: RankingFacts, view: str, own: float) -> str:
    """The model against the best baseline on one view; empty without baselines."""
    baselines = _baselines(facts, view)
    if not baselines:
        return ""
    best = max(baselines.values())
    leaders = [model_title(name) for name, value in baselines.items() if _level(value, best)]
    others, be = " and ".join(leaders), "are" if len(leaders) > 1 else "is"
    where, model, number = view_words(view).inline, model_title(facts.model), f"NDCG@{facts.k}"
    if _level(own, best):
        return f"on {where}, {model} is level with {others} ({number} {decimal(own)})"
    if own > best:
        return f"on {where}, {model} is ahead of {others} ({number} {_lead(own, best)})"
    return f"on {where}, {others} {be} ahead of {model} ({number} {_lead(best, own)})"


def _level(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def _lead(winner: float, other: float) -> str:
    against = f"{decimal(winner)} against {decimal(other)}"
    if other <= 0:
        return against
    more = 100 * (winner / other - 1)
    return f"{against}, {f'{more:,.0f}' if more >= 1 else 'less than 1'}\N{NO-BREAK SPACE}% more"
