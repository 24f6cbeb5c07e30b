"""The model beside its baselines, as a table."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

# what a row adds to the name of a baseline that is called as the model
_BASELINE = " (baseline)"
SHOWN = ("ndcg", "recall", "hit_rate")
SHOWN_OF_FORECASTS = ("wape", "mase", "smape", "rmsse", "bias")


def cutoff(ks: Sequence[int]) -> int:
    """The k to show: 10 where it was measured, else the first."""
    return 10 if 10 in ks or not ks else ks[0]


def leaderboard(
    metrics: dict[str, float], model: str, ks: Sequence[int], shown: Sequence[str] = SHOWN
) -> pd.DataFrame:
    """One row a model, best first; columns "new ndcg@10" and so on, at the k of `cutoff`.

    A baseline of the model's own name is called "NAME (baseline)": its settings may differ.

    Args:
        metrics: flat, "test/VIEW/METRIC@K", "test/baselines/NAME/VIEW/METRIC@K" and, where users of
            the test are never fitted, "known/VIEW/METRIC@K" of the model that was fitted on them.
        model: what to call the model's row.
        ks: cut-offs measured.
        shown: names of metrics, the first of which decides the order.
    """
    k = cutoff(ks)
    rows: dict[str, dict[str, float]] = {}
    for name, key, value in tested(metrics, model):
        view, _, metric = key.partition("/")
        if metric in [f"{wanted}@{k}" for wanted in shown]:
            rows.setdefault(name, {})[f"{view} {metric}"] = value
    table = pd.DataFrame.from_dict(rows, orient="index")
    if table.empty:
        return table
    views = list(dict.fromkeys(column.split(" ")[0] for column in table.columns))
    order = [f"{view} {wanted}@{k}" for view in views for wanted in shown]
    return table.reindex(columns=order).sort_values(order[0], ascending=False, kind="stable")


def forecast_leaderboard(metrics: dict[str, float], model: str) -> pd.DataFrame:
    """One row a forecaster, the lowest WAPE first; a column for each metric of `SHOWN_OF_FORECASTS`
    and one interval's coverage that was measured.

    Args:
        metrics: flat, "test/METRIC" and "test/baselines/NAME/METRIC".
        model: what to call the model's row.
    """
    shown = (*SHOWN_OF_FORECASTS, *shown_coverage(metrics))
    rows: dict[str, dict[str, float]] = {}
    for name, key, value in tested(metrics, model):
        if key in shown:
            rows.setdefault(name, {})[key] = value
    table = pd.DataFrame.from_dict(rows, orient="index")
    order = [metric for metric in shown if metric in table.columns]
    return table.reindex(columns=order).sort_values(order[:1], kind="stable") if order else table


def any_leaderboard(metrics: dict[str, float], model: str) -> pd.DataFrame:
    """One row for the model and each baseline, a column for each metric that the model has."""
    rows: dict[str, dict[str, float]] = {model: {}}
    for name, key, value in tested(metrics, model):
        rows.setdefault(name, {})[key] = value
    table = pd.DataFrame.from_dict({k: v for k, v in rows.items() if v}, orient="index")
    return table.reindex(columns=list(rows[model]))


def shown_coverage(metrics: dict[str, float]) -> list[str]:
    """The interval to show, "coverage_80" where it was measured, else the widest; or none."""
    levels = [
        float(key.removeprefix("test/coverage_"))
        for key in metrics
        if key.startswith("test/coverage_")
    ]
    return [f"coverage_{80 if 80 in levels else max(levels):g}"] if levels else []


def baseline_name(row: str) -> str:
    """Name of a baseline in metrics.json, from its row of the leaderboard."""
    return row.removesuffix(_BASELINE)


def best_of(metric: str, values: pd.Series) -> np.ndarray:
    """Which values are the best, bool (N,): the lowest error, the bias next to 0, the coverage next
    to what the interval promises; none where there is nothing to compare.
    """
    numbers = values.to_numpy(dtype=float)
    if metric.startswith("coverage_"):
        numbers = numbers - float(metric.removeprefix("coverage_")) / 100
    if metric.startswith(("coverage_", "bias")):
        numbers = np.abs(numbers)
    known = np.isfinite(numbers)
    if known.sum() < 2:
        return np.zeros(len(numbers), dtype=bool)
    return known & np.isclose(numbers, numbers[known].min(), rtol=1e-9, atol=0)


def tested(metrics: dict[str, float], model: str) -> Iterator[tuple[str, str, float]]:
    """(name of a row, key below it, value) of everything measured in the test."""
    for key, value in metrics.items():
        match key.split("/", 3):
            case ["test", "baselines", baseline, rest]:
                yield f"{baseline}{_BASELINE}" if baseline == model else baseline, rest, value
            case ["test", *rest] if rest[:1] not in (["baselines"], ["parts"]):
                yield model, "/".join(rest), value
            case ["known", *rest]:
                yield f"{model} (users known)", "/".join(rest), value
