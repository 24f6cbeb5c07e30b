"""Translates to ONNX in a process of its own.

The second recurrent network that one process translates may lose its free axes without a word
(torch 2.13): what was translated before must not matter.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch.export import ExportedProgram

from recsys.errors import ExportError
from recsys.export.onnx.tracing import translate

_CHILD = "recsys.export.onnx.translating_process"


def translate_in_fresh_process(
    program: ExportedProgram, inputs: Sequence[str], output: str, name: str
) -> onnx.ModelProto:
    """As `tracing.translate`, in a Python that has done nothing else.

    Raises:
        ExportError: if ONNX has no operator for something in the program, or the process fails.
    """
    with TemporaryDirectory(prefix="recsys-export-") as folder:
        traced, graph = Path(folder) / "program.pt2", Path(folder) / "model.onnx"
        torch.export.save(program, traced)
        # The class of the model is not needed there, and may come from a test or a notebook.
        command = [sys.executable, "-m", _CHILD, str(traced), str(graph), name, output, *inputs]
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": _python_path(), "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode or not graph.is_file():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ExportError(
                lines[-1].removeprefix("error: ")
                if lines[-1].startswith("error: ")
                else f"{name} could not be translated in a process of its own: {lines[-1]}"
            )
        return onnx.load(graph)


def translate_file(arguments: Sequence[str]) -> int:
    """What the other process does: a traced program in, a graph out; the exit code.

    Args:
        arguments: paths of both, name of the model, name of the output, names of the inputs.
    """
    traced, graph, name, output, *inputs = arguments
    try:
        core = translate(torch.export.load(traced), inputs, output, name)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    onnx.save(core, graph)
    return 0


def _python_path() -> str:
    """Where the process finds this very package first, wherever it was imported from."""
    found = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(Path(__file__).parents[3]), *([found] if found else [])])
