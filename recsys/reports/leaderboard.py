"""The model beside its baselines, as a table."""

import pandas as pd

SHOWN = ("ndcg", "recall", "hit_rate")


def leaderboard(metrics: dict[str, float], model: str, ks: list[int]) -> pd.DataFrame:
    """One row a model, best first; columns "new ndcg@10" and so on, at k = 10 where it was measured.

    Args:
        metrics: flat, with "test/VIEW/METRIC@K" of the model and "test/baselines/NAME/VIEW/METRIC@K".
        model: what to call the model's row.
        ks: cut-offs measured.
    """
    k = 10 if 10 in ks else ks[0]
    rows: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        parts = key.split("/")
        if parts[0] != "test":
            continue
        name, view, metric = (parts[2], parts[3], parts[4]) if parts[1] == "baselines" else (model, parts[1], parts[2])
        if metric in [f"{shown}@{k}" for shown in SHOWN]:
            rows.setdefault(name, {})[f"{view} {metric}"] = value
    table = pd.DataFrame.from_dict(rows, orient="index")
    if table.empty:
        return table
    views = list(dict.fromkeys(column.split(" ")[0] for column in table.columns))
    order = [f"{view} {shown}@{k}" for view in views for shown in SHOWN]
    return table[order].sort_values(order[0], ascending=False)
