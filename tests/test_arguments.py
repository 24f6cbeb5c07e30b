"""Command lines of the form key=value."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from recsys.arguments import parse_arguments, reports_errors, setting, usage
from recsys.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Counts the rows of a table."""

    table: Path = setting("CSV file")
    limit: int = setting("rows to count", default=10, minimum=1)
    share: float = setting("part that is counted", default=1.0)
    order: Literal["first", "last"] = setting("which rows", default="first")
    header: bool = setting("whether there is a header", default=True)
    note: str | None = setting("free text", default=None)
    columns: Mapping[str, str] | None = setting("column of NAME", default=None)


def parse(*arguments: str) -> Arguments:
    return parse_arguments(Arguments, arguments, "count")


def test_values_take_the_declared_types() -> None:
    assert parse("table=a b.csv") == Arguments(table=Path("a b.csv"))
    found = parse("order=LAST", "table=x=1.csv", "limit=3", "share=.5", "header=false", "note=a=b")
    assert found == Arguments(
        table=Path("x=1.csv"), limit=3, share=0.5, order="last", header=False, note="a=b"
    )


def test_a_mapping_is_given_name_by_name() -> None:
    found = parse("table=x", "columns.user_id=customer", "columns.users.town=city=town")
    assert found.columns == {"user_id": "customer", "users.town": "city=town"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("tabel=x",),
            r"'tabel' is not a known setting; did you mean table\? It is one of: columns, head",
        ),
        (("--table=x",), "'--table' is not a known setting; did you mean table"),
        (("xyz",), "'xyz' is not a known setting; it is one of: columns, header"),
        ((), r"table= is missing; usage: count table=… \[limit=10\]"),
        (("table",), "'table' has no value: write table=…"),
        (("table=",), "table='' is not a path: CSV file"),
        (("table=x", "table=y"), "table= is given twice"),
        (("table=x", "limit=ten"), "limit='ten' is not a whole number: rows to count"),
        (("table=x", "limit=0"), "limit=0 is too small: it is at least 1"),
        (("table=x", "order=middle"), "order='middle' is not known: it is first or last"),
        (("table=x", "columns=a"), r"columns is given as columns\.NAME=…, one at a time"),
        (("table=x", "columns.a="), r"columns is given as columns\.NAME=…"),
        (("table=x", "columns.a=b", "columns.a=c"), r"columns\.a= is given twice"),
        (("table=x", "note.a=b"), r"'note\.a' is not a known setting"),
        (("table=x", "header=yes"), "header='yes' is not known: it is true or false"),
    ],
)
def test_mistakes_are_named_in_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(*arguments)


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_prints_what_is_declared(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("table=x", word)
    assert caught.value.code == 0
    assert capsys.readouterr().out.rstrip("\n") == usage(Arguments, "count")


def test_usage_shows_types_and_defaults() -> None:
    assert usage(Arguments, "count").splitlines() == [
        "usage: count table=… [limit=10] [share=1.0] [order=first] [header=true] [note=…]"
        " [columns.NAME=…]",
        "",
        "Counts the rows of a table.",
        "",
        "  table         CSV file (path, required)",
        "  limit         rows to count (whole number, default 10)",
        "  share         part that is counted (number, default 1.0)",
        "  order         which rows (first or last, default first)",
        "  header        whether there is a header (true or false, default true)",
        "  note          free text (text, optional)",
        "  columns.NAME  column of NAME (text, optional)",
    ]


def test_a_warning_of_a_command_is_a_sentence_without_code():
    shown = []

    @reports_errors
    def command() -> int:
        shown.append(warnings.formatwarning("2 rows are left out", UserWarning, "code.py", 7))
        return 0

    usual = warnings.formatwarning
    assert command() == 0
    assert shown == ["warning: 2 rows are left out\n"]
    assert warnings.formatwarning is usual
