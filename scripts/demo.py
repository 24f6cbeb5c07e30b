"""The whole product on real data: train, judge, export, recommend, forecast.

python scripts/demo.py
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from recsys.bundle.item_columns import ITEM_COLUMNS, read_item_columns
from recsys.config.composition import compose
from recsys.errors import UserError
from recsys.inference import Forecaster, Recommender, Rules, verify
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import export_run, run_training

RECOMMENDER = Path("exported/demo-recommender")
FORECASTER = Path("exported/demo-forecaster")


def main() -> int:
    """Returns the exit code."""
    console = Console(highlight=False)
    start = time.perf_counter()
    runs = Path("runs/demo") / time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        console.rule("1  what will each household buy next? train and judge")
        buying = RunFolder(run_training(compose(["experiment=demo"]), runs / "recommender"))
        console.rule("2  how much will be sold? train and judge")
        sales = RunFolder(run_training(compose(["experiment=demo_sales"]), runs / "forecaster"))
        console.rule("3  export, and prove that the bundles answer as torch does")
        for run, bundle in ((buying, RECOMMENDER), (sales, FORECASTER)):
            buys = bundle == RECOMMENDER
            export_run(run.path, bundle, include_seen=buys, because=buys)
            verify(bundle)
            console.print(f"verified {bundle}")
        console.rule("4  recommend and forecast, with numpy and ONNX Runtime alone")
        _recommend(buying, console)
        _forecast(sales, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.rule()
    console.print(f"reports  {buying.path / 'report.html'}")
    console.print(f"         {sales.path / 'report.html'}")
    console.print(f"bundles  {RECOMMENDER}  {FORECASTER}")
    console.print(f"took     {time.perf_counter() - start:.0f} s")
    return 0


def _recommend(run: RunFolder, console: Console) -> None:
    names = run.read_json("items.json")
    customer = run.read_json("examples.json")[2]
    household = customer["user_id"]
    console.print(f"household {household} lately bought")
    for item in customer["history"][:5]:
        console.print(f"     {item['name']}")
    recommender, kinds = Recommender(RECOMMENDER), _bought_kinds(run, household)
    at_most_two = {"product_category": 2}
    for said, rules in (
        (
            "may like, of kinds that it has not bought, at most two of a category",
            Rules(max_per_category=at_most_two, forbid={"product_type": kinds}),
        ),
        (
            "may like, of kinds that it buys, though not yet these",
            Rules(max_per_category=at_most_two, require={"product_type": kinds}),
        ),
    ):
        console.print(said)
        items, scores = recommender.recommend([household], k=4, exclude="seen", rules=rules)
        reasons = recommender.reasons([household], items, top=2).sentences()
        listed = zip(items[0], scores[0], reasons[0], strict=True)
        for rank, (item, score, because) in enumerate(listed, start=1):
            console.print(f"  {rank}. {names.get(item, item)}  (item {item}, score {score:.2f})")
            console.print(f"     {because}")


def _bought_kinds(run: RunFolder, user_id: str) -> set[str]:
    """Types of product that a household has ever bought."""
    vocabulary, history = run.read_vocabulary(), run.read_history()
    user = torch.tensor([vocabulary.user_ids.tolist().index(user_id)])
    bought = history.take(user)[1].numpy()
    path = RECOMMENDER / ITEM_COLUMNS
    _, columns = read_item_columns(path.read_bytes(), path)
    kind = columns["product_type"]
    assert kind.offsets is not None
    assert kind.terms is not None
    known = bought[np.diff(kind.offsets)[bought] > 0]
    return set(kind.terms[kind.values[kind.offsets[known]]].tolist())


def _forecast(run: RunFolder, console: Console) -> None:
    """The first week of the last window, which the model has not seen, beside what was sold."""
    windows = run.read_arrays("windows.npz")
    largest = int(np.nansum(windows["history"][:, -28:], axis=1).argmax())
    series_id = run.read_json("series.json")[windows["series"][largest]]
    chosen = {name: values[[largest]] for name, values in windows.items() if name != "series"}
    forecaster = Forecaster(FORECASTER)
    forecast = forecaster.forecast([series_id], **chosen)[0]
    days = forecaster.timestamps(chosen["start"], chosen["history"].shape[1])[0]
    sold = pd.read_parquet(run.path / "forecasts.parquet")
    sold = sold[sold["series_id"] == series_id].set_index("timestamp")["y"]
    low, middle, high = (forecaster.quantiles.index(level) for level in (0.1, 0.5, 0.9))
    console.print(f"\n{series_id.lower()}: lines a day, forecast (80 % interval) and sold")
    for day, values in zip(days[:7], forecast[:7], strict=True):
        interval = f"({values[low]:.0f} to {values[high]:.0f})"
        weekday = pd.Timestamp(day).strftime("%a %d %b")
        console.print(f"  {weekday}  {values[middle]:4.0f}  {interval:14}  {sold[day]:4.0f}")


if __name__ == "__main__":
    sys.exit(main())
