"""Rules of the shop as `key=value` settings of a command line."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from recsys.arguments import setting
from recsys.errors import ConfigError
from recsys.inference.rules import Rules

Value = TypeVar("Value")
# between several values of one setting
_AND = "|"


@dataclass(frozen=True, kw_only=True)
class RuleArguments:
    """Rules; NAME is a column of the items, in the bundle or in the file items=."""

    minimum: Mapping[str, str] | None = setting(
        "least value of the items' column NAME, such as minimum.stock=1", default=None
    )
    maximum: Mapping[str, str] | None = setting("greatest value of it", default=None)
    require: Mapping[str, str] | None = setting(
        "values of which an item has one, such as require.brand='own|national'", default=None
    )
    forbid: Mapping[str, str] | None = setting("values of which an item has none", default=None)
    max_per_category: Mapping[str, str] | None = setting(
        "items a user that may share a value, such as max_per_category.department=2", default=None
    )
    boost: Mapping[str, str] | None = setting(
        "added to the relevance, from 0 to 1, of items with a value, such as"
        " boost.brand='own:0.2|other:-0.1'",
        default=None,
    )
    diversity: float | None = setting(
        "from 0 (relevance alone) to 1 (variety alone)", default=None, minimum=0
    )
    diversity_method: Literal["mmr", "dpp"] | None = setting(
        "maximal marginal relevance, if not given, or a determinantal point process", default=None
    )
    diversity_columns: str | None = setting(
        "columns that make items alike, such as 'brand|department'; all, if not given",
        default=None,
    )
    calibration: float | None = setting(
        "from 0 to 1: how much the mix of calibration_column is to be the customer's own",
        default=None,
        minimum=0,
    )
    calibration_column: str | None = setting("column of the items that is mixed", default=None)
    max_share: float | None = setting(
        "largest share of the users of a block, up to 8,192, that get the same item",
        default=None,
        minimum=0,
    )
    pool: int | None = setting(
        "items a user that rules choose from; 100, or 10 times k", default=None, minimum=1
    )
    items: str | None = setting(
        "CSV or Parquet file, folder of Parquet files or SQL URL with the column item_id and"
        " columns that rules name, such as stock: they stand in place of the bundle's",
        default=None,
    )

    def rules(self) -> Rules | None:
        """The rules, None where none is given.

        Raises:
            ConfigError: a value is wrong, or has no effect.
        """
        given: dict[str, Any] = {
            each.name: _PARSERS.get(each.name, _as_it_is)(each.name, getattr(self, each.name))
            for each in fields(RuleArguments)
            if each.name != "items" and getattr(self, each.name) is not None
        }
        if "diversity_method" in given and not self.diversity:
            raise ConfigError("diversity_method has no effect without diversity=; leave it out")
        if given:
            return Rules(**given)
        if self.items is not None:
            raise ConfigError(
                f"items={self.items} has no effect: no rule reads a column of the items; leave it"
                " out, or add a rule such as minimum.stock=1"
            )
        return None


def _as_it_is(name: str, value: object) -> object:
    return value


def _each(parse: Callable[[str, str], Value]) -> Callable[[str, Mapping[str, str]], object]:
    """A parser of settings that are given by column."""
    return lambda name, texts: {
        column: parse(f"{name}.{column}", text) for column, text in texts.items()
    }


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a number") from None


def _count(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number") from None


def _values(name: str, text: str) -> list[str]:
    return [value.strip() for value in text.split(_AND) if value.strip()]


def _weights(name: str, text: str) -> dict[str, float]:
    found = {}
    for part in _values(name, text):
        value, colon, number = part.rpartition(":")
        if not colon:
            raise ConfigError(f"{name}={text!r}: write VALUE:NUMBER, such as {name}={part}:0.2")
        found[value.strip()] = _number(name, number)
    return found


_PARSERS: dict[str, Callable[[str, Mapping[str, str]], object]] = {
    "minimum": _each(_number),
    "maximum": _each(_number),
    "require": _each(_values),
    "forbid": _each(_values),
    "max_per_category": _each(_count),
    "boost": _each(_weights),
    "diversity_columns": _values,  # type: ignore[dict-item]
}


def columns_read(rules: Rules) -> dict[str, bool]:
    """Columns of the items that rules name, and whether as numbers."""
    numbers: Iterable[str] = (*rules.minimum, *rules.maximum)
    terms = [*rules.require, *rules.forbid, *rules.max_per_category, *rules.boost]
    terms += rules.diversity_columns or ()
    terms += [rules.calibration_column] if rules.calibration_column is not None else []
    return dict.fromkeys(terms, False) | dict.fromkeys(numbers, True)
