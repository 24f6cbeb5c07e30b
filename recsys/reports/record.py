"""Sections about how a run came about: learning curves, data, and how to repeat it."""

import math
from typing import Any

import pandas as pd
import yaml

from recsys.reports.blocks import (
    Block,
    Cell,
    Code,
    Figure,
    Figures,
    Section,
    Table,
    Tables,
    rows_of_text,
)
from recsys.reports.charts import Bar, Mark, Series, bar_chart, line_chart
from recsys.reports.facts import ForecastFacts, RunFacts
from recsys.reports.formats import (
    MISSING,
    duration,
    moment,
    percent,
    sentence_case,
    whole,
    without_passwords,
)
from recsys.reports.labels import COUNTS, phase_title


def training_section(facts: RunFacts) -> Section | None:
    """Loss and monitored metric by epoch; nothing for a model that was not trained in epochs."""
    figures = [figure for figure in (_monitor_figure(facts), _loss_figure(facts)) if figure]
    if not figures:
        return None
    lead = f"Training took {duration(facts.metrics.get('train/seconds'))}"
    lead += ", validation included" if "val" in facts.curves else ""
    speed = facts.metrics.get("train/samples_per_second")
    lead += f", at {whole(speed)} samples a second." if speed else "."
    if "val" in facts.curves and any(phase.startswith("test") for phase in facts.curves):
        lead += (
            " Validation chose the number of epochs; "
            "the model was then trained anew for as many, on validation data too."
        )
    return Section("training", "Learning curves", lead, (Figures(tuple(figures)),))


def _monitor_figure(facts: RunFacts) -> Figure | None:
    monitor = str(facts.record.get("monitor"))
    table = facts.curves.get("val")
    if table is None or monitor not in table or table[monitor].dropna().empty:
        return None
    chosen = facts.metrics.get("train/epochs", math.nan)
    mark = Mark(chosen, f"epoch {chosen:.0f} chosen") if math.isfinite(chosen) else None
    line = _series(table, monitor, monitor)
    picture = line_chart([line], x_label="epoch", y_label=monitor, mark=mark)
    better, wanted = (
        ("Lower", "lowest") if isinstance(facts, ForecastFacts) else ("Higher", "highest")
    )
    caption = f"{better} is better; the epoch with the {wanted} value is chosen."
    return Figure("Validation metric", picture, caption)


def _loss_figure(facts: RunFacts) -> Figure | None:
    names = {"val": "while validating", "full_data": "training on everything"}
    logged = [
        phase
        for phase, table in facts.curves.items()
        if "train/loss" in table and table["train/loss"].notna().any()
    ]
    # what was trained anew for every window of the test has one name
    tests = [phase for phase in logged if phase not in names]
    final = "final training" + (", a line a window" if len(tests) > 1 else "")
    lines = [
        _series(
            facts.curves[phase],
            "train/loss",
            names.get(phase, final),
            "quiet" if phase == "val" else "accent",
            named=phase not in tests[1:],
        )
        for phase in logged
    ]
    if not lines:
        return None
    picture = line_chart(lines, x_label="epoch", y_label="loss")
    return Figure("Training loss", picture, "Lower is better, on the data learned from.")


def _series(
    table: pd.DataFrame, column: str, label: str, style: str = "accent", named: bool = True
) -> Series:
    values = table[column].dropna().astype(float)
    epochs = [float(epoch) for epoch in values.index]
    return Series(label, epochs, values.to_list(), style, named)


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
    rows.append(("Time zone", str(data.get("timezone") or MISSING)))
    covariates = ", ".join(map(str, data.get("covariates") or ()))
    rows.append(("Known ahead", covariates or "nothing"))
    return rows


def _step_start(timestamp: str | None, step: str) -> str:
    """The time of day only where steps are shorter than a day."""
    words = moment(timestamp)
    return words if step == "hour" else words.removesuffix(" 00:00")


def _decisions_table(decisions: dict[str, int]) -> Table:
    rows = [(sentence_case(name.replace("_", " ")), whole(n)) for name, n in decisions.items()]
    return Table("Decided on the way", (), rows_of_text(rows))


def _phases_table(phases: dict[str, dict[str, int]]) -> Table:
    keys = dict.fromkeys(key for counts in phases.values() for key in counts)
    order = [key for key in COUNTS if key in keys] + [key for key in keys if key not in COUNTS]
    # nothing is asked of a model that is fitted on everything
    asks = any(counts.get("truth_rows") for counts in phases.values())
    rows = []
    for key in [key for key in order if asks or not key.startswith("truth")]:
        cells = [Cell(whole(counts.get(key))) for counts in phases.values()]
        rows.append((Cell(COUNTS.get(key, key.replace("_", " "))), *cells))
    header = ("", *map(phase_title, phases))
    return Table("Learned from and asked about", header, tuple(rows))


def repeat_section(facts: RunFacts) -> Section | None:
    """Command, seed, versions, fingerprints and configuration."""
    record = facts.record
    blocks: list[Block] = []
    if record.get("command"):
        blocks.append(Code("Command", without_passwords(str(record["command"]).strip())))
    tables = [Table("Record", (), rows_of_text(_record_rows(record)))]
    versions = [(str(name), str(value)) for name, value in (record.get("versions") or {}).items()]
    if versions:
        tables.append(Table("Versions", (), rows_of_text(versions)))
    blocks.append(Tables(tuple(tables)))
    config = yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True)
    blocks.append(Code("config.yaml", without_passwords(config), folded=True))
    lead = (
        "The same data, command and versions, on the same kind of machine, give the same numbers."
    )
    return Section("repeat", "How to repeat it", lead, tuple(blocks))


def _record_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Seed", str(record.get("seed", MISSING))),
        ("Finished", moment(record.get("finished"))),
    ]
    labels = {
        "data_fingerprint": "Fingerprint of the data",
        "split_fingerprint": "Fingerprint of the split",
        "monitor": "Monitored metric",
    }
    rows += [(label, str(record[key])) for key, label in labels.items() if record.get(key)]
    if record.get("git_commit"):
        changed = ", with changes that are not committed" if record.get("git_dirty") else ""
        rows.append(("Git commit", str(record["git_commit"])[:12] + changed))
    return rows + _hardware_rows(record)


def _hardware_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    hardware = record.get("hardware") or {}
    gpus = ", ".join(map(str, hardware.get("gpus") or ()))
    cells = {
        "Processor": hardware.get("processor"),
        "GPUs": gpus,
        "Cores": hardware.get("cores"),
        "Threads of torch": record.get("threads"),
    }
    rows = [(label, str(value)) for label, value in cells.items() if value]
    if record.get("peak_memory_mb"):
        rows.append(("Highest memory of the process", f"{whole(record['peak_memory_mb'])} MB"))
    return rows
