"""A table of your own that is series already."""

from collections.abc import Mapping, Sequence

from recsys.data.panel import SalesPanel
from recsys.data.report import OnBadRows, PanelReport
from recsys.data.sales_tables import Gaps, Negative, SalesTable, panel_from_sales
from recsys.data.schema import names_of
from recsys.data.tables import Location, TableSource, read_table
from recsys.errors import ConfigError
from recsys.ranges import Season
from recsys.steps import Step
from recsys.tables.cells import Numerals
from recsys.tables.written_times import TimeUnit


def sales(
    path: Location,
    step: Step,
    columns: Mapping[str, str | None] | None = None,
    covariates: Sequence[str] = (),
    separator: str | None = None,
    table: str | None = None,
    timezone: str = "UTC",
    timestamp_unit: TimeUnit | None = None,
    gaps: Gaps = "missing",
    negative: Negative = "keep",
    on_bad_rows: OnBadRows = "error",
    timestamp_format: str | None = None,
    encoding: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    multiline: bool = False,
    seasonality: Season | None = None,
) -> SalesPanel:
    """A table of your own that is series already: CSV, Parquet or any SQLAlchemy URL.

    Args:
        path: file, URL, DataFrame or Arrow table.
        columns: series_id, timestamp, y and covariates to the table's names, where they differ.
        covariates: columns that are known ahead; rows with an empty y behind the last sale carry
            their future.
        separator, table, encoding, multiline: as in `recsys.data.tables.TableSource`.
        decimal, thousands: as in `recsys.tables.cells.Numerals`.
        step, timezone, timestamp_unit, timestamp_format, gaps, negative, on_bad_rows,
            seasonality: as in `recsys.data.sales_tables.SalesTable`.
    """
    settings = SalesTable(
        step,
        names_of(covariates, "covariates"),
        timezone,
        timestamp_unit,
        gaps,
        negative,
        on_bad_rows,
        timestamp_format,
        Numerals(decimal, thousands),
        seasonality,
    )
    names = dict(columns or {})
    needed = ("series_id", "timestamp", "y", *covariates)
    wanted = {name: names.get(name, name) for name in needed}
    source = TableSource(path, separator, table, encoding=encoding, multiline=multiline)
    numbers = {wanted[name] for name in ("y", *covariates)}
    kinds = [kind for name, kind in source.types if name in numbers]
    settings.numerals.require_text(kinds, source.label)
    read = read_table(source, wanted, required=needed)
    if unused := [name for name in names if name not in needed]:
        raise ConfigError(
            f"data.columns.{unused[0]}={names[unused[0]]} has no effect: of a table of series"
            f" {', '.join(needed)} are read; leave it out, or add it to data.covariates"
        )
    return panel_from_sales(read, PanelReport(source.label), settings, source.place)
