"""Random values of every argument of the commands that read runs and bundles.

`commands(number, seed)` draws arguments; they are for the folder that `damaged_files.Shelf` fills.
"""

import random
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from damaged_files import FORECAST, RECOMMEND
from random_settings import NUMBERS, OTHERS, Command

from recsys.cli.compare import CompareArguments
from recsys.cli.export import ExportArguments
from recsys.cli.runs import ListArguments
from recsys.cli.sweep import SweepArguments
from recsys.inference.commands import ForecastArguments, RecommendArguments

SWEEP = [
    "sweep",
    "sweep=space.yaml",
    "data=transactions",
    "evaluation.min_buyers=1",
    "data.path=shop.csv",
    "trials=1",
    "test=false",
]
COMMANDS: list[tuple[list[str], type[Any] | None]] = [
    ([*RECOMMEND, "users=user.csv"], RecommendArguments),
    ([*FORECAST, "history=series.csv"], ForecastArguments),
    (["export", "run=run", "name=again", "folder=."], ExportArguments),
    (["compare", "runs=[run,run2]", "output=again"], CompareArguments),
    (["runs", "runs=[run,run2]", "output=out.csv"], ListArguments),
    ([*SWEEP, "output=again"], SweepArguments),
    (["verify", "bundle"], None),
    (["train", "rerun=run", "hydra.run.dir=new"], None),
    (["train", "train.resume=stopped"], None),
]
# a trial is trained in a process of its own, which takes seconds
OFTEN = [6, 6, 4, 6, 6, 1, 1, 1, 1]
VALUES = [
    *NUMBERS,
    *OTHERS,
    *["user.csv", "bundle", "bundle3", "run", "[run,run2]", "run/config.yaml", "seen", "none"],
    *["2024-01-31T18:00", "%d/%m/%Y", "comma", "semicolon", "out.csv", "out.txt", "sqlite:///a"],
    *["popularity", "mf", "finished", "new/ndcg@10", "test/all/ndcg@10", "-started", "space.yaml"],
    *["random", "grid", "hyperband", "timestamp", "item_id"],
]


def commands(number: int, seed: int) -> Iterator[Command]:
    """Draws arguments of `recsys`, and the keys or values of which an error names one."""
    draw = random.Random(seed)
    for _ in range(number):
        usual, declared = draw.choices(COMMANDS, OFTEN)[0]
        arguments, drawn = list(usual), []
        for _ in range(1 if declared is None else draw.choice([1, 1, 1, 2])):
            value = draw.choice(VALUES)
            if declared is None:
                arguments.append(draw.choice([value, f"seed={value}", f"+{value}"]))
                drawn.append(value)
                continue
            key = draw.choice([each.name for each in fields(declared)])
            if key == "columns":
                key += draw.choice(
                    ["", ".", ".user_id", ".series_id", ".y", ".history", ".users.a"]
                )
            # of what is given already, the drawn value is taken
            arguments = [each for each in arguments if not each.startswith(f"{key}=")]
            arguments.append(f"{key}={value}")
            drawn += [key, value]
        yield Command(arguments, drawn)
