"""Files and folders of runs: a damaged file is named, an empty folder removed."""

import pickle
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from recsys.errors import ConfigError, UserError

DAMAGED = "it is damaged; bring it back from a copy, or train anew"


@contextmanager
def readable(file: Path, advice: str = DAMAGED) -> Iterator[None]:
    """Turns what the reader of a damaged file raises into a ConfigError that names it."""
    try:
        yield
    except UserError:
        raise
    except (
        *(OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError),
        *(yaml.YAMLError, zipfile.BadZipFile, zlib.error, SafetensorError, pickle.UnpicklingError),
    ) as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(f"{file} cannot be read ({text}): {advice}") from error


def remove_empty(folder: Path) -> None:
    """Removes a folder that holds nothing, and those around it, up to the working directory."""
    with suppress(OSError):  # it holds something
        folder.rmdir()
        here = Path.cwd()
        for each in folder.absolute().parents:
            if here not in each.parents:
                return
            each.rmdir()


class Stored(dict[str, Any]):
    """Values of a file, which names it where one is missing."""

    def __init__(self, values: Any = (), file: Path | None = None) -> None:
        super().__init__(values)
        self._file = file  # None of a copy

    def __missing__(self, key: str) -> Any:
        raise ConfigError(f"{self._file or 'a file of the run'} has no {key}: {DAMAGED}")
