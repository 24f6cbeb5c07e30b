"""Random settings of known keys.

`commands(number, seed)` draws overrides of the keys of composed configurations; all of them begin
with a tiny table and one epoch, so that those that are valid train.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pytorch_lightning import Trainer

from recsys.config.composition import CONF, compose

SHOP = ["data=transactions", "data.path=shop.csv", "evaluation.min_buyers=1"]
UNITS = [*SHOP, "data.columns.quantity=quantity"]
PARTS = ["data=presplit", "data.train_path=train.csv", "data.test_path=test.csv"]
SERIES = [
    *["data=sales", "data.path=series.csv", "data.step=day"],
    *["evaluation.split.horizon=3", "evaluation.split.windows=1"],
    "evaluation.split.validation_windows=1",
]
SUMMED = [
    *["data=transactions_sales", "data.path=shop.csv", "evaluation.split.horizon=3"],
    *["evaluation.split.windows=1", "evaluation.split.validation_windows=1"],
]
NETWORK = ["model.hidden_size=4", "model.context_length=7", "loss.batches=2", "loss.batch_size=4"]
BASES: list[list[str]] = [
    [*SHOP, "model=popularity"],
    [*SHOP, "model=mf", "loss=bpr"],
    [*SHOP, "model=gmf", "loss=full_softmax"],
    [*SHOP, "model=neumf", "loss=bce", "schedule=cosine"],
    [*SHOP, "model=mlp", "loss=sampled_softmax", "schedule=constant"],
    [*SHOP, "model=ease", "evaluation=leave_last_out", "evaluation.min_buyers=1"],
    [*SHOP, "model=item_knn", "evaluation=unseen_users", "evaluation.min_buyers=1"],
    [*SHOP, "model=user_knn"],
    [*SHOP, "model=ials"],
    [*SHOP, "model=autoencoder", "loss=full_softmax"],
    [*SHOP, "model=mf", "loss=weighted_squares", "optimizer=sgd"],
    [*SHOP, "model=sasrec", "loss=next_item", "model.embedding_dim=8"],
    [*UNITS, "model=next_purchase", "loss=next_purchases", "loss.horizon_days=7"],
    [*SHOP, "model=personal_top_frequency", "evaluation=none"],
    [*PARTS, "model=popularity"],
    [*PARTS, "model=mf", "loss=bce"],
    [*SERIES, "model=seasonal_naive"],
    [*SERIES, "model=moving_average", "evaluation.baselines=[seasonal_naive]"],
    [*SERIES, "model=lstm", *NETWORK],
    [*SERIES, "model=lstm", "loss=student_t", "model.distribution=student_t", *NETWORK],
    [*SUMMED, "model=weekday_mean"],
    [*SUMMED, "model=lstm", *NETWORK],
    [*SUMMED[:3], "model=seasonal_naive", "evaluation=fit_all"],
]
# of every command; callbacks and loggers write their own files
ALWAYS = ["logger=none", "train.max_epochs=1", "trainer.enable_progress_bar=false"]
SECTIONS = (
    *["seed", "allow", "train", "task", "data", "model", "loss", "evaluation", "optimizer"],
    *["schedule", "trainer", "logger", "callbacks"],
)
# a legitimate wish for a long run, which nothing can refuse: these get small numbers only
ENDLESS = {"train.max_epochs", "model.epochs", "loss.batches", "trainer.min_epochs"}
# several processes, which have tests of their own: these get no number and no name of a strategy
PROCESSES = {"trainer.devices", "trainer.num_nodes"}
NUMBERS = [
    *["-1", "0", "1", "2", "3", "7", "12", "0.5", "-0.5", "1.5", "1e-300", "nan", "inf", "-inf"],
    *["4294967296", "-9223372036854775809", "1e300"],
]
HUGE = ["1000000000", "1e12", "9223372036854775808"]
OTHERS = [
    *["true", "false", "null", "''", "' '", "ten", "[]", "[1]", "[0]", "[-1]", "[1.5]", "[null]"],
    *["[ten]", "[[1]]", "[1,1]", "[5,3]", "[0.5]", "[0.1,0.5]", "{}", "{a:1}", "{a:{b:2}}"],
    *["[{a:1}]", "'ü 漢'", "'a/b'", "'a\\\\b'", "'%s {} *'", "'${nowhere}'", "'${oc.env:NOWHERE}'"],
    *["???", "\\t", "tab", "';'", "'|'", "user_id", "[user_id]", "[quantity]", "{quantity:text}"],
    *["{quantity:number}", "day", "hour", "week", "drop", "error", "UTC", "Europe/Paris", "utf-8"],
    *["utf-16", "latin-1", "shop.csv", "series.csv", "attributes.csv", "nowhere.csv", "'.'"],
    *[
        "sqlite:///nowhere.db",
        "torch.optim.SGD",
        "recsys.models.recommenders.popularity.Popularity",
    ],
    *["val/all/recall@3", "val/wape", "val/new/ndcg", "val/nowhere@1", "[popularity]", "[ease]"],
    *["[seasonal_naive]", "[all]", "[new,all]", "[candidates]", "cpu", "auto", "quantity"],
    "month",
]


class Command(NamedTuple):
    """Overrides, and the keys that were drawn."""

    arguments: list[str]
    keys: list[str]


def write_tables(folder: Path) -> None:
    """shop.csv, train.csv, test.csv, series.csv and attributes.csv."""
    random_state, rows = np.random.default_rng(0), 120
    hours = np.sort(random_state.integers(0, 90 * 24, rows))
    shop = pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in random_state.integers(0, 8, rows)],
            "item_id": [f"i{item}" for item in random_state.integers(0, 9, rows)],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h"),
            "quantity": random_state.integers(1, 5, rows),
        }
    )
    shop.to_csv(folder / "shop.csv", index=False)
    shop[["user_id", "item_id"]].to_csv(folder / "train.csv", index=False)
    shop[["user_id", "item_id"]].head(8).to_csv(folder / "test.csv", index=False)
    days = pd.date_range("2024-01-01", periods=40, freq="D")
    series = [
        pd.DataFrame({"series_id": name, "timestamp": days, "y": random_state.integers(0, 9, 40)})
        for name in ("a", "b", "c")
    ]
    pd.concat(series).to_csv(folder / "series.csv", index=False)
    names = [f"u{user}" for user in range(8)]
    table = pd.DataFrame({"user_id": names, "town": list("abcdabcd")})
    table.to_csv(folder / "attributes.csv", index=False)


def known_keys(overrides: Sequence[str]) -> list[str]:
    """Every key of a composed configuration, sections and leaves."""
    plain = compose([*overrides, *ALWAYS]).plain
    keys = [key for name in SECTIONS for key in _keys(name, plain.get(name))]
    return [*keys, *(f"trainer.{name}" for name in signature(Trainer).parameters)]


def _keys(key: str, value: Any) -> Iterator[str]:
    yield key
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _keys(f"{key}.{name}", inner)


def commands(number: int, seed: int) -> Iterator[Command]:
    """Draws arguments of `recsys train`."""
    draw = random.Random(seed)
    keys = [known_keys(base) for base in BASES]
    everything = sorted({key for each in keys for key in each})
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(CONF.iterdir())
        # packaged and published data, which take long to read, and the experiments on them
        if folder.is_dir() and folder.name not in ("data", "experiment", "hydra", "sweep")
    }
    for _ in range(number):
        which = draw.randrange(len(BASES))
        chosen, drawn = [], []
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            kind = draw.random()
            if kind < 0.1:
                group = draw.choice(sorted(groups))
                name = draw.choice([*groups[group], "null", "nowhere"])
                chosen.append(f"{group}={name.replace('ddp', 'gpu')}")
                drawn.append(group)
                continue
            key = draw.choice(everything if kind < 0.15 else keys[which])
            numbers = NUMBERS if key in ENDLESS else NUMBERS + HUGE
            value = draw.choice(OTHERS if key in PROCESSES else draw.choice([numbers, OTHERS]))
            chosen.append(f"{draw.choice(['', '', '', '+', '++'])}{key}={value}")
            drawn.append(key)
        yield Command([*BASES[which], *ALWAYS, *chosen], drawn)
