"""Commands in this process that a fuzz test tries: how each ended, and what is wrong with that."""

import contextlib
import io
import os
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recsys.cli.main import main

# of one command, on tiny tables
SECONDS = 60
# more than any of the tiny commands needs
MEMORY = 12 * 2**30  # bytes of address space


class Ending(NamedTuple):
    """How a command ended: exit code, both outputs, and the traceback of what escaped."""

    code: int | None
    out: str
    errors: str
    escaped: str


class TooLongError(BaseException):
    """No error that a command may catch."""


def run(arguments: Sequence[str]) -> Ending:
    """Runs `recsys ARGUMENTS`; what its processes print counts as its own."""
    out, errors, escaped = io.StringIO(), io.StringIO(), ""
    code: int | None = None
    before, sys.argv = sys.argv, ["recsys"]
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(SECONDS)
    try:
        with (
            _printed_by_children(errors),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            code = main(list(arguments))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except (Exception, TooLongError):
        escaped = traceback.format_exc()
    finally:
        signal.alarm(0)
        sys.argv = before
    return Ending(code, out.getvalue(), errors.getvalue(), escaped)


def fault(ending: Ending, names: Sequence[str]) -> str | None:
    """What is wrong with the way a command ended; None where it is sound.

    Args:
        ending: of the command.
        names: of which an error names at least one: keys, files, columns.
    """
    if ending.escaped:
        return ending.escaped
    if "Traceback" in ending.out + ending.errors:
        return "a traceback was printed: " + ending.out + ending.errors
    if ending.code == 0:
        return None
    said = [
        line
        for line in (ending.out + ending.errors).splitlines()
        if line.startswith("error: ") or ": FAILED: " in line
    ]
    if ending.code not in (1, 2) or len(said) != 1:
        return f"exit code {ending.code} with {len(said)} errors: {ending.out}{ending.errors}"
    if not any(name in said[0] for name in names):
        return f"{said[0]!r} names none of {', '.join(names)}"
    return None


@contextlib.contextmanager
def _printed_by_children(errors: io.StringIO) -> Iterator[None]:
    """Adds to `errors` what processes that a command starts, and libraries in C, print."""
    with tempfile.TemporaryFile() as file:
        kept = {number: os.dup(number) for number in (1, 2)}
        for number in kept:
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for number, before in kept.items():
                os.dup2(before, number)
                os.close(before)
            file.seek(0)
            errors.write(file.read().decode("utf-8", "replace"))


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """What allocates far too much fails here, and not the machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _stop(*_: object) -> None:
    raise TooLongError
