"""Public files: where they are looked for."""

import os
from pathlib import Path

from recsys.errors import DataError


def data_folder() -> Path:
    """The folder RECSYS_DATA, else data/."""
    return Path(os.environ.get("RECSYS_DATA", "data"))


def find_file(path: str | None, names: list[str], source: str) -> Path:
    """The file of `path`, or the first of some names in the data folder.

    Raises:
        DataError: there is none; `source` says where to get it.
    """
    root = data_folder()
    choices = [Path(path)] if path is not None else [root / name for name in names]
    for file in choices:
        if file.exists():
            return file
    if path is not None:
        raise DataError(
            f"data.path: {path} does not exist (looked in {Path(path).parent.absolute()})"
        )
    raise DataError(
        f"{choices[0]} does not exist: get {source}, put it into a folder as {names[-1]} and set"
        " RECSYS_DATA to that folder"
    )
