"""Runs workers in turn, each in a process of its own with the same number of threads."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from recsys.data.interactions import PhaseData
from recsys.errors import DataError

SCRIPTS = Path(__file__).parent.parent
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LINES_OF_AN_ERROR = 15


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: for people.
        python: that runs it.
        module: of this package; calls `worker.serve`.
        environment: variables on top of ours.
    """

    name: str
    python: Path
    module: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """What both sides share.

    Attributes:
        title: the data, for people.
        split: file of the `PairSplit`.
        phase: the same pairs, to judge with.
        rounds: times that both sides are measured, in turn.
        threads: of either side.
        peer_python: of the peer's environment.
        console: where to say how far it is, and what came out.
    """

    title: str
    split: Path
    phase: PhaseData
    rounds: int
    threads: int
    peer_python: Path
    console: Console


def run(side: Side, request: dict[str, Any], threads: int) -> dict[str, Any]:
    """What the worker of a side answers to a request.

    Raises:
        DataError: the worker failed; with the end of what it wrote.
    """
    # libraries leave logs and models where they run
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "request.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(request | {"threads": threads, "result": str(answer)}))
        done = subprocess.run(
            # -P: the folder it runs in is no place to import from
            [str(side.python), "-P", "-m", f"benchmarks.{side.module}", str(asked)],
            cwd=folder,
            env=_environment(side, threads),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode or not answer.exists():
            end = "\n".join(done.stdout.splitlines()[-LINES_OF_AN_ERROR:])
            raise DataError(f"{side.name} failed (exit code {done.returncode}): {end}")
        result: dict[str, Any] = json.loads(answer.read_text())
        return result


def _environment(side: Side, threads: int) -> dict[str, str]:
    counts = dict.fromkeys(THREAD_COUNTS, str(threads))
    # this checkout, whatever else is installed
    path = os.pathsep.join((str(SCRIPTS), str(SCRIPTS.parent)))
    return {**os.environ, **counts, "PYTHONPATH": path, **side.environment}
