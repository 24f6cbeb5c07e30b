"""Section about forecasts by how far ahead they look."""

import math
from collections.abc import Callable

import numpy as np

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.lines import Level, Series, line_chart
from recsys.reports.facts import ForecastFacts
from recsys.reports.formats import listed
from recsys.reports.labels import interval_name, model_title
from recsys.reports.leaderboard import baseline_name

# baselines drawn beside the model where lines would run into each other
BESIDE = 2
STYLES = ("quiet", "faint")


def horizon_section(facts: ForecastFacts) -> Section | None:
    """Error, bias and coverage by step of the horizon, beside the best baselines."""
    if facts.horizon < 2 or facts.model not in facts.by_horizon:
        return None
    figures = [figure for make in _BY_HORIZON if (figure := make(facts))]
    if not figures:
        return None
    beside = [model_title(name) for name in _best_baselines(facts)]
    lead = "Accuracy by number of steps ahead"
    lead += f"; baselines: {listed(beside)}." if beside else "."
    return Section("horizon", "By horizon", lead, (Figures(tuple(figures)),))


def _best_baselines(facts: ForecastFacts) -> list[str]:
    ranked = [name for name in facts.baselines("wape") if _key(facts, name) in facts.by_horizon]
    return ranked[:BESIDE]


def _key(facts: ForecastFacts, name: str) -> str:
    """What horizon.json and examples.json call a row of the leaderboard."""
    return baseline_name(name) if name != facts.model else name


def _lines(facts: ForecastFacts, metric: str, scale: float = 1.0) -> list[Series]:
    """The model and the best baselines by step ahead, from 1."""
    styles = dict(zip(_best_baselines(facts), STYLES, strict=False)) | {facts.model: "accent"}
    lines = []
    for name, style in styles.items():
        values = facts.by_horizon[_key(facts, name)].get(metric) or []
        numbers = [math.nan if value is None else scale * value for value in values]
        if np.isfinite(numbers).any():
            ahead = [float(step + 1) for step in range(len(numbers))]
            lines.append(Series(model_title(name), ahead, numbers, style))
    # the model, drawn last, lies on top
    return lines if any(line.style == "accent" for line in lines) else []


def _wape_by_step(facts: ForecastFacts) -> Figure | None:
    return _step_figure(
        facts, "wape", "WAPE by step", "Sum of absolute errors over sum of sales, step by step."
    )


def _pinball_by_step(facts: ForecastFacts) -> Figure | None:
    return _step_figure(
        facts,
        "pinball",
        "Pinball loss by step",
        "Error of all quantiles; low where intervals are narrow and contain the sales.",
    )


def _step_figure(facts: ForecastFacts, metric: str, title: str, caption: str) -> Figure | None:
    lines = _lines(facts, metric)
    if not lines:
        return None
    picture = line_chart(lines, x_label=f"{facts.step}s ahead", y_label=title.split(" by ")[0])
    return Figure(title, picture, caption + " Lower is better.")


def _coverage_by_step(facts: ForecastFacts) -> Figure | None:
    if facts.coverage is None:
        return None
    lines = _lines(facts, facts.coverage, 100)
    if not lines:
        return None
    name = interval_name(facts.coverage)
    picture = line_chart(
        lines,
        x_label=f"{facts.step}s ahead",
        y_label="% of sales inside",
        level=Level(float(facts.coverage.removeprefix("coverage_")), "as promised"),
    )
    caption = f"Below {name}, intervals are too narrow; above it, wider than they need to be."
    return Figure(f"Inside the {name} interval, by step", picture, caption)


def _bias_by_step(facts: ForecastFacts) -> Figure | None:
    lines = _lines(facts, "bias", 100)
    if not lines:
        return None
    picture = line_chart(
        lines,
        x_label=f"{facts.step}s ahead",
        y_label="% of sales",
        level=Level(0.0, "no bias"),
    )
    caption = "Sum of errors over sum of sales: above 0 forecasts are too high, below 0 too low."
    return Figure("Bias by step", picture, caption)


_BY_HORIZON: tuple[Callable[[ForecastFacts], Figure | None], ...] = (
    _wape_by_step,
    _coverage_by_step,
    _bias_by_step,
    _pinball_by_step,
)
