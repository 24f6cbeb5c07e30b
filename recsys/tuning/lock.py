"""A folder that one process works on at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Holds `folder`/lock, which the system gives back however this process ends.

    Args:
        folder: exists.
        wait: until another process lets go.

    Raises:
        BlockingIOError: another process holds it, and we do not wait.
    """
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
