"""Section of the data: rows read, dropped and kept, and what each phase was fitted on."""

from typing import Any

from recsys.reports.blocks import Block, Cell, Figure, Figures, Section, Table, Tables, rows_of_text
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.facts import RunFacts
from recsys.reports.formats import (
    MISSING,
    form_words,
    moment,
    percent,
    plural,
    sentence_case,
    whole,
)
from recsys.reports.labels import COUNTS, phase_title


def data_section(facts: RunFacts) -> Section | None:
    """What was read, what was dropped and why, and what each phase learned from."""
    data = facts.data
    if not data:
        return None
    blocks: list[Block] = []
    dropped: dict[str, int] = data.get("dropped") or {}
    if dropped:
        blocks.append(Figures((_rows_figure(data, dropped),)))
    tables = [Table("From the source to the model", (), rows_of_text(_table_rows(data, dropped)))]
    if data.get("decisions"):
        tables.append(_decisions_table(data["decisions"]))
    if data.get("phases"):
        tables.append(_phases_table(data["phases"]))
    blocks.append(Tables(tuple(tables)))
    lead = f"Source: {data.get('source', MISSING)}."
    return Section("data", "Data", lead, tuple(blocks))


def _rows_figure(data: dict[str, Any], dropped: dict[str, int]) -> Figure:
    total = data.get("rows_in") or 1
    kept = data.get("rows", 0)
    bars = [Bar("kept", kept, "accent", detail=percent(kept / total))]
    for reason, count in dropped.items():
        bars.append(Bar(f"dropped: {reason}", count, detail=percent(count / total)))
    picture = bar_chart(bars, description="rows kept and dropped", show=whole)
    return Figure("Where the rows went", picture)


def _table_rows(data: dict[str, Any], dropped: dict[str, int]) -> list[tuple[str, str]]:
    rows = [("Rows read", whole(data.get("rows_in")))]
    rows += [(f"… dropped: {reason}", whole(count)) for reason, count in dropped.items()]
    rows.append(("Rows kept", whole(data.get("rows"))))
    rows += _series_rows(data) if "series" in data else _pair_rows(data)
    if data.get("timestamp_form"):
        rows.append(("Timestamps were read as", form_words(str(data["timestamp_form"]))))
    return rows


def _pair_rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("… that repeat an earlier row", whole(data.get("duplicate_rows"))),
        ("Customers", whole(data.get("users"))),
        ("Items", whole(data.get("items"))),
        ("Density: customer–item pairs that were bought", percent(data.get("density"), 3)),
    ]
    if data.get("first"):
        rows.append(("First purchase", moment(data["first"])))
        rows.append(("Last purchase", moment(data.get("last"))))
    return rows


def _series_rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    step = str(data.get("step", "step"))
    rows = [
        ("Series", whole(data.get("series"))),
        (f"{sentence_case(step)}s of all series together", whole(data.get("steps"))),
    ]
    if data.get("first"):
        rows.append((f"First {step}", _step_start(data["first"], step)))
        rows.append((f"Last {step}", _step_start(data.get("last"), step)))
    if data.get("season"):
        rows.append(("Season", plural(int(data["season"]), step)))
    rows.append(("Time zone", str(data.get("timezone") or MISSING)))
    covariates = ", ".join(map(str, data.get("covariates") or ()))
    rows.append(("Known ahead", covariates or "nothing"))
    return rows


def _step_start(timestamp: str | None, step: str) -> str:
    """The time of day only where steps are hours; a month without its first day."""
    words = moment(timestamp)
    if step == "month":
        return words.removesuffix("-01 00:00")
    return words if step == "hour" else words.removesuffix(" 00:00")


def _decisions_table(decisions: dict[str, int]) -> Table:
    rows = [(sentence_case(name.replace("_", " ")), whole(n)) for name, n in decisions.items()]
    return Table("Decided on the way", (), rows_of_text(rows))


def _phases_table(phases: dict[str, dict[str, int]]) -> Table:
    keys = dict.fromkeys(key for counts in phases.values() for key in counts)
    order = [key for key in COUNTS if key in keys] + [key for key in keys if key not in COUNTS]
    # nothing is evaluated of a model that is fitted on everything
    asks = any(counts.get("truth_rows") for counts in phases.values())
    rows = []
    for key in [key for key in order if asks or not key.startswith("truth")]:
        cells = [Cell(whole(counts.get(key))) for counts in phases.values()]
        rows.append((Cell(COUNTS.get(key, key.replace("_", " "))), *cells))
    header = ("", *map(phase_title, phases))
    return Table("Fitted and evaluated", header, tuple(rows))
