"""The run folder: what a training leaves behind, and how others read it.

config.yaml          the composed configuration, plain
metrics.json         flat, full precision
data_report.json     rows in, dropped and why, per phase
run.json             task, model, seed, fingerprints, versions, commit, hardware, threads, memory
examples.json        a few customers or series to look at
logs/                CSV and TensorBoard, a folder a phase
checkpoints/PHASE/   last.ckpt, best.ckpt, model.safetensors; the last phase is the model
report.html          pictures
failed.txt           why a run of a multirun has ended early

of a recommender:
per_user.parquet     user_id, view, num_truth and a column a metric (test)
tradeoff.json        NDCG and diversity of lists by how much variety counts (test)
vocabulary.npz       user_ids, item_ids
inputs.npz           categories of the inputs of the model, by place
history.npz          indptr, items: what each user bought before the query, in order of time; age:
                     days from each purchase to then, where the source has timestamps
items.json           item id to a name for people, where the source has names
item_columns.npz     categories, lists and numbers of the items, where the source has such columns

of a forecaster:
per_series.parquet   series_id, window, slices and a column a metric (test)
forecasts.parquet    series_id, window, timestamp, y and a column a quantile (test)
horizon.json         metrics by step of the horizon, of the model and its baselines
series.json          series ids in the order of their indices
windows.npz          a few windows, which an export compares torch and graph on
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from recsys.bundle.item_columns import (
    ITEM_COLUMNS,
    ItemColumn,
    read_item_columns,
    write_item_columns,
)
from recsys.data.ids import Vocabulary
from recsys.data.ragged import Ragged
from recsys.errors import ConfigError
from recsys.stored_files import DAMAGED, Stored, readable, remove_empty

# files and folders of a run that are taken away again where it is refused before it was trained
_RUN_FILES = (
    *("config.yaml", "data_report.json", "run.json", "examples.json", "logs", "checkpoints"),
    *("per_user.parquet", "vocabulary.npz", "history.npz", "items.json", "inputs.npz"),
    *("item_columns.npz", "tradeoff.json", "blend.json"),
    *("per_series.parquet", "forecasts.parquet", "horizon.json", "series.json", "windows.npz"),
)


@contextmanager
def without_trace(folder: Path) -> Iterator[None]:
    """Takes away again what a run has written into a folder, where the block fails before there is
    a model or a checkpoint; what the folder held before stays.
    """
    new = [folder / name for name in _RUN_FILES if not (folder / name).exists()]
    try:
        yield
    except Exception:
        if folder.is_dir() and not any(folder.glob("checkpoints/*/*")):
            for each in new:
                shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
        raise
    finally:
        remove_empty(folder)


def make_folder(folder: Path, setting: str) -> None:
    """Makes a folder, and those that it lies in.

    Args:
        folder: may be there already.
        setting: that names it, for the error.

    Raises:
        ConfigError: a file stands in its place, or it may not be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{folder} cannot be written ({reason}): choose another {setting}"
        ) from error


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes the files of one run; every file is written beside and renamed.

    Attributes:
        path: of the folder.
        writes: False in all processes of a training but the first.
    """

    path: Path
    writes: bool = True

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """A folder that a training has written.

        Raises:
            ConfigError: it is no run folder.
        """
        folder = cls(Path(path))
        if not (folder.path / "config.yaml").is_file():
            raise ConfigError(
                f"{path} is not a run folder: it has no config.yaml; recsys train prints the folder"
                " it wrote"
            )
        return folder

    def require_finished(self) -> None:
        """Raises ConfigError where the training has not ended."""
        if not (self.path / "metrics.json").is_file():
            raise ConfigError(
                f"{self.path} has not finished training; continue it with train.resume={self.path}"
            )

    def write_json(self, name: str, content: Any) -> None:
        """Writes plain values."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        self._replace(name, lambda file: file.write_text(text + "\n", encoding="utf-8"))

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file."""
        self._replace(name, lambda file: file.write_text(text, encoding="utf-8"))

    def read_json(self, name: str, default: Any = None) -> Any:
        """Reads plain values; `default` where there is no such file."""
        file = self.path / name
        if not file.exists():
            return default
        with readable(file):
            content = json.loads(file.read_text(encoding="utf-8"))
        return Stored(content, file) if isinstance(content, dict) else content

    def write_config(self, config: dict[str, Any], name: str = "config.yaml") -> None:
        """Writes config.yaml, or under another name what is no run."""
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        self._replace(name, lambda file: file.write_text(text, encoding="utf-8"))

    def read_config(self) -> dict[str, Any]:
        """Reads config.yaml."""
        file = self.path / "config.yaml"
        with readable(file):
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name in ("data", "model", "evaluation", "choices"):
            if not isinstance(content, dict) or not isinstance(content.get(name, {}), dict):
                raise ConfigError(f"{file} has no settings of {name}: {DAMAGED}")
        return dict(content)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes a Parquet file."""
        self._replace(name, lambda file: table.to_parquet(file, index=False))

    def write_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Writes vocabulary.npz."""
        self._replace("vocabulary.npz", vocabulary.save)

    def read_vocabulary(self) -> Vocabulary:
        """Reads vocabulary.npz."""
        with readable(self.path / "vocabulary.npz"):
            return Vocabulary.load(self.path / "vocabulary.npz")

    def write_history(
        self,
        history: Ragged,
        ages: torch.Tensor | None = None,
        quantity: torch.Tensor | None = None,
    ) -> None:
        """Writes history.npz."""
        arrays = {
            "indptr": history.indptr.numpy(),
            "items": history.values.numpy().astype(np.int32),
        }
        if ages is not None:
            arrays["age"] = ages.numpy()
        if quantity is not None:
            arrays["quantity"] = quantity.numpy()
        self.write_arrays("history.npz", arrays)

    def write_item_columns(self, vocabulary: Vocabulary, columns: Sequence[ItemColumn]) -> None:
        """Writes item_columns.npz, where there are any."""
        if columns:
            ids = vocabulary.item_ids
            self._replace(ITEM_COLUMNS, lambda file: write_item_columns(file, ids, columns))

    def read_item_columns(self) -> list[ItemColumn]:
        """Columns of the items of the vocabulary; none where the source has none."""
        file = self.path / ITEM_COLUMNS
        if not file.is_file():
            return []
        with readable(file):
            return list(read_item_columns(file.read_bytes(), file)[1].values())

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Writes an .npz file."""
        self._replace(name, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Reads an .npz file."""
        file = self.path / name
        with readable(file), np.load(file, allow_pickle=False) as arrays:
            return Stored(arrays, file)

    def read_history(self) -> Ragged:
        """Reads history.npz."""
        arrays = self.read_arrays("history.npz")
        return Ragged(
            torch.from_numpy(arrays["indptr"]), torch.from_numpy(arrays["items"].astype(np.int64))
        )

    def read_ages(self) -> np.ndarray | None:
        """Days since each purchase in history.npz, float32 (N,); None without time."""
        return self.read_arrays("history.npz").get("age")

    def read_quantities(self) -> np.ndarray | None:
        """Units of each purchase in history.npz, float32 (N,); None where no model reads them."""
        return self.read_arrays("history.npz").get("quantity")

    def write_weights(self, phase: str, model: nn.Module) -> None:
        """Writes checkpoints/PHASE/model.safetensors."""
        state = {
            name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
        }
        (self.path / "checkpoints" / phase).mkdir(parents=True, exist_ok=True)
        self._replace(f"checkpoints/{phase}/model.safetensors", lambda file: save_file(state, file))

    def read_weights(self, phase: str | None = None) -> dict[str, torch.Tensor]:
        """Weights of a phase; of the last one by default."""
        windows = [path.name for path in (self.path / "checkpoints").glob("test-*")]
        windows.sort(key=lambda name: int(name.partition("-")[2]), reverse=True)
        for name in [phase] if phase else ["full_data", "test", *windows]:
            file = self.path / "checkpoints" / name / "model.safetensors"
            if file.is_file():
                with readable(file):
                    return load_file(file)
        raise ConfigError(
            f"{self.path} holds no trained model of phase {phase or 'test or full_data'}"
        )

    def _replace(self, name: str, write: Any) -> None:
        if not self.writes:
            return
        # keeps the suffix, which decides what numpy and Parquet write
        beside = (self.path / name).with_name(f".partial-{Path(name).name}")
        try:
            write(beside)
            os.replace(beside, self.path / name)
        except OSError as error:
            raise ConfigError(f"{self.path / name} cannot be written ({error.strerror})") from error
