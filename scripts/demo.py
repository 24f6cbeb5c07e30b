"""The whole product on real data: train, judge, export, recommend.

python scripts/demo.py [overrides of the training]
"""

import sys
import time
from pathlib import Path

from rich.console import Console

from recsys.composition import compose
from recsys.errors import UserError
from recsys.experiment import export_run, run_experiment
from recsys.inference import Recommender, verify
from recsys.runs import RunFolder

BUNDLE = Path("exported/demo-recommender")


def main() -> int:
    """Returns the exit code."""
    console = Console(highlight=False)
    start = time.perf_counter()
    try:
        config = compose(["experiment=demo", *sys.argv[1:]])
        console.rule("1  train and judge")
        folder = run_experiment(config, Path("runs/demo") / time.strftime("%Y-%m-%d_%H-%M-%S"))
        console.rule("2  export, and prove that the bundle answers as torch does")
        export_run(folder, BUNDLE, include_seen=True)
        verify(BUNDLE)
        console.rule("3  recommend, with numpy and ONNX Runtime alone")
        _recommend(RunFolder(folder), console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.rule()
    console.print(f"report   {folder / 'report.html'}")
    console.print(f"bundle   {BUNDLE}")
    console.print(f"run      {folder}")
    console.print(f"took     {time.perf_counter() - start:.0f} s")
    return 0


def _recommend(run: RunFolder, console: Console) -> None:
    names = run.read_json("items.json")
    customer = run.read_json("examples.json")[2]
    console.print(f"household {customer['user_id']} lately bought")
    for item in customer["history"][:5]:
        console.print(f"     {item['name']}")
    console.print("and has never bought, but may like")
    items, scores = Recommender(BUNDLE).recommend([customer["user_id"]], k=5, exclude="seen")
    for rank, (item, score) in enumerate(zip(items[0], scores[0], strict=True), start=1):
        console.print(f"  {rank}. {names.get(str(item), item)}  (item {item}, score {score:.2f})")


if __name__ == "__main__":
    sys.exit(main())
