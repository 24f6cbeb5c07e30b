"""Section of learning curves."""

import math

import pandas as pd

from recsys.reports.blocks import Figure, Figures, Section
from recsys.reports.charts.lines import Mark, Series, line_chart
from recsys.reports.facts import RunFacts
from recsys.reports.formats import duration, whole


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
    monitor = facts.record.monitor
    table = facts.curves.get("val")
    if table is None or monitor not in table or table[monitor].dropna().empty:
        return None
    chosen = facts.metrics.get("train/epochs", math.nan)
    mark = Mark(chosen, f"epoch {chosen:.0f} chosen") if math.isfinite(chosen) else None
    line = _series(table, monitor, monitor)
    picture = line_chart([line], x_label="epoch", y_label=monitor, mark=mark)
    better, wanted = {"max": ("Higher", "highest"), "min": ("Lower", "lowest")}.get(
        str(facts.direction), ("", "best")
    )
    caption = f"{better} is better: " if better else ""
    caption += f"the epoch with the {wanted} value is chosen."
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
    return Figure("Training loss", picture, "On the training data; lower is better.")


def _series(
    table: pd.DataFrame, column: str, label: str, style: str = "accent", named: bool = True
) -> Series:
    values = table[column].dropna().astype(float)
    epochs = [float(epoch) for epoch in values.index]
    return Series(label, epochs, values.to_list(), style, named)
