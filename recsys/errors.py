"""Errors that a user reads: one sentence of what was found, where, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Base of every error of the input, not of the code; commands print it without a traceback."""

    def __str__(self) -> str:
        """One line: what a damaged file holds, and a message quotes, may break it anywhere."""
        return "".join(_visible(each) for each in super().__str__())


class ConfigError(UserError):
    """A setting, group or command-line argument that does not exist or does not fit the others."""


class DataError(UserError):
    """A table that is missing, lacks a column, or holds what cannot be used."""


class TrainingError(UserError):
    """The loss became NaN or infinite, or a run cannot be resumed."""


class ExportError(UserError):
    """The export failed: the model has no ONNX graph, or ONNX and PyTorch differ."""


class BundleError(UserError):
    """A bundle that is incomplete, altered, or needs a newer recsys, or lacks what a call needs."""


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """What to say of a name of something ("setting", "column") that does not exist."""
    return f"{name!r} is not a known {what}; {closest(name, known)}"


def closest(name: str, known: Iterable[str]) -> str:
    """What to say after a name that does not exist: the closest one that does, and all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return (
        f"did you mean {close[0]}? It" if close else "it"
    ) + f" is one of: {', '.join(sorted(known))}"
