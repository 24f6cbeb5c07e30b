"""Tables and sentences on screen."""

import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.data.report import DataReport, PanelReport
from recsys.reports.blocks import Cell
from recsys.reports.formats import decimal, form_words, plural, show_metric
from recsys.reports.leaderboard import best_of, forecast_leaderboard, leaderboard

# a log file has no width of its own; eighty columns would cut numbers off
_WIDTH = 120


def say(sentence: str) -> None:
    """One line of progress, on stderr."""
    _console(sys.stderr.isatty(), stderr=True).print(Text(sentence, "dim"))


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    *,
    marked: int | None = None,
    left: Sequence[int] = (0,),
    width: int = _WIDTH,
) -> None:
    """A table on stdout; numbers are never broken over lines.

    Args:
        title: above it; may be empty.
        header: of the columns; empty for rows of names and values.
        rows: cells as text, or as `Cell` where some are strong.
        marked: row in bold.
        left: columns of words, aligned left and wrapped; the others are numbers.
        width: in letters, where stdout is no terminal.
    """
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=bool(header),
    )
    for place in range(len(header) or max(map(len, rows), default=0)):
        words = place in left
        table.add_column(
            Text(header[place]) if header else "",
            justify="left" if words else "right",
            overflow="fold" if words else "ellipsis",
            no_wrap=not words,
        )
    for place, row in enumerate(rows):
        cells = (
            Text(cell.text, "bold" if cell.strong else "") if isinstance(cell, Cell) else Text(cell)
            for cell in row
        )
        table.add_row(*cells, style="bold" if place == marked else "")
    _console(sys.stdout.isatty(), width=width).print(table)


def print_data_report(report: DataReport) -> None:
    """What was read and what was dropped."""
    rows = [
        *_read_and_dropped(report.rows_in, report.dropped, report.rows),
        ("  of which repeat an earlier row", f"{report.duplicate_rows:,}"),
        ("users x items", f"{report.users:,} x {report.items:,}"),
        ("density", f"{report.density:.3%}"),
    ]
    if report.first:
        rows += [("first", report.first), ("last", str(report.last))]
    rows += _timestamp_form(report.timestamp_form)
    print_table(f"data: {report.source}", (), rows)


def print_panel_report(report: PanelReport) -> None:
    """What was read, what was dropped and what was decided about the series."""
    rows = [
        *_read_and_dropped(report.rows_in, report.dropped, report.rows),
        (f"series x {report.step}s", f"{report.series:,} x {report.steps:,} in all"),
        *((f"  {decision}", f"{count:,}") for decision, count in report.decisions.items()),
    ]
    if report.season:
        rows.append(("season", plural(report.season, report.step)))
    if report.covariates:
        rows.append(("known ahead", ", ".join(report.covariates)))
    if report.first:
        rows += [(f"first {report.step}", report.first), (f"last {report.step}", str(report.last))]
    rows += _timestamp_form(report.timestamp_form)
    print_table(f"data: {report.source}", (), rows)


def _timestamp_form(form: str | None) -> list[tuple[str, str]]:
    return [("timestamps were read as", form_words(form))] if form else []


def print_leaderboard(metrics: dict[str, float], model: str, ks: list[int]) -> None:
    """The model and its baselines, best first."""
    board = leaderboard(metrics, model, ks)
    if len(board.columns) > 6:  # three views: what fits a terminal; metrics.json has the rest
        board = board.drop(columns=[column for column in board.columns if "recall" in column])
    names = [str(name) for name in board.index]
    rows = [
        (name, *map(decimal, values))
        for name, values in zip(names, board.to_numpy(dtype=float).tolist(), strict=True)
    ]
    _print_board(model, names, [str(column).replace(" ", "\n") for column in board.columns], rows)


def print_forecast_leaderboard(metrics: dict[str, float], model: str) -> None:
    """The model and its baselines, lowest WAPE first; the best of every column in bold."""
    board = forecast_leaderboard(metrics, model)
    columns = [str(column) for column in board.columns]
    best = [best_of(metric, board[metric]) for metric in columns]
    names = [str(name) for name in board.index]
    rows: list[Sequence[str | Cell]] = [
        (
            name,
            *(
                Cell(show_metric(metric, value), bool(best[place][row]))
                for place, (metric, value) in enumerate(zip(columns, values, strict=True))
            ),
        )
        for row, (name, values) in enumerate(
            zip(names, board.to_numpy(dtype=float).tolist(), strict=True)
        )
    ]
    _print_board(model, names, columns, rows)


def _print_board(
    model: str, names: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str | Cell]]
) -> None:
    if rows:
        marked = names.index(model) if model in names else None
        print_table("test", ("model", *columns), rows, marked=marked)


def _read_and_dropped(rows_in: int, dropped: Mapping[str, int], rows: int) -> list[tuple[str, str]]:
    reasons = [(f"  dropped: {reason}", f"{count:,}") for reason, count in dropped.items()]
    return [("rows in", f"{rows_in:,}"), *reasons, ("rows kept", f"{rows:,}")]


def _console(terminal: bool, *, stderr: bool = False, width: int = _WIDTH) -> Console:
    return Console(stderr=stderr, highlight=False, width=None if terminal else width)
