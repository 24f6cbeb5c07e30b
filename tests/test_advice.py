"""What an error tells people to do can be done: every key and every name of a group in the texts of
the project exists, and every value that they give is accepted.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from pytorch_lightning import Trainer

import recsys
from recsys.config.composition import CONF, compose
from recsys.errors import ConfigError
from recsys.tasks.lifecycle import run_training

GROUPS = tuple(sorted(folder.name for folder in CONF.iterdir() if folder.is_dir()))
# a placeholder of an f-string
GAP = "{}"
KEY = re.compile(rf"(?<![\w/.~-])\+?((?:{'|'.join(GROUPS)}|train)(?:\.(?:[a-z_]+|{GAP}))+)")
VALUE = re.compile(
    rf"(?<![\w/.~-])((?:{'|'.join(GROUPS)}|train|seed)(?:\.[a-z_]+)*)=([\w.-]+|\[\])"
)
FILES = (".onnx", ".csv", ".parquet", ".npz", ".json")
# of the command line itself, or of Hydra
BESIDE = {"train.resume", "hydra.run.dir"}
BASES = [
    *[["data=transactions", f"model={name}"] for name in ("neumf", "ease", "ials", "content")],
    ["data=transactions", "model=sasrec"],
    ["data=transactions", "model=blend", "model.parts=[ease,ials]"],
    ["data=transactions", "model=deepfm"],
    *[["data=transactions", "model=next_purchase", f"loss={name}"] for name in ("next_purchases",)],
    *[["data=transactions", f"loss={name}"] for name in ("weighted_squares", "sampled_softmax")],
    *[["data=transactions", f"evaluation={name}"] for name in ("unseen_users", "presplit")],
    ["data=transactions", "logger=wandb", "task=recommendation"],
    ["data=presplit", "data.train_path=x.csv", "data.test_path=y.csv"],
    *[["data=sales", "data.step=day", f"model={n}"] for n in ("moving_average", "lstm_ensemble")],
    ["data=sales", "data.step=day", "model=lstm"],
    ["data=transactions_sales"],
    *[[f"data={name}"] for name in ("complete_journey_sales", "m4_hourly", "movielens_100k")],
]


class Text(NamedTuple):
    """A text of the project, with where it stands."""

    place: str
    words: str


def texts() -> Iterator[Text]:
    """Every text of more than a word that is no docstring, with a gap for each placeholder."""
    root = Path(recsys.__file__).parent
    for file in sorted(root.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) not in inner and " " in (words := _words(node)):
                yield Text(f"{file.relative_to(root)}:{node.lineno}", words)  # type: ignore[attr-defined]


def _words(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        parts = (each.value if isinstance(each, ast.Constant) else GAP for each in node.values)
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def known() -> dict[str, list[str]]:
    """Key of a composed configuration to overrides that compose one which has it."""
    found: dict[str, list[str]] = {}
    for base in BASES:
        path = ["data.path=x.csv"] if base[0].endswith(("transactions", "sales", "_sales")) else []
        path = path if base[0] != "data=complete_journey_sales" else []
        for key in _keys("", compose([*base, *path]).plain):
            found.setdefault(key, [*base, *path])
    for name in signature(Trainer).parameters:
        found.setdefault(f"trainer.{name}", [])
    return found


def _keys(prefix: str, plain: Any) -> Iterator[str]:
    for name, value in plain.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(f"{prefix}{name}.", value)


def advised() -> list[tuple[Text, str]]:
    return [
        (text, key)
        for text in texts()
        for key in KEY.findall(text.words)
        if not key.endswith(FILES) and key not in BESIDE
    ]


def test_every_key_that_a_text_names_is_a_setting():
    wanting = []
    for text, key in advised():
        pattern = re.compile(re.escape(key).replace(re.escape(GAP), r"[a-z_.]+"))
        # a mapping that has no keys of its own takes any
        open_ended = key.rpartition(".")[0] in (
            "data.kinds",
            "data.users.kinds",
            "data.items.kinds",
        )
        if not open_ended and not any(pattern.fullmatch(each) for each in known()):
            wanting.append(f"{text.place}: {key} in {text.words!r}")
    assert not wanting, "\n".join(wanting)
    assert len(advised()) > 80  # the texts are found at all


def test_every_name_and_value_that_a_text_gives_is_accepted():
    wanting, tried = [], 0
    for text in texts():
        for key, value in VALUE.findall(text.words):
            value = value.rstrip(".")
            group = key in GROUPS
            if not value or key in BESIDE or (not group and key not in known()):
                continue
            # NAME, FOLDER and the like stand for what the reader chooses
            if value.isupper() or value == "NAME":
                continue
            tried += 1
            if group:
                if value != "null" and not (CONF / key / f"{value}.yaml").is_file():
                    wanting.append(f"{text.place}: {key}={value} in {text.words!r}")
                continue
            try:
                compose([*known()[key], f"{key}={value}"])
            except ConfigError as error:
                wanting.append(f"{text.place}: {key}={value} in {text.words!r}: {error}")
    assert not wanting, "\n".join(wanting)
    assert tried > 30


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of two shops, whose column has a blank in its name; overrides that sum them by shop."""
    monkeypatch.chdir(tmp_path)
    days = pd.date_range("2024-03-01", periods=30, freq="D")
    frame = pd.DataFrame(
        {
            "item_id": "tea",
            "timestamp": np.repeat(days, 2),
            "quantity": np.arange(60) % 7 + 1,
            "Branch No": ["north", "south"] * 30,
        }
    )
    frame.to_csv("lines.csv", index=False)
    return [
        *["data=transactions_sales", "data.path=lines.csv", "data.series=[branch]"],
        *["model=seasonal_naive", "evaluation.split.horizon=4", "evaluation.split.windows=1"],
        *["evaluation.split.validation_windows=1", "logger=none"],
    ]


def test_a_column_of_a_series_is_renamed_as_the_error_says(shop, tmp_path):
    with pytest.raises(ValueError, match=r"column 'branch' is not in lines.csv") as caught:
        run_training(compose(shop), tmp_path / "before")
    advice = re.search(r"set (\S+)", str(caught.value))[1]
    assert advice == "data.columns.branch"
    folder = run_training(compose([*shop, f"{advice}=Branch No"]), tmp_path / "after")
    assert {"north", "south"} == set(pd.read_parquet(folder / "per_series.parquet")["series_id"])


def test_a_covariate_is_renamed_as_the_error_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = pd.date_range("2024-03-01", periods=30, freq="D")
    frame = pd.DataFrame({"series_id": "tea", "timestamp": days, "y": range(30), "Price cut": 1})
    frame.to_csv("sales.csv", index=False)
    overrides = [
        *["data=sales", "data.path=sales.csv", "data.step=day", "data.covariates=[cut]"],
        *["model=seasonal_naive", "evaluation.split.horizon=4", "evaluation.split.windows=1"],
        *["evaluation.split.validation_windows=1", "logger=none"],
    ]
    with pytest.raises(ValueError, match=r"set data\.columns\.cut"):
        run_training(compose(overrides), tmp_path / "before")
    run_training(compose([*overrides, "data.columns.cut=Price cut"]), tmp_path / "after")


def test_a_further_column_that_nothing_else_names_is_renamed_as_the_error_says():
    base = ["data=transactions", "data.path=x.csv"]
    with pytest.raises(ConfigError, match=r"write \+data\.columns\.channel=…"):
        compose([*base, "data.columns.channel=Sales channel"])
    settings = compose([*base, "+data.columns.channel=Sales channel"])
    assert settings.data.arguments["columns"]["channel"] == "Sales channel"
