"""Tables and sentences on screen."""

from rich import box
from rich.console import Console
from rich.table import Table

from recsys.data.report import DataReport
from recsys.reports.leaderboard import leaderboard


def _console(stderr: bool = False) -> Console:
    # a log file has no width; eighty columns would cut the numbers off
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=120)


def say(sentence: str) -> None:
    """One line of progress."""
    _console(stderr=True).print(sentence, style="dim")


def print_data_report(report: DataReport) -> None:
    """What was read and what was dropped."""
    table = Table(title=f"data: {report.source}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("rows in", f"{report.rows_in:,}")
    for reason, count in report.dropped.items():
        table.add_row(f"  dropped: {reason}", f"{count:,}")
    table.add_row("rows kept", f"{report.rows:,}")
    table.add_row("  of which repeat an earlier row", f"{report.duplicate_rows:,}")
    table.add_row("users x items", f"{report.users:,} x {report.items:,}")
    table.add_row("density", f"{report.density:.3%}")
    if report.first:
        table.add_row("first", report.first)
        table.add_row("last", str(report.last))
    _console().print(table)


def print_leaderboard(metrics: dict[str, float], model: str, ks: list[int]) -> None:
    """The model and its baselines, best first."""
    rows = leaderboard(metrics, model, ks)
    if rows.empty:
        return
    if len(rows.columns) > 6:  # three views: what fits a terminal; metrics.json has the rest
        rows = rows.drop(columns=[column for column in rows.columns if "recall" in column])
    table = Table(title="test", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in rows.columns:
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for name, values in rows.iterrows():
        style = "bold" if name == model else None
        table.add_row(str(name), *(f"{value:.4f}" for value in values), style=style)
    _console().print(table)
