"""Opens a bundle folder: the manifest, the checksums, and a session on the graph."""

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from recsys.bundle.manifest import GRAPH, Manifest, check_files, read_manifest, sha256
from recsys.errors import BundleError

# Set before the import: otherwise the runtime writes a device id below ~/.cache on Linux.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # noqa: E402


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose checksums were verified.

    Attributes:
        path: the folder.
        manifest: content of manifest.json.
        session: ONNX Runtime session on model.onnx.
    """

    path: Path
    manifest: Manifest
    session: onnxruntime.InferenceSession

    def optional_file(self, name: str) -> Path | None:
        """Path of an optional file, or None where the manifest does not list it.

        Raises:
            BundleError: the file is no longer the one that was there when the bundle was opened.
        """
        entry, path = self.manifest["files"].get(name), self.path / name
        if entry is None:
            return None
        # it is read when it is first needed, which may be long after the checksums were verified
        if not path.is_file() or sha256(path) != entry["sha256"]:
            raise BundleError(
                f"{path} has changed since the bundle was opened, and does not belong to the graph"
                " that was loaded: open the bundle again"
            )
        return path


def open_bundle(path: Path, task: str | None = None, threads: int | None = None) -> Bundle:
    """Opens a bundle after checking its manifest and every checksum.

    Args:
        path: folder of the bundle.
        task: the expected task; None accepts any.
        threads: threads for one run of the graph; None lets ONNX Runtime choose.

    Raises:
        BundleError: the bundle is incomplete, altered, of another task, or needs a newer runtime.
    """
    manifest = read_manifest(path)
    if task is not None and manifest["task"] != task:
        raise BundleError(f"{path} is a bundle for the task {manifest['task']!r}, not {task!r}")
    check_files(path, manifest)
    return Bundle(path, manifest, _open_session(path, manifest, threads))


def open_session(graph: bytes | str, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A CPU session on a graph, given as its bytes or as the path of its file."""
    options = onnxruntime.SessionOptions()
    # 3 = errors only: warnings about optimisations that were not applied do not help a caller.
    options.log_severity_level = 3
    if threads is not None:
        cores = os.cpu_count() or 1
        if threads > cores:
            warnings.warn(
                f"threads={threads}: this machine has {cores} cores, and so many threads are used",
                stacklevel=2,
            )
        options.intra_op_num_threads = min(threads, cores)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _open_session(
    path: Path, manifest: Manifest, threads: int | None
) -> onnxruntime.InferenceSession:
    needed = manifest["onnxruntime_min_version"]
    if _version(onnxruntime.__version__) < _version(needed):
        raise BundleError(
            f"{path} needs onnxruntime >= {needed}, and {onnxruntime.__version__} is installed"
        )
    try:
        session = open_session(str(path / GRAPH), threads)
    # The runtime's exceptions share no base class below Exception.
    except Exception as error:
        raise BundleError(f"{path / GRAPH} cannot be opened by ONNX Runtime: {error}") from error
    declared = [_name(entry) for side in ("inputs", "outputs") for entry in manifest[side]]
    found = [node.name for node in (*session.get_inputs(), *session.get_outputs())]
    if found != declared:
        raise BundleError(
            f"{path / GRAPH} has the inputs and outputs {', '.join(found)}, "
            f"and the manifest declares {', '.join(declared)}"
        )
    return session


def _name(entry: object) -> str:
    """Name of an input or output as a manifest declares it."""
    return str(entry.get("name")) if isinstance(entry, dict) else "?"


def _version(text: str) -> tuple[int, ...]:
    """(major, minor) of a version such as "1.18.0rc1"."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
