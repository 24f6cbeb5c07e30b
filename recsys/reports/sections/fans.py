"""Section of example series, from examples.json: forecasts beside what was sold."""

import math
from collections.abc import Iterable

import numpy as np

from recsys.evaluation.forecast_examples import SeriesExample, Steps
from recsys.reports.blocks import Block, Figure, Figures, KeyEntry, Section
from recsys.reports.charts.canvas import NARROW, WIDTH
from recsys.reports.charts.fan import Fan, fan_chart, swatch
from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import decimal, percent, sentence_case
from recsys.reports.labels import model_title
from recsys.reports.leaderboard import baseline_name
from recsys.steps import STEPS, later

KINDS = {
    "best": "Best forecasts",
    "median": "Forecasts in the middle",
    "worst": "Worst forecasts",
}
# history beside the forecast: as many horizons, or as many steps where these are few
HORIZONS, LEAST_STEPS = 1.5, 14


def fans_section(facts: ForecastFacts) -> Section | None:
    """The best, middle and worst series: history, sales, median, intervals and a baseline."""
    baseline = _baseline(facts)
    drawn = [(str(e.get("kind", "")), e, _fan(e, baseline, facts.step)) for e in facts.examples]
    drawn = [(kind, e, fan) for kind, e, fan in drawn if fan.horizon and len(fan.sold) > 1]
    if not drawn:
        return None
    blocks: list[Block] = []
    for kind in dict.fromkeys([*KINDS, *(kind for kind, _, _ in drawn)]):
        group = [(example, fan) for other, example, fan in drawn if other == kind]
        if group:
            width = NARROW if len(group) > 2 else WIDTH
            figures = tuple(_figure(facts, *each, baseline, width) for each in group)
            title = KINDS.get(kind, sentence_case(kind) or "Forecasts")
            key = () if blocks else _key(facts, group[0][1], baseline)
            blocks.append(Figures(figures, width == NARROW, title, key))
    lead = (
        "From the half of the series that sells most, those with the lowest, the median and the "
        "highest WAPE in the last window. The vertical line marks the origin of the forecast; the "
        "model has seen nothing to the right of it."
    )
    return Section("examples", "Forecast against actual", lead, tuple(blocks))


def _baseline(facts: ForecastFacts) -> str:
    """The best baseline that the examples hold; "" without one."""
    held = [set(example.get("baselines") or {}) for example in facts.examples]
    shared = set.intersection(*held) if held else set()
    ranked = [baseline_name(name) for name in facts.baselines("wape")]
    return next((name for name in [*ranked, *sorted(shared)] if name in shared), "")


def _fan(example: SeriesExample, baseline: str, step: str) -> Fan:
    history: Steps = example.get("history") or {}
    actual, past = _numbers(example.get("actual")), _numbers(history.get("y"))
    quantiles = {
        float(level): _numbers(values) for level, values in (example.get("forecast") or {}).items()
    }
    horizon = max((len(values) for values in quantiles.values()), default=0)
    # where sales are shorter than the forecast, the end of it is unknown
    actual = np.concatenate([actual, np.full(max(horizon - len(actual), 0), math.nan)])
    kept = min(len(past), max(int(HORIZONS * horizon), LEAST_STEPS))
    step = step if step in STEPS else "day"
    return Fan(
        start=later(int(history.get("start") or 0), len(past) - kept, step),
        step=step,
        sold=np.concatenate([past[len(past) - kept :], actual[:horizon]]),
        quantiles={level: _filled(values, horizon) for level, values in quantiles.items()},
        beside=_filled(_numbers((example.get("baselines") or {}).get(baseline)), horizon),
    )


def _numbers(values: Iterable[float | None] | None) -> np.ndarray:
    """float64, NaN for null; empty for none."""
    return np.array([math.nan if value is None else value for value in values or ()], dtype=float)


def _filled(values: np.ndarray, length: int) -> np.ndarray:
    """As long as the others, unknown at the end."""
    return np.concatenate([values, np.full(length - min(len(values), length), math.nan)])[:length]


def _figure(
    facts: ForecastFacts, example: SeriesExample, fan: Fan, baseline: str, width: float
) -> Figure:
    series_id = str(example.get("series_id", ""))
    name = str(example.get("name") or series_id)
    parts = [f"WAPE {decimal(example.get('wape'), 3)}"]
    error = np.abs(fan.beside - fan.sold[fan.origin :])
    sales = np.abs(fan.sold[fan.origin :])[np.isfinite(error)].sum()
    if np.isfinite(error).any() and sales > 0:
        parts[0] += f" ({model_title(baseline)} {decimal(float(np.nansum(error) / sales), 3)})"
    if len(facts.windows) > 1 and example.get("window"):
        parts.append(f"window {example['window']}")
    if name != series_id:
        parts.append(series_id)
    picture = fan_chart(fan, y_label=facts.unit, description=f"forecast of {name}", width=width)
    return Figure(name, picture, " · ".join(parts))


def _key(facts: ForecastFacts, fan: Fan, baseline: str) -> tuple[KeyEntry, ...]:
    """What the lines and areas are."""
    entries = [
        KeyEntry(swatch("sold"), "sold"),
        KeyEntry(swatch("median"), f"{model_title(facts.model)}, median"),
    ]
    for place, (share, _, _) in enumerate(fan.intervals(), 1):
        entries.append(KeyEntry(swatch(bands=place), f"{percent(share, 0)} interval"))
    if baseline:
        entries.append(KeyEntry(swatch("beside"), model_title(baseline)))
    return tuple(entries)
