"""One honest sentence about the run of a forecaster, made from its numbers."""

import math

from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import decimal, listed, percent, sentence_case
from recsys.reports.labels import interval_name, model_title

# how far an interval may hold more or less than it promises
TOLERANCE = 0.1
# series, of which a mean says little
FEW_SERIES = 20


def forecast_verdict(facts: ForecastFacts) -> str:
    """How the model stands against the best baseline beside it, by WAPE.

    A baseline that wins is named first.
    """
    model = model_title(facts.model)
    own = facts.scores("wape").get(facts.model, math.nan)
    if not math.isfinite(own):
        if facts.model in facts.board.index:
            return f"{sentence_case(model)} has no WAPE, because nothing was sold in the test."
        return f"{sentence_case(model)} was fitted without a test, so its quality is unknown."
    baselines = facts.baselines("wape")
    if not baselines:
        return (
            f"{sentence_case(model)} reaches a WAPE of {decimal(own)}: its absolute errors add up "
            f"to {percent(own)} of what was sold. No baseline was evaluated for "
            "comparison."
        )
    best = min(baselines.values())
    leaders = [name for name, value in baselines.items() if _level(value, best)]
    others = listed([model_title(name) for name in leaders])
    be = "are" if len(leaders) > 1 else "is"
    if _level(own, best):
        sentence = f"{model} is level with {others} (WAPE {decimal(own)})"
    elif own < best:
        sentence = f"{model} is ahead of {others} (WAPE {_less(own, best)})"
    else:
        sentence = f"{others} {be} ahead of {model} (WAPE {_less(best, own)})"
    return sentence_case(sentence) + _windows_won(facts, leaders[0], own < best) + "."


def forecast_caution(facts: ForecastFacts) -> str:
    """What makes the verdict less certain than it sounds; empty where nothing does."""
    if not math.isfinite(facts.scores("wape").get(facts.model, math.nan)):
        return ""
    doubts = [
        _other_metric(facts),
        _interval_doubt(facts),
        _few_series(facts),
        "Only one window was evaluated; results may differ at other times of the year."
        if len(facts.windows) == 1
        else "",
    ]
    return " ".join(doubt for doubt in doubts if doubt)


def _level(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def _less(winner: float, other: float) -> str:
    against = f"{decimal(winner)} against {decimal(other)}"
    if other <= 0:
        return against
    less = 100 * (1 - winner / other)
    words = f"{less:,.0f}" if less >= 1 else "less than 1"
    return f"{against}, {words}\N{NO-BREAK SPACE}% less error"


def _windows_won(facts: ForecastFacts, rival: str, leads: bool) -> str:
    """In how many windows the model, or its best rival, is the better of the two."""
    pairs = []
    for number in facts.windows:
        scores = facts.scores("wape", f"windows/{number}/")
        pair = scores.get(facts.model, math.nan), scores.get(rival, math.nan)
        if all(map(math.isfinite, pair)):
            pairs.append(pair if leads else pair[::-1])
    if len(pairs) < 2:
        return ""
    won = sum(winner < other and not _level(winner, other) for winner, other in pairs)
    if won == len(pairs):
        return f", in each of the {won} windows"
    name = model_title(facts.model if leads else rival)
    return f"; the error of {name} is the lower one in {won} of {len(pairs)} windows"


def _other_metric(facts: ForecastFacts) -> str:
    """MASE, which weighs every series alike, where it names another winner."""
    winners = []
    for metric in ("wape", "mase"):
        own = facts.scores(metric).get(facts.model, math.nan)
        baselines = facts.baselines(metric)
        best = min(baselines.values(), default=math.nan)
        if not (math.isfinite(own) and math.isfinite(best)) or _level(own, best):
            return ""
        winners.append((own < best, own, best, min(baselines, key=lambda name: baselines[name])))
    if winners[0][0] == winners[1][0]:
        return ""
    ahead, own, best, rival = winners[1]
    names = [model_title(facts.model), model_title(rival)]
    first, second = names if ahead else names[::-1]
    low, high = sorted((own, best))
    return (
        f"By MASE, which gives every series equal weight, {first} is ahead of {second} "
        f"({decimal(low)} against {decimal(high)})."
    )


def _interval_doubt(facts: ForecastFacts) -> str:
    if facts.coverage is None:
        return ""
    inside = facts.scores(facts.coverage).get(facts.model, math.nan)
    promised = float(facts.coverage.removeprefix("coverage_")) / 100
    if not abs(inside - promised) > TOLERANCE:
        return ""
    kind = "too narrow" if inside < promised else "wider than it needs to be"
    return (
        f"The {interval_name(facts.coverage)} interval is {kind}: "
        f"it held {percent(inside, 0)} of the sales."
    )


def _few_series(facts: ForecastFacts) -> str:
    if not 0 < facts.num_series < FEW_SERIES:
        return ""
    count = "one series was" if facts.num_series == 1 else f"{facts.num_series} series were"
    return f"Only {count} evaluated, so the order is uncertain."
