"""Command lines of the form `key=value`, declared as a dataclass.

@dataclass(frozen=True, kw_only=True)
class Arguments:
    '''Counts the rows of a table.'''

    table: Path = setting("CSV file")
    limit: int = setting("rows to count", default=10, minimum=1)

arguments = parse_arguments(Arguments, sys.argv[1:], "python scripts/count.py")
"""

import functools
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from recsys.errors import ConfigError, UserError, unknown

P = ParamSpec("P")
T = TypeVar("T")

_HELP = {"help", "--help", "-h"}
_KIND_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    Path: "path",
    bool: "true or false",
}


def setting(help_text: str, *, default: Any = MISSING, minimum: int | None = None) -> Any:
    """Declares one key; without a default it is required."""
    return field(default=default, metadata={"help": help_text, "minimum": minimum})


def parse_arguments(declaration: type[T], arguments: Sequence[str], command: str) -> T:
    """Reads `key=value` arguments into a dataclass; `help` anywhere prints the usage and exits.

    Args:
        declaration: dataclass of `setting`s, of the types str, int, float, bool, Path, Literal,
            Mapping[str, str] (given as key.NAME=value), or one of them or None.
        arguments: of the command line, without the program.
        command: how the program is called, for the usage.

    Raises:
        ConfigError: a key is unknown, missing or repeated, or its value is invalid.
        SystemExit: after the usage was printed.
    """
    if _HELP & set(arguments):
        print(usage(declaration, command))
        sys.exit(0)
    declared = {entry.name: entry for entry in fields(declaration)}  # type: ignore[arg-type]
    kinds = get_type_hints(declaration)
    values: dict[str, object] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        group, dot, name = key.partition(".")
        if group in declared and _is_mapping(kinds[group]):
            _add(values, group, name, text)
            continue
        if key not in declared:
            raise ConfigError(unknown(key, declared, "setting"))
        if not equals:
            raise ConfigError(f"{key!r} has no value: write {key}=…")
        if key in values:
            raise ConfigError(f"{key}= is given twice")
        values[key] = _convert(declared[key], kinds[key], text)
    missing = [name for name, entry in declared.items() if _required(entry) and name not in values]
    if missing:
        raise ConfigError(f"{missing[0]}= is missing; usage: {_synopsis(declaration, command)}")
    return declaration(**values)


def usage(declaration: type[Any], command: str) -> str:
    """The usage text of a dataclass of settings."""
    kinds = get_type_hints(declaration)
    rows = []
    for entry in _ordered(declaration):
        note = "required" if _required(entry) else _default_note(entry.default)
        rows.append(
            (
                _written(entry, kinds),
                f"{entry.metadata['help']} ({_kind_name(kinds[entry.name])}, {note})",
            )
        )
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join(
        [f"usage: {_synopsis(declaration, command)}", "", str(declaration.__doc__), "", *lines]
    )


def reports_errors(command: Callable[P, int]) -> Callable[P, int]:
    """Decorates a command: a `UserError` becomes one sentence on stderr and the exit code 2, an
    interrupt (Ctrl-C) the exit code 130; where whoever reads its output stops (`| head`), it ends
    with the exit code 1. A warning is one sentence, without the line of code that gave it.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        usual = warnings.formatwarning
        warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
        try:
            code = command(*args, **kwargs)
            sys.stdout.flush()
            return code
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("error: interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # what Python still writes at its end has nobody to read it either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        finally:
            warnings.formatwarning = usual

    return wrapped


def _add(values: dict[str, object], group: str, name: str, text: str) -> None:
    """Adds NAME=TEXT to a mapping; both have to be there, and the name once."""
    found = values.setdefault(group, {})
    assert isinstance(found, dict)
    if not name or not text:
        raise ConfigError(f"{group} is given as {group}.NAME=…, one at a time")
    if name in found:
        raise ConfigError(f"{group}.{name}= is given twice")
    found[name] = text


def _is_mapping(kind: Any) -> bool:
    return get_origin(_without_none(kind)) is Mapping


def _convert(entry: "Field[Any]", kind: Any, text: str) -> object:
    kind = _without_none(kind)
    allowed = _allowed(kind)
    if allowed is not None:
        known = {written.lower(): value for written, value in allowed.items()}
        if text.lower() not in known:
            raise ConfigError(f"{entry.name}={text!r} is not known: it is {' or '.join(allowed)}")
        return known[text.lower()]
    try:
        value = kind(text) if text else None
    except ValueError:
        value = None
    if value is None:
        raise ConfigError(
            f"{entry.name}={text!r} is not a {_kind_name(kind)}: {entry.metadata['help']}"
        )
    minimum = entry.metadata["minimum"]
    if minimum is not None and value < minimum:
        raise ConfigError(f"{entry.name}={text} is too small: it is at least {minimum}")
    return value


def _without_none(kind: Any) -> Any:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next(option for option in options if option is not NoneType)


def _allowed(kind: Any) -> Mapping[str, object] | None:
    """The few values that a type has, by how they are written."""
    if kind is bool:
        return {"true": True, "false": False}
    return {choice: choice for choice in get_args(kind)} if get_origin(kind) is Literal else None


def _required(entry: "Field[Any]") -> bool:
    return entry.default is MISSING


def _synopsis(declaration: type[Any], command: str) -> str:
    kinds = get_type_hints(declaration)
    parts = [
        f"{_written(entry, kinds)}=…"
        if _required(entry)
        else f"[{_written(entry, kinds)}={_shown(entry.default)}]"
        for entry in _ordered(declaration)
    ]
    return " ".join([command, *parts])


def _written(entry: "Field[Any]", kinds: Mapping[str, Any]) -> str:
    """The key as it is written before the equals sign."""
    return f"{entry.name}.NAME" if _is_mapping(kinds[entry.name]) else entry.name


def _ordered(declaration: type[Any]) -> list["Field[Any]"]:
    """Settings in the order of a usage: those that the class inherits come last."""
    return sorted(
        fields(declaration), key=lambda each: each.name not in vars(declaration)["__annotations__"]
    )


def _default_note(default: object) -> str:
    return "optional" if default is None else f"default {_shown(default)}"


def _shown(default: object) -> str:
    if default is None:
        return "…"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _kind_name(kind: Any) -> str:
    kind = _without_none(kind)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if _is_mapping(kind):
        return "text"
    return _KIND_NAMES[kind]
