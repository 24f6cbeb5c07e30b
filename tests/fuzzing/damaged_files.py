"""Files of a tiny shop, its runs, bundles and sweep, each damaged in one place.

`Shelf(folder)` makes them once, `commands(number, seed)` draws what to damage and what to run.
"""

import gzip
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import yaml
from commands import run
from random_settings import write_tables

SHOP = ["data=transactions", "model=popularity", "evaluation.min_buyers=1"]
NETWORK = ["model=mf", "loss=bpr", "train.max_epochs=1", "trainer.enable_progress_bar=false"]
SERIES = [
    *["data=sales", "data.step=day", "model=seasonal_naive", "evaluation.split.horizon=3"],
    *["evaluation.split.windows=1", "evaluation.split.validation_windows=1"],
]
PARTS = ["data=presplit", "data.train_path=train.csv", "model=popularity"]
LSTM = [
    *["model=lstm", "model.hidden_size=4", "model.context_length=7", "train.max_epochs=1"],
    *["loss.batches=1", "trainer.enable_progress_bar=false"],
]
QUIET = ["logger=none", "hydra.run.dir=new"]
RECOMMEND = ["recommend", "bundle=bundle", "output=out.csv", "exclude=seen"]
FORECAST = ["forecast", "bundle=bundle3", "output=out.csv"]
# an error names one of them, or a key, where it does not name the file
COLUMNS = ("user_id", "item_id", "timestamp", "quantity", "series_id", "town", "y", "data.")
# what reads a table
READERS = {
    "shop": [["train", *SHOP, "data.path={}", *QUIET]],
    "series": [["train", *SERIES, "data.path={}", *QUIET], [*FORECAST, "history={}"]],
    "attributes": [["train", *SHOP, "data.path=shop.csv", "data.users.path={}", *QUIET]],
    "test": [["train", *PARTS, "data.test_path={}", *QUIET]],
    "user": [[*RECOMMEND, "users={}"]],
}
# what reads a folder, or a file
OWNERS = {
    "bundle": [["verify", "bundle"], [*RECOMMEND, "users=user.csv"]],
    "bundle3": [["verify", "bundle3"], [*FORECAST, "history=series.csv"]],
    "run": [
        ["export", "run=run", "name=again", "folder=."],
        ["train", "rerun=run", "hydra.run.dir=new"],
        ["compare", "runs=[run,run2]", "output=again"],
        ["runs", "runs=[run,run2]"],
    ],
    "run3": [["export", "run=run3", "name=again", "folder=."]],
    "stopped": [["train", "train.resume=stopped"]],
    "searched": [["sweep", "resume=searched", "trials=1", "test=false"]],
    "space.yaml": [["sweep", "sweep=space.yaml", *SHOP, "output=again", "data.path=nowhere.csv"]],
}
CELLS = [
    "",
    "x",
    "-1",
    "1e308",
    "999999999999999999999999",
    "nan",
    "2199-01-01",
    '"',
    "\0",
    ";",
    "ü",
]
# an export of an LSTM and a trial of a sweep take seconds
OFTEN = {"bundle": 6, "bundle3": 6, "run": 12, "stopped": 4, "space.yaml": 3}


class Command(NamedTuple):
    """Arguments of `recsys`, the file that is damaged, and how."""

    arguments: list[str]
    file: Path
    damage: str


class Shelf:
    """What a shop keeps, in a folder: tables, runs, bundles and a space of a sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_tables(folder)
        (folder / "user.csv").write_text("user_id,history\nu1,i1 i2\nu2,\nnobody,i3\n")
        for name in READERS:
            table = pyarrow.csv.read_csv(folder / f"{name}.csv")
            pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
            whole = (folder / f"{name}.csv").read_bytes()
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(whole))
        (folder / "space.yaml").write_text(
            "overrides: [model=ease]\nspace:\n  model.regularization: {low: 1.0, high: 9.0}\n"
        )
        shop = ["data=transactions", "data.path=shop.csv", "evaluation.min_buyers=1"]
        series = [*SERIES, "data.path=series.csv"]
        self._make("train", *shop, *NETWORK, "logger=none", "hydra.run.dir=run")
        self._make("train", *shop, *NETWORK, "seed=2", "logger=none", "hydra.run.dir=run2")
        self._make("train", *series, *LSTM, "logger=none", "hydra.run.dir=run3")
        self._make("export", "run=run", "name=bundle", "folder=.", "seen=true")
        self._make("export", "run=run3", "name=bundle3", "folder=.")
        sweep = ["sweep=space.yaml", "trials=1", "test=false", "output=searched"]
        self._make("sweep", *sweep, *shop, "logger=none")
        # as if it had been killed before its test
        shutil.copytree(folder / "run2", folder / "stopped")
        for name in ("metrics.json", "report.html", "checkpoints/test/finished.json"):
            (folder / "stopped" / name).unlink()

    def _make(self, *arguments: str) -> None:
        ending = run(arguments)
        assert ending.code == 0, ending

    def commands(self, number: int, seed: int) -> Iterator[Command]:
        """Damages a file, gives the command that meets it, and puts the file back."""
        draw = random.Random(seed)
        for _ in range(number):
            file, arguments = self._meet(draw)
            owner = Path(file.parts[0])
            if owner.is_dir():
                shutil.copytree(owner, "whole")
            else:
                shutil.copy(owner, "whole")
            yield Command(arguments, file, _damage(draw, file))
            remove_all(owner)
            Path("whole").rename(owner)
            for made in ("new", "again", "out.csv"):
                remove_all(Path(made))

    def _meet(self, draw: random.Random) -> tuple[Path, list[str]]:
        """A file, and a command that reads it."""
        if draw.random() < 0.5:
            name = draw.choice(["shop", "shop", "series", "series", "attributes", "test", "user"])
            file = Path(f"{name}{draw.choice(['.csv', '.csv', '.parquet', '.csv.gz'])}")
            return file, [each.replace("{}", str(file)) for each in draw.choice(READERS[name])]
        folder = draw.choices(list(OWNERS), [OFTEN.get(owner, 1) for owner in OWNERS])[0]
        files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
        return draw.choice(files or [Path(folder)]), draw.choice(OWNERS[folder])


def remove_all(path: Path) -> None:
    """Removes a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _damage(draw: random.Random, file: Path) -> str:
    """Damages a file in place; says how."""
    ways: list[Callable[[random.Random, Path], None]] = [
        *[_truncate, _flip, _zeros, _empty, _noise, _other, _remove, _folder],
        *{".csv": [_cell, _cell, _cell, _lines, _column, _column, _quote, _wide]}.get(
            file.suffix, []
        ),
        *{".parquet": [_retype, _retype, _column]}.get(file.suffix, []),
        *{".json": [_json], ".yaml": [_yaml], ".npz": [_arrays]}.get(file.suffix, []),
    ]
    way = draw.choice(ways) if file.stat().st_size else _noise
    way(draw, file)
    return way.__name__.strip("_")


def _truncate(draw: random.Random, file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: draw.randrange(len(whole))])


def _flip(draw: random.Random, file: Path) -> None:
    whole = bytearray(file.read_bytes())
    for _ in range(draw.choice([1, 3, 30])):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    file.write_bytes(whole)


def _zeros(draw: random.Random, file: Path) -> None:
    whole = bytearray(file.read_bytes())
    at = draw.randrange(len(whole))
    whole[at : at + 8] = bytes(8)
    file.write_bytes(whole)


def _empty(draw: random.Random, file: Path) -> None:
    file.write_bytes(b"")


def _noise(draw: random.Random, file: Path) -> None:
    file.write_bytes(draw.randbytes(200))


def _other(draw: random.Random, file: Path) -> None:
    """What another ending would hold."""
    others = ["shop.csv", "shop.parquet", "shop.csv.gz", "bundle/manifest.json", "run/config.yaml"]
    file.write_bytes(Path(draw.choice([each for each in others if each != str(file)])).read_bytes())


def _remove(draw: random.Random, file: Path) -> None:
    file.unlink()


def _folder(draw: random.Random, file: Path) -> None:
    file.unlink()
    file.mkdir()


def _rows(file: Path) -> list[list[str]]:
    return [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]


def _write(file: Path, rows: Sequence[Sequence[str]]) -> None:
    file.write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")


def _cell(draw: random.Random, file: Path) -> None:
    rows = _rows(file)
    column, value = draw.randrange(len(rows[0])), draw.choice(CELLS)
    for row in draw.choice([rows[1:], draw.sample(rows, 2), rows[-1:], rows[:1]]):
        row[column] = value
    _write(file, rows)


def _lines(draw: random.Random, file: Path) -> None:
    rows = _rows(file)
    _write(file, draw.choice([rows[1:], rows[:1], rows[:2], rows[:3], rows[::-1], [*rows, *rows]]))


def _column(draw: random.Random, file: Path) -> None:
    """Renames, drops or repeats one."""
    if file.suffix == ".parquet":
        table = pyarrow.parquet.read_table(file)
        which = draw.randrange(table.num_columns)
        if draw.random() < 0.5:
            table = table.remove_column(which)
        else:
            table = table.rename_columns(
                [
                    draw.choice(["", " ", "y"]) if n == which else c
                    for n, c in enumerate(table.column_names)
                ]
            )
        pyarrow.parquet.write_table(table, file)
        return
    rows = _rows(file)
    which = draw.randrange(len(rows[0]))
    way = draw.randrange(3)
    if way == 0:
        rows[0][which] = draw.choice(["", " ", "y", rows[0][0], f" {rows[0][which]}"])
    for row in rows if way else []:
        row[which:] = row[which + 1 :] if way == 1 else [row[which], *row[which:]]
    _write(file, rows)


def _quote(draw: random.Random, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    at = draw.randrange(len(text))
    file.write_text(text[:at] + draw.choice(['"', '""', "'", "\r", "\n", ",", "\t"]) + text[at:])


def _wide(draw: random.Random, file: Path) -> None:
    file.write_bytes(file.read_text(encoding="utf-8").encode(draw.choice(["utf-16", "utf-32"])))


def _retype(draw: random.Random, file: Path) -> None:
    """Another type of one column."""
    table = pyarrow.parquet.read_table(file)
    which, size = draw.randrange(table.num_columns), table.num_rows
    values = draw.choice(
        [
            pa.nulls(size),
            pa.array([[1, 2]] * size),
            pa.array([{"a": 1}] * size),
            pa.array([b"\xff\x00"] * size),
            pa.array([True] * size),
            pa.array([float("inf")] * size),
            pa.array(range(size)),
            pa.array([2**63 - 1] * size),
            pa.array(["x"] * size).dictionary_encode(),
            pa.array([5] * size, pa.duration("s")),
            pa.array([5] * size, pa.time32("s")),
            pa.array([2**62] * size, pa.timestamp("us")),
        ]
    )
    name = table.column_names[which]
    pyarrow.parquet.write_table(table.set_column(which, name, values), file)


def _json(draw: random.Random, file: Path) -> None:
    file.write_text(json.dumps(_changed(draw, json.loads(file.read_text(encoding="utf-8")))))


def _yaml(draw: random.Random, file: Path) -> None:
    content = _changed(draw, yaml.safe_load(file.read_text(encoding="utf-8")))
    file.write_text(yaml.safe_dump(content))


def _changed(draw: random.Random, content: Any) -> Any:
    """Plain values of which one, somewhere, is gone or of another type."""
    if isinstance(content, dict) and content and draw.random() < 0.85:
        key = draw.choice(list(content))
        if draw.random() < 0.3:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: _changed(draw, content[key])}
    return draw.choice([None, -1, 0, 1e308, "x", [], {}, [None], {"a": 1}, True])


def _arrays(draw: random.Random, file: Path) -> None:
    with np.load(file, allow_pickle=True) as stored:
        arrays = dict(stored)
    name = draw.choice(list(arrays))
    changed = draw.choice(
        [
            lambda a: a[: len(a) // 2],
            lambda a: a.astype("U4"),
            lambda a: np.zeros((2, 3)),
            lambda a: np.full_like(a, "zz" if a.dtype.kind in "UO" else 2**30),
            lambda a: np.array([{"a": 1}], dtype=object),
            None,
        ]
    )
    if changed is None:
        del arrays[name]
    else:
        arrays[name] = changed(arrays[name])
    into = io.BytesIO()
    np.savez_compressed(into, **arrays)
    file.write_bytes(into.getvalue())
