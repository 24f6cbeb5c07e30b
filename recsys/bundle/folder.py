"""The folder of a bundle, which appears when everything in it is complete and proven."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.bundle.manifest import MANIFEST
from recsys.errors import ExportError


def write_json(path: Path, content: object) -> None:
    """Writes plain JSON in one line.

    Raises:
        ValueError: for a number that JSON does not know.
    """
    path.write_text(
        json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def check_replaceable(folder: Path) -> None:
    """A folder that is not a bundle is someone's work, and not replaced.

    Raises:
        ExportError: if it is such a folder, or a file.
    """
    if folder.is_file():
        raise ExportError(f"{folder} is a file: give the bundle another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ExportError(
            f"{folder} holds something else than a bundle: give the bundle another name"
        )


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes its name at the end, and is gone after an error."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ExportError(
            f"{folder.parent} cannot be written ({error.strerror}): choose another folder"
        ) from error
    try:
        yield partial
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
