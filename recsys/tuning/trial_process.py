"""One trial, in a process of its own."""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from recsys.config.composition import compose, explain, explained
from recsys.environment import peak_memory
from recsys.tasks.lifecycle import run_training, run_validation
from recsys.tuning.lock import locked

# what allocators say when there is no more
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_LONGEST_REASON = 500
# of a trial whose output goes to a file
_QUIET = ["trainer.enable_progress_bar=false"]


class Job(NamedTuple):
    """What a trial does: plain values, for another process.

    Attributes:
        overrides: that compose its configuration.
        folder: of its checkpoints and logs.
        threads: of its computations.
        tested: True trains, refits and tests as `recsys train` does; False only validates.
    """

    overrides: list[str]
    folder: str
    threads: int
    tested: bool


def run_trial(job: Job, connection: Connection) -> None:
    """Runs a job and answers with lines of JSON: {"step", "value"} after a validation, and {"done"}
    or {"failed"} at the end. What is printed on the way goes to log.txt.

    Args:
        job: what to do.
        connection: to the sweep; when it is closed, the sweep is gone, and so is the trial.
    """
    os.setsid()  # ^C is for the sweep, which ends its trials in order
    folder = Path(job.folder)
    _print_to(folder / "log.txt")
    _offer_to_the_memory_killer()
    threading.Thread(target=_end_with_the_sweep, args=(connection,), daemon=True).start()

    def answer(**message: Any) -> None:
        connection.send_bytes(json.dumps(message).encode())

    # waits for a process of an earlier sweep that has not yet noticed its end
    with locked(folder, wait=True):
        try:
            answer(done=_run(job, folder, answer))
        except Exception as error:
            traceback.print_exc()
            answer(failed=reason_of(error))
    sys.stdout.flush()


def _run(job: Job, folder: Path, answer: Callable[..., None]) -> dict[str, float]:
    torch.set_num_threads(job.threads)
    if job.tested:
        run_training(compose(job.overrides), folder)
        return peak_memory()
    settings = compose([*job.overrides, *_QUIET])
    found = run_validation(
        settings,
        folder,
        lambda step, value: answer(step=step, value=value),
        shared=folder.parent,
    )
    return found | peak_memory()


def reason_of(error: BaseException) -> str:
    """Why a trial failed, in one sentence."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(words in text.lower() for words in _NO_MEMORY):
        return f"out of memory: {text or type(error).__name__}"[:_LONGEST_REASON]
    if isinstance(error, explained()):
        return explain(error)[:_LONGEST_REASON]
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


def _print_to(file: Path) -> None:
    with file.open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def _end_with_the_sweep(connection: Connection) -> None:
    try:
        connection.recv_bytes()  # nothing is ever sent
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)  # and what the training has started


def _offer_to_the_memory_killer() -> None:
    """Where memory runs out, a trial goes rather than the sweep."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
