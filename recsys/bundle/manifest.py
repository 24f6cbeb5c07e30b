"""The manifest of a bundle: what it is, takes and gives, and the checksums of its files."""

import hashlib
import json
from pathlib import Path
from typing import Any

from recsys.errors import BundleError

FORMAT = "recsys-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GRAPH = "model.onnx"

_COMMON_KEYS: dict[str, type] = {
    "files": dict,
    "inputs": list,
    "outputs": list,
    "onnxruntime_min_version": str,
}
# What the reader of each task relies on, beside the common keys.
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
        "step_seconds": int,
        "timezone": str,
        "covariate_names": list,
    },
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and validates the manifest of a bundle; the files it lists are not opened.

    Raises:
        BundleError: if the folder is no bundle, or one that this version cannot read.
    """
    manifest = _load(folder)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST} is the manifest of something else: its format is not {FORMAT!r}"
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
            raise BundleError(f"{folder / MANIFEST} lacks {key!r}, or it is no {kind.__name__}")
    return manifest


def _load(folder: Path) -> Any:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder: name the folder that holds {MANIFEST}")
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is no bundle: it holds no {MANIFEST}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} is not readable as JSON ({error}): copy it again") from error


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compares every file that the manifest lists with its checksum.

    Raises:
        BundleError: if a file is missing or altered.
    """
    if GRAPH not in manifest["files"]:
        raise BundleError(f"{folder / MANIFEST} does not list {GRAPH}")
    for name, entry in manifest["files"].items():
        path = folder / name
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST} lists {name!r}, which is outside the folder")
        if not path.is_file():
            raise BundleError(f"{folder} is incomplete: {name} is missing")
        if not isinstance(entry, dict) or sha256(path) != entry.get("sha256"):
            raise BundleError(
                f"{path} was altered or truncated: its sha256 is not the one in {MANIFEST}"
            )


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
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
        head | content | {"files": files}, indent=2, ensure_ascii=False, allow_nan=False
    )
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Checksum of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
