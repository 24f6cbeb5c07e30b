"""The manifest of a bundle: task, inputs and outputs of the graph, checksums of the files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from recsys.errors import BundleError
from recsys.steps import STEP_SECONDS, STEPS

FORMAT = "recsys-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GRAPH = "model.onnx"
# what the scores of a user come from, the chain of fallbacks
BASES = ("purchases", "attributes", "popularity")

_COMMON_KEYS: dict[str, type] = {
    "files": dict,
    "inputs": list,
    "outputs": list,
    "onnxruntime_min_version": str,
}
# Keys that the reader of each task needs beside the common ones.
_TASK_KEYS: dict[str, dict[str, type]] = {
    "recommender": {
        "num_users": int,
        "num_items": int,
        "reads_history": bool,
        "floats_per_pair": int,
    },
    "forecaster": {
        "num_series": int,
        "horizon": int,
        "quantiles": list,
        "history_length": int,
        "step": str,
        "timezone": str,
        "covariate_names": list,
    },
}

# Sources of inputs in bundles that were written before inputs stated theirs.
_SOURCES = {"history_age": "history.age"}
_USER_DIMS = ("batch",)
_PURCHASE_DIMS = ("batch", "history")


class ValueEntry(TypedDict):
    """An input or output of the graph, as a manifest declares it."""

    name: str
    type: str
    dims: list[str | int]
    meaning: str
    source: NotRequired[str]


class FileEntry(TypedDict):
    """A file of the bundle."""

    sha256: str
    bytes: int


class Manifest(TypedDict):
    """The content of manifest.json: what every bundle has, then what its task adds."""

    format: str
    format_version: int
    task: str
    files: dict[str, FileEntry]
    inputs: list[ValueEntry]
    outputs: list[ValueEntry]
    onnxruntime_min_version: str
    # recommender
    num_users: NotRequired[int]
    num_items: NotRequired[int]
    reads_history: NotRequired[bool]
    floats_per_pair: NotRequired[int]
    fallback: NotRequired[str]
    because: NotRequired[dict[str, Any]]  # of because.onnx, where there is one
    new_items: NotRequired[dict[str, Any]]  # of item_tower.onnx, where there is one
    # forecaster
    num_series: NotRequired[int]
    horizon: NotRequired[int]
    quantiles: NotRequired[list[float]]
    history_length: NotRequired[int]
    step: NotRequired[str]
    step_seconds: NotRequired[int]  # of months, which differ in length, none
    step_offset: NotRequired[int | None]
    covariate_names: NotRequired[list[str]]
    # both
    timezone: NotRequired[str]


class GraphInput(NamedTuple):
    """An input of the graph of a recommender.

    Attributes:
        name: in the graph.
        type: string, float32 or int64.
        dims: ("batch",) for a value of each user, ("batch", "history") for one of each purchase.
        source: where the value comes from: user_id, history, history.age, history.quantity,
            users.COLUMN, context.COLUMN, time.hour or time.weekday; the name for `exclude`,
            `allowed` and `k`.
    """

    name: str
    type: str
    dims: tuple[str | int, ...]
    source: str

    @property
    def per_purchase(self) -> bool:
        """Whether there is a value of each purchase in the history."""
        return self.dims == _PURCHASE_DIMS

    @property
    def declared(self) -> bool:
        """Whether it is one of those that a model declares beside user_id and history."""
        return self.name not in {"user_id", "history", "exclude", "allowed", "k"}


def graph_inputs(folder: Path, manifest: Manifest) -> tuple[GraphInput, ...]:
    """The inputs of a recommender's graph, as its manifest declares them.

    Raises:
        BundleError: an input is of a type or shape that this version cannot provide.
    """
    found = []
    for entry in manifest["inputs"]:
        name, dims = str(entry["name"]), tuple(entry.get("dims", ()))
        source = entry.get("source", _SOURCES.get(name, name))
        found.append(GraphInput(name, str(entry.get("type")), dims, str(source)))
        if found[-1].declared and not (
            found[-1].type in {"string", "float32"} and dims in {_USER_DIMS, _PURCHASE_DIMS}
        ):
            raise BundleError(
                f"{folder} has the input {name!r} of type {entry.get('type')} and dimensions "
                f"{list(dims)}, which this recsys cannot provide: install a newer recsys"
            )
    return tuple(found)


def read_manifest(folder: Path) -> Manifest:
    """Reads and validates the manifest of a bundle; the files it lists are not opened.

    Raises:
        BundleError: the folder is not a bundle, or one that this version cannot read.
    """
    manifest = _load(folder)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST} is not the manifest of a bundle: its format is not {FORMAT!r}"
        )
    version = manifest.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"{folder / MANIFEST} has the format_version {version!r}, not a number")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{folder} has bundle format {version} and this recsys reads up to {FORMAT_VERSION}: "
            "install a newer recsys"
        )
    task = manifest.get("task")
    if not isinstance(task, str) or task not in _TASK_KEYS:
        raise BundleError(
            f"{folder} is a bundle for the task {task!r}, which is not known here "
            f"(known: {', '.join(_TASK_KEYS)})"
        )
    for key, kind in (_COMMON_KEYS | _TASK_KEYS[task]).items():
        if not isinstance(manifest.get(key), kind):
            raise BundleError(
                f"{folder / MANIFEST} lacks {key!r}, or it is not of type {kind.__name__}"
            )
    if task == "forecaster":
        _check_step(folder, manifest)
    return cast(Manifest, manifest)


def _check_step(folder: Path, manifest: Mapping[str, Any]) -> None:
    step = manifest["step"]
    if step not in STEPS:
        raise BundleError(
            f"{folder} forecasts steps of a {step!r}, which is not known here (known:"
            f" {', '.join(STEPS)}): install a newer recsys"
        )
    length = STEP_SECONDS.get(step)
    if length is not None and not isinstance(manifest.get("step_seconds"), int):
        raise BundleError(f"{folder / MANIFEST} lacks 'step_seconds', or it is not of type int")
    if manifest.get("step_seconds") != length:
        raise BundleError(
            f"{folder / MANIFEST} has step={step!r} and step_seconds={manifest['step_seconds']!r}:"
            " they contradict each other, copy it again"
        )


def _load(folder: Path) -> Any:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder: name the folder that holds {MANIFEST}")
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it holds no {MANIFEST}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} is not readable as JSON ({error}): copy it again") from error


def check_files(folder: Path, manifest: Manifest) -> bytes:
    """Compares every file that the manifest lists with its checksum.

    Returns:
        The bytes of the graph that were compared: whoever read its file again might read another.

    Raises:
        BundleError: if a file is missing or altered.
    """
    if GRAPH not in manifest["files"]:
        raise BundleError(f"{folder / MANIFEST} does not list {GRAPH}")
    for name in manifest["files"]:
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST} lists {name!r}, which is outside the folder")
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder} is incomplete: {name} is missing")
        if name != GRAPH and sha256(path) != _checksum(manifest, name):
            raise _altered(path)
    return read_checked(folder, manifest, GRAPH)


def read_checked(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of a file that the manifest lists, read once and compared with its checksum.

    Raises:
        BundleError: the file is missing or altered.
    """
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != _checksum(manifest, name):
        raise _altered(path)
    return content


def _checksum(manifest: Manifest, name: str) -> str | None:
    """What the manifest says of a file, None where it says it wrongly."""
    entry = manifest["files"][name]
    return entry.get("sha256") if isinstance(entry, dict) else None


def _altered(path: Path) -> BundleError:
    return BundleError(f"{path} was altered or truncated: its sha256 is not the one in {MANIFEST}")


def write_manifest(folder: Path, content: Mapping[str, object]) -> None:
    """Writes the manifest as the last file of a bundle, with the checksum of all others.

    Raises:
        ValueError: if `content` is not plain JSON.
    """
    files = {
        path.name: {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    head = {"format": FORMAT, "format_version": FORMAT_VERSION}
    text = json.dumps(
        {**head, **content, "files": files}, indent=2, ensure_ascii=False, allow_nan=False
    )
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Checksum of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
