"""What a `_target_` names: which are allowed, what they take, and how they are built."""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from recsys.errors import ConfigError, closest

ALLOWED_TARGETS = ("recsys.", "torch.nn.", "torch.optim.", "pytorch_lightning.")
# the environment variable by which processes of one command share what `allow=[…]` adds
ALLOW = "RECSYS_ALLOW"


@dataclass(frozen=True)
class Target:
    """A class or function with the arguments that the configuration gives it.

    Attributes:
        path: its dotted name.
        arguments: plain values; nested targets are mappings with a `_target_`.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, section: str, plain: Any) -> "Target":
        """Reads a section of the configuration; ConfigError where it names no target."""
        if not isinstance(plain, Mapping) or not isinstance(plain.get("_target_"), str):
            raise ConfigError(
                f"{section} names nothing to build (found {plain!r}): choose {section}=NAME, or set"
                f" {section}._target_"
            )
        arguments = {key: value for key, value in plain.items() if key != "_target_"}
        return cls(plain["_target_"], arguments)

    @property
    def plain(self) -> dict[str, object]:
        """The section that it was read from."""
        return {"_target_": self.path, **self.arguments}

    def resolve(self) -> Any:
        """The class or function; ConfigError where it is not allowed or does not exist."""
        return resolve(self.path)

    def takes(self, argument: str) -> bool:
        """Whether the class or function has an argument of this name."""
        return argument in inspect.signature(self.resolve()).parameters

    def build(self, **supplied: Any) -> Any:
        """Calls it with its arguments and those that the framework supplies.

        Raises:
            ConfigError: a target that is not allowed, or arguments that it does not take.
        """
        return _built(self.plain, supplied)


def allowed_prefixes() -> tuple[str, ...]:
    """Where targets may come from: the project, torch, Lightning and the packages of `allow`."""
    return ALLOWED_TARGETS + tuple(f"{name}." for name in _allowed_packages())


def allow(packages: list[str]) -> None:
    """Allows targets from these packages, in this process and in those that it starts, and imports
    them, so that what they register (a metric, a task) is there.

    The current folder is searched too, where a user's own package often lies.

    Raises:
        ConfigError: a name is no package name, or there is no such package.
    """
    if packages and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in packages:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"allow: {name!r} is not the name of a Python package")
        _import(name)
    os.environ[ALLOW] = ",".join(dict.fromkeys([*_allowed_packages(), *packages]))


def resolve(path: str) -> Any:
    """The class or function of a dotted name.

    Raises:
        ConfigError: it is not allowed, or does not exist.
    """
    if not path.startswith(allowed_prefixes()):
        raise ConfigError(
            f"_target_={path} is not allowed; targets start with"
            f" {', '.join(allowed_prefixes())}; for a package of your own add allow=[PACKAGE]"
        )
    for package in _allowed_packages():
        _import(package)  # another process may have allowed it
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and module.startswith(str(error.name)):
            raise ConfigError(
                f"_target_={path} does not exist: there is no module {error.name}"
            ) from error
        raise ConfigError(f"_target_={path} cannot be imported: {error}") from error
    except AttributeError as error:
        names = [each for each in vars(importlib.import_module(module)) if each[0] != "_"]
        raise ConfigError(f"_target_={path} does not exist; {closest(name, names)}") from error
    if not callable(found):
        raise ConfigError(f"_target_={path} is neither a class nor a function")
    return found


def _allowed_packages() -> list[str]:
    return [name for name in os.environ.get(ALLOW, "").split(",") if name]


def _import(package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"allow=[{package}]: the package cannot be imported from {os.getcwd()} or from where"
            f" Python finds packages: {error}"
        ) from error


def defaults(target: Any) -> dict[str, Any]:
    """Arguments of a class or function whose defaults are plain values, and these."""
    if is_dataclass(target):
        found = {}
        for each in fields(target):
            if each.init and each.default is not MISSING:
                found[each.name] = each.default
            elif each.init and each.default_factory is not MISSING:
                found[each.name] = each.default_factory()
        return found
    return {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not parameter.empty and parameter.kind != parameter.VAR_KEYWORD
    }


def _built(plain: Any, supplied: Mapping[str, Any] | None = None) -> Any:
    """A value with everything that names a target built, innermost first; what is supplied to the
    outermost is passed as it is.
    """
    if isinstance(plain, list):
        return [_built(each) for each in plain]
    if not isinstance(plain, Mapping):
        return plain
    values = {key: _built(each) for key, each in plain.items()} | dict(supplied or {})
    if "_target_" not in values:
        return values
    target, partial = resolve(values.pop("_target_")), values.pop("_partial_", False)
    if partial:
        return functools.partial(target, **values)
    try:
        inspect.signature(target).bind(**values)
    except TypeError as error:
        raise ConfigError(f"{plain['_target_']}: {error}") from error
    return target(**values)
