"""Settings against the annotations of what they are given to: type, choice and range."""

import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from recsys.config.targets import resolve
from recsys.errors import ConfigError, closest
from recsys.ranges import Filled, Range


def check_arguments(
    section: str,
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    supplied: Collection[str] = (),
) -> None:
    """Refuses arguments that a class or function does not take, or not with these values.

    Args:
        section: of the configuration, which errors name.
        target: what is called.
        arguments: plain values.
        supplied: arguments that the framework adds.

    Raises:
        ConfigError: naming the key, what was found, and what is allowed.
    """
    parameters = inspect.signature(target).parameters
    hints = _hints(target)
    open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    for name, value in arguments.items():
        if name in ("_partial_", "_convert_"):
            continue
        if name not in parameters:
            if open_ended:
                continue
            known = [each for each in parameters if each not in supplied]
            raise ConfigError(
                f"{section}.{name} is not a setting of {target.__name__}; "
                + (closest(name, known) if known else "it has none")
            )
        if isinstance(value, Mapping) and "_target_" in value:
            # its arguments are checked on their own
            _require_class(f"{section}.{name}", value["_target_"], hints.get(name, Any))
            continue
        if (words := wrong(value, hints.get(name, Any))) is not None:
            raise ConfigError(f"{section}.{name}={_shown(value)}: it has to be {words}")
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if required and name not in arguments and name not in supplied:
            raise ConfigError(f"{section}.{name} has no value: set {section}.{name}=…")


def wrong(value: Any, hint: Any) -> str | None:
    """What a value has to be, in words, where it is not that; None where it is."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _wrong_in_range(value, inner[0], inner[1:])
    if origin in (Union, types.UnionType):
        found = [wrong(value, each) for each in inner]
        return None if None in found else " or ".join(dict.fromkeys(map(str, found)))
    if origin is Literal:
        return None if value in inner and type(value) in map(type, inner) else _choices(inner)
    if hint is None or hint is type(None):
        return None if value is None else "null"
    if hint in _SCALARS:
        return _wrong_scalar(value, hint)
    fixed = origin is tuple and Ellipsis not in inner
    if fixed and isinstance(value, list | tuple) and len(value) != len(inner):
        return f"a list of {len(inner)} values"
    if origin in (list, tuple, Sequence, set, frozenset):
        return _wrong_items(value, inner[0] if inner else Any)
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        if not isinstance(value, Mapping):
            return "keys with values: {key: value}"
        each = inner[1] if len(inner) == 2 else Any
        return next(
            (f"keys with values that are {w}" for v in value.values() if (w := wrong(v, each))),
            None,
        )
    if inspect.isclass(hint) and not getattr(hint, "_is_protocol", False):
        words = "keys with values: {key: value}" if is_dataclass(hint) else f"a {hint.__name__}"
        return None if isinstance(value, hint) else words
    return None


def _wrong_scalar(value: Any, hint: Any) -> str | None:
    kinds, words = _SCALARS[hint]
    if not isinstance(value, kinds) or (hint is not bool and isinstance(value, bool)):
        return words
    if isinstance(value, float) and not math.isfinite(value):
        return _FINITE
    return _SHORT if hint is float and isinstance(value, int) and abs(value) >= _LONG else None


_FINITE = "a finite number"
# whole numbers that numpy, torch and Arrow cannot hold; as 1e19 they are what any such number is
_LONG = 2**63
_SHORT = "a number of at most 18 digits"
_SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
    Path: ((str, Path), "a path"),
}


def _require_class(section: str, path: Any, hint: Any) -> None:
    """Refuses a target that is no such class as the annotation names, where it names one."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    wanted = [each for each in options if inspect.isclass(each) and is_dataclass(each)]
    if wanted and resolve(str(path)) not in wanted:
        names = " or ".join(f"{each.__module__}.{each.__qualname__}" for each in wanted)
        raise ConfigError(f"{section}._target_={path}: it has to be {names}")


def _wrong_in_range(value: Any, hint: Any, metadata: Sequence[Any]) -> str | None:
    kind = wrong(value, hint)
    for each in metadata:
        if isinstance(each, Range):
            noun = "a whole number" if hint is int else "a number"
            if kind is not None:
                return f"{kind if kind in (_FINITE, _SHORT) else noun} {each.words()}"
            if not each.holds(value):
                return each.words()
        if isinstance(each, Filled) and kind is None and not value:
            return "a list of at least one value"
    return kind


def _wrong_items(value: Any, hint: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "a list: [value, …]"
    return next(
        (f"a list of which each is {w}" for each in value if (w := wrong(each, hint))), None
    )


def _choices(values: Sequence[Any]) -> str:
    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _shown(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"
    )


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    if is_dataclass(target):
        return get_type_hints(target, include_extras=True)
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}  # annotations that only exist for type checkers: nothing to check against
