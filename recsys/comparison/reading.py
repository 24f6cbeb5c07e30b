"""Which run folders are meant, whether they may be compared, and which are seeds of one another."""

import glob
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from recsys.comparison.units import UnitTable
from recsys.errors import ConfigError
from recsys.runs.folder import RunFolder
from recsys.runs.record import RunRecord
from recsys.stored_files import readable

# settings of the evaluation that change no number of the model itself
NO_PROTOCOL = ("baselines", "block_mb", "exposure_column", "segment_column")
# settings that came later, and what runs did that have none of them
ADDED = {"unknown_items": "leave_out", "split.truth": "period"}
# settings that change no number at all: names, the seed (told apart on its own), what is logged
NO_RECIPE = ("seed", "choices", "logger", "hydra")


@dataclass(frozen=True)
class Run:
    """A finished run, as read from its folder.

    Attributes:
        folder: as it was named.
        config: config.yaml.
        record: run.json.
        metrics: metrics.json, flat.
        units: describes the table of its test.
    """

    folder: Path
    config: dict[str, Any]
    record: RunRecord
    metrics: dict[str, float]
    units: UnitTable

    @property
    def model(self) -> str:
        """Name of the model that was configured."""
        return self.record.model

    @property
    def seed(self) -> int:
        """What the run was seeded with."""
        return int(self.config["seed"])

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.record.task

    @property
    def train_seconds(self) -> float | None:
        """Seconds of training, None where the model is closed-form."""
        return self.metrics.get("train/seconds")

    @property
    def evaluation_seconds(self) -> float | None:
        """Seconds of evaluation."""
        return self.metrics.get("evaluation/seconds")

    @property
    def peak_memory_mb(self) -> float | None:
        """Highest memory of the process, None where it was not recorded."""
        return self.record.peak_memory_mb

    @cached_property
    def table(self) -> pd.DataFrame:
        """What the test was worth, customer by customer or series by series."""
        # pyarrow's threads may outlive a short program and abort it (apache/arrow#34314, #50482)
        with readable(self.folder / self.units.file):
            return pd.read_parquet(self.folder / self.units.file, use_threads=False)

    @cached_property
    def recipe(self) -> str:
        """What was trained and how, whatever the seed."""
        return json.dumps(self.settings, sort_keys=True, default=str)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The recipe by dotted key; what is null is as if not set."""
        return {key: value for key, value in flat(_recipe(self.config)) if value is not None}


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard: runs that differ in nothing but the seed.

    Attributes:
        name: unique among the rows.
        runs: in order of their seeds.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> list[int]:
        """One a run."""
        return [run.seed for run in self.runs]

    def mean(self, read: Callable[[Run], float | None]) -> float | None:
        """Mean over the runs of a number, None where one lacks it."""
        values = [read(run) for run in self.runs]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None


def find_runs(text: str) -> list[Path]:
    """Run folders that a list names, in its order, each once.

    Args:
        text: "[A,B,…]" or "A,B,…": run folders, folders of run folders (by name), or patterns with
            * and ?.

    Raises:
        ConfigError: an entry leads to no run.
    """
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    names = [name.strip().strip("'\"") for name in inner.split(",")]
    found: dict[Path, Path] = {}
    for name in filter(None, names):
        paths = [Path(name)] if Path(name).exists() else sorted(map(Path, glob.glob(name)))
        runs = [run for path in paths for run in _runs_below(path)]
        if not runs:
            raise ConfigError(
                f"runs= names {name}, which is neither a run folder nor holds one; recsys train"
                " prints the folder it wrote"
            )
        for run in runs:
            found.setdefault(run.resolve(), run)
    if not found:
        raise ConfigError("runs= is empty; write runs=[FOLDER,FOLDER,…]")
    return list(found.values())


def read_runs(folders: Sequence[Path], units_of: Callable[[RunFolder], UnitTable]) -> list[Run]:
    """Reads what comparing needs, and refuses what cannot be compared at all.

    Args:
        folders: of runs.
        units_of: describes the table of a run's test.

    Raises:
        ConfigError: a run has not finished, was not tested, or is too old to tell its data and
            split.
    """
    runs = []
    for folder in folders:
        stored = RunFolder.open(folder)
        stored.require_finished()
        record = RunRecord.read(stored) or RunRecord()
        for key in ("data_fingerprint", "split_fingerprint"):
            if not getattr(record, key):
                raise ConfigError(
                    f"{folder} has no {key} in its run.json, so nothing tells what it was tested"
                    " on; train it again with this version"
                )
        units = units_of(stored)
        run = Run(folder, stored.read_config(), record, stored.read_json("metrics.json"), units)
        if not (folder / units.file).is_file():
            raise ConfigError(
                f"{folder} has no {units.file}: it was not tested, so there is nothing to"
                " compare; train with an evaluation that tests"
            )
        runs.append(run)
    return runs


def require_comparable(runs: Sequence[Run]) -> None:
    """Refuses runs that were not tested on the same cases of the same data.

    Another seed may draw another validation part (evaluation=presplit); such runs are comparable
    where what was fitted and tested is the same.

    Raises:
        ConfigError: names two runs and the first thing that differs.
    """
    first = runs[0]
    for other in runs[1:]:
        if first.units != other.units:
            _refuse(first, other, f"they are runs of the tasks {first.task} and {other.task}")
        if first.record.data_fingerprint != other.record.data_fingerprint:
            prints = (run.record.data_fingerprint for run in (first, other))
            _refuse(first, other, f"their data differ (fingerprints {' and '.join(prints)})")
        mine, its = (dict(_protocol(run.config)) for run in (first, other))
        for key in mine | its:
            if mine.get(key) != its.get(key):
                found = " and ".join(_shown(settings, key) for settings in (mine, its))
                _refuse(first, other, f"they differ in evaluation.{key} ({found})")
        if first.record.split_fingerprint == other.record.split_fingerprint:
            continue
        of_test = first.units.test_fingerprint
        if first.seed == other.seed or of_test is None:
            prints = (run.record.split_fingerprint for run in (first, other))
            _refuse(first, other, f"their splits differ (fingerprints {' and '.join(prints)})")
        if of_test(first.folder, first.table) != of_test(other.folder, other.table):
            _refuse(
                first,
                other,
                f"this split depends on the seed, and seeds {first.seed} and {other.seed} drew"
                " other test parts",
            )


def group_seeds(runs: Sequence[Run]) -> tuple[list[Entry], list[str]]:
    """Makes one row of the runs that differ in the seed only.

    Of runs that agree in the seed as well the one that finished last stays.

    Returns:
        Rows in the order of their first runs, and a sentence for each run left out.
    """
    recipes: dict[str, dict[int, Run]] = {}
    notes = []
    for run in sorted(runs, key=lambda run: run.record.finished or ""):
        seeds = recipes.setdefault(run.recipe, {})
        if run.seed in seeds:
            notes.append(
                f"left out {seeds[run.seed].folder}, which {run.folder} repeats, seed and all"
            )
        seeds[run.seed] = run
    place = {run.folder: position for position, run in enumerate(runs)}
    groups = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in recipes.values()]
    groups.sort(key=lambda group: min(place[run.folder] for run in group))
    return [Entry(*named) for named in zip(_names(groups), groups, strict=True)], notes


def flat(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted key; lists are values."""
    if isinstance(settings, dict) and settings:
        for key, value in settings.items():
            yield from flat(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip("."), settings


def _runs_below(path: Path) -> list[Path]:
    if (path / "config.yaml").is_file() or not path.is_dir():
        return [path] if path.is_dir() else []
    return sorted(file.parent for file in path.rglob("config.yaml"))


def _protocol(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    evaluation = config.get("evaluation") or {}
    for key, value in flat({k: v for k, v in evaluation.items() if k not in NO_PROTOCOL}):
        if key not in ADDED or value != ADDED[key]:
            yield key, value


def _refuse(first: Run, other: Run, reason: str) -> NoReturn:
    raise ConfigError(
        f"{first.folder} and {other.folder} cannot be compared: {reason}; compare runs of the same"
        " data, split and protocol, or train one of them again as the other"
    )


def _shown(settings: dict[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "not set"


def _recipe(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what changes no number; pretrained halves by their own recipe, so
    that NeuMF runs from GMF and MLP runs of several seeds are seeds of one another.
    """
    kept = {key: value for key, value in config.items() if key not in NO_RECIPE}
    evaluation = kept.get("evaluation") or {}
    kept["evaluation"] = {k: v for k, v in evaluation.items() if k not in NO_PROTOCOL}
    train = kept.get("train") or {}
    halves = dict(train.get("pretrained") or {})
    for half, folder in halves.items():
        if isinstance(folder, str) and (Path(folder) / "config.yaml").is_file():
            halves[half] = _recipe(RunFolder(Path(folder)).read_config())
    return kept | {"train": train | {"pretrained": halves}}


def _names(groups: Sequence[tuple[Run, ...]]) -> list[str]:
    """The model; where several rows share it, with the settings that tell them apart, or with the
    folder where those are many.
    """
    names = []
    for group in groups:
        run = group[0]
        rivals = [other[0].settings for other in groups if other[0].model == run.model]
        keys = dict.fromkeys(key for found in rivals for key in found)
        told = [key for key in keys if len({str(found.get(key)) for found in rivals}) > 1]
        words = ", ".join(f"{key.rpartition('.')[2]}={_shown(run.settings, key)}" for key in told)
        if len(told) > 3 or len(words) > 40:
            words = run.folder.name
        names.append(f"{run.model} ({words})" if words else run.model)
    return [
        name if names.count(name) == 1 else f"{name}, {group[0].folder}"
        for name, group in zip(names, groups, strict=True)
    ]
