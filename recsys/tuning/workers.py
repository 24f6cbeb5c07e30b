"""Processes of trials, as the sweep sees them."""

import json
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from recsys.tuning.trial_process import Job, run_trial

# what trials need, of which some is otherwise imported only where it is used
_IMPORTED = ["recsys.cli.sweep", "recsys.training.fit", "recsys.tasks.forecasting"]


class Message(NamedTuple):
    """What the process of a trial said; `content` is None when it has ended."""

    number: int
    content: dict[str, Any] | None


class Worker:
    """The process of one trial; what it prints goes to `folder`/log.txt.

    Args:
        number: of the trial.
        overrides: that compose its configuration.
        folder: of its checkpoints and logs.
        threads: of its computations.
        inbox: where its messages go.
        tested: True trains, refits and tests as `recsys train` does; False only validates.
    """

    def __init__(
        self,
        number: int,
        overrides: Sequence[str],
        folder: Path,
        threads: int,
        inbox: "queue.Queue[Message]",
        tested: bool = False,
    ) -> None:
        self.number = number
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log.txt"
        # a server that has imported everything, and computed nothing, forks the trials; one of the
        # sweep itself would inherit its threads
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)
        self._connection, theirs = context.Pipe()
        job = Job(list(overrides), str(folder), threads, tested)
        self._process = context.Process(target=run_trial, args=(job, theirs))
        self._process.start()
        theirs.close()
        listener = threading.Thread(target=_listen, args=(number, self._connection, inbox))
        listener.daemon = True
        listener.start()

    def end(self) -> None:
        """Kills the process, with what it has started, and waits for it."""
        assert self._process.pid is not None  # it was started
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended, or does not lead a group yet
            self._process.kill()
        self._process.join()

    def why_it_ended(self) -> str:
        """For a process that ended without a word."""
        self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL:
            return "killed (signal 9), as the system does where memory runs out"
        if code < 0:
            return f"killed by signal {-code} ({signal.Signals(-code).name}); see {self._log}"
        return f"ended with exit code {code}; see {self._log}"


def _listen(number: int, connection: Connection, inbox: "queue.Queue[Message]") -> None:
    with connection:
        try:
            while True:
                inbox.put(Message(number, json.loads(connection.recv_bytes())))
        except (EOFError, OSError):
            inbox.put(Message(number, None))
