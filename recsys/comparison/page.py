"""comparison.html: the tables and the charts in one file that opens offline."""

import pandas as pd
from markupsafe import Markup

from recsys.comparison.scoring import Comparison
from recsys.comparison.words import (
    LEVEL,
    caution,
    interval_title,
    megabytes,
    metric_title,
    probability,
    verdict,
    with_ends,
)
from recsys.evaluation.significance import FLIPS, RESAMPLES
from recsys.reports.blocks import Cell, Figure, Figures, Section, Table, Terms
from recsys.reports.charts.tradeoff import Dot, Span, difference_chart, time_chart
from recsys.reports.formats import (
    MISSING,
    decimal,
    duration,
    plural,
    sentence_case,
    signed,
    whole,
)
from recsys.reports.labels import model_title, protocol
from recsys.reports.page import Page, render_page


def render_comparison(comparison: Comparison) -> str:
    """The page as HTML."""
    return render_page(
        Page(
            title=_title(comparison),
            subtitle=_subtitle(comparison),
            verdict=verdict(comparison),
            caution=caution(comparison),
            numbers=_numbers(comparison),
            sections=(_leaderboard(comparison), _slices(comparison), _runs(comparison)),
        )
    )


def _title(comparison: Comparison) -> str:
    data = comparison.entries[0].runs[0].record.data
    return sentence_case(f"{data.replace('_', ' ')}: models compared")


def _subtitle(comparison: Comparison) -> list[str]:
    evaluation = comparison.entries[0].runs[0].config.get("evaluation") or {}
    better = "higher" if comparison.higher_is_better else "lower"
    return [
        part
        for part in (
            protocol(evaluation.get("split") or {}),
            f"{metric_title(comparison.metric)}: {better} is better",
        )
        if part
    ]


def _numbers(comparison: Comparison) -> list[tuple[str, str]]:
    runs = sum(len(entry.runs) for entry in comparison.entries)
    units = comparison.units
    return [
        (decimal(comparison.board["value"].iloc[0]), f"best {metric_title(comparison.metric)}"),
        (whole(len(comparison.board)), f"models, from {plural(runs, 'run')}"),
        (whole(comparison.num_units), f"{units} in the test"),
    ]


def _leaderboard(comparison: Comparison) -> Section:
    reference = model_title(comparison.reference)
    interval = interval_title(comparison.confidence)
    metric = metric_title(comparison.metric)
    units = comparison.units
    lead = (
        f"Every model was evaluated on the same data, so differences are taken {comparison.unit} by"
        f" {comparison.unit}. The marked row is the reference."
    )
    figures = Figures(
        (
            Figure(
                "Quality against training time",
                _time_picture(comparison, metric),
                f"Means and their {interval} over {units}; seeds of a model are one dot.",
            ),
            Figure(
                f"Difference to {reference}",
                _difference_picture(comparison, metric),
                f"With {interval}; blue where the corrected p-value is below {LEVEL:g}.",
            ),
        )
    )
    tables = _board_table(comparison, metric, reference), _cost_table(comparison, metric)
    return Section("leaderboard", "Leaderboard", lead, (figures, *tables, _terms(comparison)))


def _board_table(comparison: Comparison, metric: str, reference: str) -> Table:
    header = ["Model", metric, f"Difference to {reference}", "p (corrected)", "Training", "Memory"]
    rows = []
    for entry in comparison.entries:
        values = comparison.row(entry.name)
        difference = ("difference", "difference_low", "difference_high")
        rows.append(
            [
                model_title(entry.name),
                with_ends(*(decimal(values[key]) for key in ("value", "low", "high"))),
                with_ends(*(signed(values[key]) for key in difference)),
                probability(values["p_holm"]),
                duration(entry.mean(lambda run: run.train_seconds)),
                megabytes(entry.mean(lambda run: run.peak_memory_mb)),
            ]
        )
    title = f"Leaderboard with {interval_title(comparison.confidence)}s"
    return _table(comparison, title, header, rows)


def _cost_table(comparison: Comparison, metric: str) -> Table:
    header = ["Model", metric, "Seeds", "Lowest", "Highest", "Standard deviation"]
    header += ["Training", "Evaluation"]
    rows = []
    for entry in comparison.entries:
        values = comparison.row(entry.name)
        rows.append(
            [
                model_title(entry.name),
                decimal(values["value"]),
                str(len(entry.runs)),
                *(decimal(values[key]) for key in ("seed_low", "seed_high", "seed_sd")),
                duration(entry.mean(lambda run: run.train_seconds)),
                duration(entry.mean(lambda run: run.evaluation_seconds)),
            ]
        )
    return _table(comparison, "Spread over seeds, and time of a run", header, rows)


def _table(comparison: Comparison, title: str, header: list[str], rows: list[list[str]]) -> Table:
    """Without the columns that hold nothing."""
    kept = [column for column in range(len(header)) if {row[column] for row in rows} != {MISSING}]
    cells = tuple(tuple(Cell(row[column]) for column in kept) for row in rows)
    marked = list(comparison.board.index).index(comparison.reference)
    return Table(title, tuple(header[column] for column in kept), cells, marked)


def _time_picture(comparison: Comparison, metric: str) -> Markup:
    dots = []
    for entry in comparison.entries:
        values = comparison.row(entry.name)
        style = "quiet" if entry.name == comparison.reference else "accent"
        interval = values["low"], values["high"]
        seconds = entry.mean(lambda run: run.train_seconds)
        dots.append(Dot(model_title(entry.name), seconds, values["value"], interval, style))
    return time_chart(dots, y_label=metric)


def _difference_picture(comparison: Comparison, metric: str) -> Markup:
    spans = []
    for entry in comparison.entries:
        if entry.name == comparison.reference:
            continue
        values = comparison.row(entry.name)
        interval = values["difference_low"], values["difference_high"]
        style = "accent" if values["p_holm"] < LEVEL else "quiet"
        spans.append(Span(model_title(entry.name), values["difference"], interval, style))
    better = "better to the right" if comparison.higher_is_better else "better to the left"
    return difference_chart(
        spans, x_label=f"{metric}: {better}", mark=model_title(comparison.reference)
    )


def _terms(comparison: Comparison) -> Terms:
    units = comparison.units
    share = f"{100 * comparison.confidence:g}"
    return Terms(
        "How to read it",
        (
            (
                "Interval",
                f"If other {units} of the same kind had been drawn, {share} of 100 such intervals"
                f" would hold the true mean: bias-corrected bootstrap of {RESAMPLES:,} resamples.",
            ),
            (
                "p",
                "How often a difference this large arises when the two models' results are swapped"
                f" at random for every {comparison.unit}: paired randomization test, {FLIPS:,}"
                " times.",
            ),
            (
                "Corrected",
                "Among many comparisons some look significant by chance; Holm's correction keeps"
                " the risk of any false claim in the table at 5 %.",
            ),
            (
                "Spread of seeds",
                "Lowest and highest value, and standard deviation, over trainings that differ in"
                " the seed only. The row's own value is the mean over them.",
            ),
        ),
    )


def _slices(comparison: Comparison) -> Section | None:
    slices = comparison.slices
    if slices.empty:
        return None
    names = list(dict.fromkeys(slices["slice"]))
    parts = {name: slices[slices["slice"] == name].set_index("name") for name in names}
    header = ("Model", *(sentence_case(name) for name in names))
    rows = []
    for entry in comparison.entries:
        cells = [_slice_cell(comparison, parts[name], entry.name) for name in names]
        rows.append((Cell(model_title(entry.name)), *cells))
    reference = list(comparison.board.index).index(comparison.reference)
    table = Table(f"{metric_title(comparison.metric)} by slice", header, tuple(rows), reference)
    kinds = tuple(
        (
            sentence_case(name),
            f"{plural(int(part['units'].iloc[0]), comparison.unit)}: {part['meaning'].iloc[0]}.",
        )
        for name, part in parts.items()
    )
    lead = (
        "The best of each slice in bold; * differs significantly from"
        f" {model_title(comparison.reference)} after correction for the whole table."
        " Intervals are in slices.csv."
    )
    return Section("slices", "Slices", lead, (table, Terms("Who belongs to a slice", kinds)))


def _slice_cell(comparison: Comparison, part: pd.DataFrame, name: str) -> Cell:
    value = float(part["value"][name])
    best = part["value"].max() if comparison.higher_is_better else part["value"].min()
    star = "*" if float(part["p_holm"][name]) < LEVEL else ""
    return Cell(f"{decimal(value)}{star}", bool(value == best and len(part) > 1))


def _runs(comparison: Comparison) -> Section:
    rows = tuple(
        (Cell(model_title(entry.name)), Cell(str(run.seed)), Cell(str(run.folder)))
        for entry in comparison.entries
        for run in entry.runs
    )
    table = Table("Where the numbers come from", ("Model", "Seed", "Run folder"), rows)
    return Section("runs", "Runs", "", (table,))
