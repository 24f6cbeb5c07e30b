"""The model beside its baselines, as a table."""

from collections.abc import Sequence

import pandas as pd

SHOWN = ("ndcg", "recall", "hit_rate")


def cutoff(ks: Sequence[int]) -> int:
    """The k to show: 10 where it was measured, else the first."""
    return 10 if 10 in ks or not ks else ks[0]


def leaderboard(
    metrics: dict[str, float], model: str, ks: Sequence[int], shown: Sequence[str] = SHOWN
) -> pd.DataFrame:
    """One row a model, best first; columns "new ndcg@10" and so on, at the k of `cutoff`.

    A baseline of the model's own name is called "NAME (baseline)": its settings may differ.

    Args:
        metrics: flat, "test/VIEW/METRIC@K" and "test/baselines/NAME/VIEW/METRIC@K".
        model: what to call the model's row.
        ks: cut-offs measured.
        shown: names of metrics, the first of which decides the order.
    """
    k = cutoff(ks)
    rows: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        match key.split("/"):
            case ["test", "baselines", baseline, view, metric]:
                name = f"{baseline} (baseline)" if baseline == model else baseline
            case ["test", view, metric]:
                name = model
            case _:
                continue
        if metric in [f"{wanted}@{k}" for wanted in shown]:
            rows.setdefault(name, {})[f"{view} {metric}"] = value
    table = pd.DataFrame.from_dict(rows, orient="index")
    if table.empty:
        return table
    views = list(dict.fromkeys(column.split(" ")[0] for column in table.columns))
    order = [f"{view} {wanted}@{k}" for view in views for wanted in shown]
    return table.reindex(columns=order).sort_values(order[0], ascending=False, kind="stable")
