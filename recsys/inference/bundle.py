"""Opens a bundle folder: the manifest, the checksums, and a session on the graph."""

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recsys.bundle.manifest import GRAPH, Manifest, check_files, read_checked, read_manifest
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

    def optional_file(self, name: str) -> bytes | None:
        """Content of an optional file, or None where the manifest does not list it.

        Raises:
            BundleError: the file is no longer the one that was there when the bundle was opened.
        """
        if name not in self.manifest["files"]:
            return None
        try:
            return read_checked(self.path, self.manifest, name)
        # it is read when it is first needed, which may be long after the checksums were verified
        except BundleError as error:
            raise BundleError(
                f"{self.path / name} has changed since the bundle was opened, and does not belong"
                " to the graph that was loaded: open the bundle again"
            ) from error


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
    graph = check_files(path, manifest)
    return Bundle(path, manifest, _open_session(path, manifest, graph, threads))


def open_session(
    graph: bytes, threads: int | None = None, external: Mapping[str, bytes] | None = None
) -> onnxruntime.InferenceSession:
    """A CPU session on a graph.

    Args:
        graph: bytes of its file.
        threads: for one run of the graph; None lets ONNX Runtime choose.
        external: contents of further files, by name, that hold weights of the graph.
    """
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
    if external:
        names, contents = list(external), list(external.values())
        sizes = list(map(len, contents))
        options.add_external_initializers_from_files_in_memory(names, contents, sizes)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _external_files(path: Path, manifest: Manifest, graph: bytes) -> dict[str, bytes]:
    """Contents of the files beside the graph that hold weights of it, where those are longer than
    one file of ONNX may be; ONNX Runtime would look for them in whatever folder it is called in.
    """
    found = {}
    for entry in _EXTERNAL.finditer(graph):
        name = graph[entry.end() : entry.end() + entry[1][0]].decode("utf-8", "replace")
        if name not in manifest["files"]:
            raise BundleError(
                f"{path / GRAPH} keeps weights in {name!r}, which the manifest does not list:"
                " export the bundle again"
            )
        if name not in found:
            found[name] = read_checked(path, manifest, name)
    if found and not hasattr(
        onnxruntime.SessionOptions, "add_external_initializers_from_files_in_memory"
    ):
        raise BundleError(
            f"{path / GRAPH} keeps weights in {', '.join(found)}, which onnxruntime"
            f" {onnxruntime.__version__} cannot read from memory: install a newer one"
        )
    return found


# how a graph writes that a tensor lies in a file: key, and length of the name that follows
_EXTERNAL = re.compile(rb"\n\x08location\x12([\x01-\x7f])", re.DOTALL)


def _open_session(
    path: Path, manifest: Manifest, graph: bytes, threads: int | None
) -> onnxruntime.InferenceSession:
    needed = manifest["onnxruntime_min_version"]
    if _version(onnxruntime.__version__) < _version(needed):
        raise BundleError(
            f"{path} needs onnxruntime >= {needed}, and {onnxruntime.__version__} is installed"
        )
    external = _external_files(path, manifest, graph)
    try:
        session = open_session(graph, threads, external)
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
