"""Tables and sentences on screen."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.data.report import DataReport, PanelReport
from recsys.reports.forecasting import show_metric
from recsys.reports.leaderboard import best_of, forecast_leaderboard, leaderboard


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


def print_panel_report(report: PanelReport) -> None:
    """What was read, what was dropped and what was decided about the series."""
    table = Table(title=f"data: {report.source}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("rows in", f"{report.rows_in:,}")
    for reason, count in report.dropped.items():
        table.add_row(f"  dropped: {reason}", f"{count:,}")
    table.add_row("rows kept", f"{report.rows:,}")
    table.add_row(f"series x {report.step}s", f"{report.series:,} x {report.steps:,} in all")
    for decision, count in report.decisions.items():
        table.add_row(f"  {decision}", f"{count:,}")
    if report.covariates:
        table.add_row("known ahead", ", ".join(report.covariates))
    if report.first:
        table.add_row(f"first {report.step}", report.first)
        table.add_row(f"last {report.step}", str(report.last))
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


def print_forecast_leaderboard(metrics: dict[str, float], model: str) -> None:
    """The model and its baselines, lowest WAPE first; the best of every column in bold."""
    rows = forecast_leaderboard(metrics, model)
    if rows.empty:
        return
    table = Table(title="test", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    best = {str(metric): best_of(str(metric), rows[metric]) for metric in rows.columns}
    for metric in rows.columns:
        table.add_column(str(metric), justify="right", no_wrap=True)
    for place, (name, values) in enumerate(rows.iterrows()):
        cells = [
            Text(show_metric(str(metric), value), "bold" if best[str(metric)][place] else "")
            for metric, value in values.items()
        ]
        table.add_row(Text(str(name), "bold" if name == model else ""), *cells)
    _console().print(table)
