"""report.html of a sweep: one file that opens offline."""

import math
import warnings
from typing import Any

import optuna
import yaml
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from recsys.comparison.words import metric_title
from recsys.privacy import without_credentials
from recsys.reports.blocks import (
    Block,
    Cell,
    Code,
    Figure,
    Figures,
    Section,
    Table,
    Tables,
    Terms,
    rows_of_text,
)
from recsys.reports.charts.bars import Bar, bar_chart
from recsys.reports.charts.canvas import padded_range
from recsys.reports.charts.trials import Axis, Point, Trace, history_chart, parallel_chart
from recsys.reports.formats import (
    MISSING,
    decimal,
    duration,
    moment,
    percent,
    sentence_case,
    whole,
)
from recsys.reports.labels import model_title
from recsys.reports.page import Page, render_page
from recsys.runs.folder import RunFolder
from recsys.tuning.search import settings_of
from recsys.tuning.settings import SweepSettings
from recsys.tuning.space import Choice, Range
from recsys.tuning.study import SweepStudy, value_of
from recsys.tuning.trial_table import STATES, cells, reason, shown

# completed trials from which on importance says something
LEAST_TRIALS = 8
# of the completed trials, those that are drawn as good
_GOOD = 0.1
_ROWS = 100


def render_sweep(
    study: SweepStudy,
    settings: SweepSettings,
    record: dict[str, Any],
    tested: RunFolder | None,
) -> str:
    """The page as text.

    Args:
        study: trials that have ended.
        settings: of the sweep.
        record: what sweep.json says beside them.
        tested: run of the best trial's settings, where it was tested.
    """
    trials, ranked, best = study.trials(), study.ranked(), study.best()
    caution = (
        "The best of many values on validation is partly chance; only the value on the test,"
        " looked at once, says how good the settings are."
    )
    page = Page(
        title=_title(record),
        subtitle=_subtitle(study, record),
        verdict=_verdict(study, best, tested),
        caution=caution if best else "",
        numbers=_numbers(study, trials, best, tested),
        sections=[
            _search_section(study, trials),
            _settings_section(study, ranked),
            _best_section(study, best, tested),
            _trials_section(study, ranked, trials),
            _repeat_section(settings, record),
        ],
    )
    return render_page(page)


def importances(study: SweepStudy) -> dict[str, float]:
    """How much each setting tells the good trials from the others: shares that sum to 1; empty
    where there are too few trials.

    Source: Watanabe, Bansal, Hutter, "PED-ANOVA" (IJCAI 2023), as Optuna computes it.
    """
    done = study.ranked()
    if len(done) < LEAST_TRIALS or len({trial.value for trial in done}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = get_param_importances(study.to_study(), evaluator=PedAnovaImportanceEvaluator())
    return {key: share for key, share in found.items() if math.isfinite(share)}


def _title(record: dict[str, Any]) -> str:
    data = str(record.get("data", "unnamed data")).replace("_", " ")
    return sentence_case(f"{model_title(str(record.get('model')))} on {data}: a sweep")


def _subtitle(study: SweepStudy, record: dict[str, Any]) -> list[str]:
    better = "higher" if study.direction == "maximize" else "lower"
    return [
        f"chosen on validation by {_metric(study)}, {better} is better",
        f"seed {record.get('seed', MISSING)}",
        moment(record.get("finished")),
    ]


def _metric(study: SweepStudy) -> str:
    return metric_title(study.metric.removeprefix("val/"))


def _verdict(study: SweepStudy, best: FrozenTrial | None, tested: RunFolder | None) -> str:
    if best is None:
        return "No trial gave a value; the reasons are below."
    words = f"Trial {best.number} is best on validation with {decimal(best.value)}"
    first = next((t for t in study.ranked() if t.user_attrs.get("as_configured")), None)
    if first is not None and first.number != best.number:
        words += f", against {decimal(first.value)} of the configuration as it was"
    value = _test_value(study, tested)
    if value is not None:
        words += f"; trained anew, its settings reach {decimal(value)} on the test"
    return f"{words}."


def _test_value(study: SweepStudy, tested: RunFolder | None) -> float | None:
    if tested is None:
        return None
    return tested.read_json("metrics.json", {}).get(study.metric.replace("val/", "test/", 1))


def _numbers(
    study: SweepStudy,
    trials: list[FrozenTrial],
    best: FrozenTrial | None,
    tested: RunFolder | None,
) -> list[tuple[str, str]]:
    numbers = []
    if best is not None:
        numbers.append((decimal(best.value), f"best {_metric(study)}, validation"))
    value = _test_value(study, tested)
    if value is not None:
        numbers.append((decimal(value), "of its settings, test"))
    for state, words in STATES.items():
        if count := sum(trial.state == state for trial in trials):
            numbers.append((whole(count), f"trials {words}"))
    seconds = sum(trial.user_attrs.get("seconds") or 0.0 for trial in trials)
    if seconds:
        numbers.append((duration(seconds), "training of finished trials"))
    return numbers


def _search_section(study: SweepStudy, trials: list[FrozenTrial]) -> Section:
    # a pruned trial has the value of its last validation
    points = [
        Point(trial.number, trial.value, trial.state == TrialState.PRUNED)
        for trial in trials
        if trial.value is not None
    ]
    picture = history_chart(
        points, y_label=_metric(study), higher_is_better=study.direction == "maximize"
    )
    caption = "A dot a trial, the line the best so far." if points else ""
    if any(point.pruned for point in points):
        caption += " Hollow ones were stopped early, at the value they had then."
    figures = [Figure("Value by trial", picture, caption)]
    if shares := importances(study):
        bars = [
            Bar(key, share, "accent" if rank == 0 else "quiet")
            for rank, (key, share) in enumerate(shares.items())
        ]
        picture = bar_chart(bars, description="importance of settings", show=percent)
        words = "How much a setting tells the best trials from the others (PED-ANOVA)."
        figures.append(Figure("Importance", picture, words))
    return Section("search", "Search", "", (Figures(tuple(figures)),))


def _settings_section(study: SweepStudy, ranked: list[FrozenTrial]) -> Section | None:
    if not ranked:
        return None
    good = max(1, round(len(ranked) * _GOOD))
    low, high = padded_range([value_of(trial) for trial in ranked])
    values = Range(low, high)
    axes = [_axis(key, part) for key, part in study.space.items()]
    axes.append(_axis(_metric(study), values))
    traces = []
    for rank, trial in enumerate(ranked):
        settings = settings_of(trial)
        places = [_place(part, settings[key]) for key, part in study.space.items()]
        style = "best" if rank == 0 else "good" if rank < good else "rest"
        title = f"trial {trial.number}: {decimal(trial.value)} ({_settings_words(trial)})"
        traces.append(Trace(title, [*places, _place(values, value_of(trial))], style))
    description = f"settings and {_metric(study)} of every trial"
    picture = parallel_chart(traces[::-1], axes, description=description)
    others = ["", ", the next in blue", f", the next {good - 1} in blue"][min(good, 3) - 1]
    caption = f"A line a trial; the best in orange{others}."
    lead = "What the trials were set to, and what came of it, from axis to axis."
    figure = Figure("Parallel coordinates", picture, caption)
    return Section("settings", "Settings", lead, (Figures((figure,)),))


def _axis(name: str, part: Choice | Range) -> Axis:
    if isinstance(part, Choice):
        return Axis(name, [(_place(part, value), _brief(value)) for value in part.values])
    if part.log:
        powers = range(math.ceil(math.log10(part.low)), math.floor(math.log10(part.high)) + 1)
        inner = [10.0**power for power in powers if part.low < 10.0**power < part.high]
        values = [part.low, *inner, part.high]
        name = f"{name} (logarithmic)"
    else:
        values = [part.low, (part.low + part.high) / 2, part.high]
    if part.high == part.low:
        values = [part.low]
    return Axis(name, [(_place(part, value), f"{value:.4g}") for value in values])


def _place(part: Choice | Range, value: Any) -> float:
    """Where a value stands on its axis, from 0 to 1; a single one in the middle."""
    if isinstance(part, Choice):
        last = len(part.values) - 1
        return part.values.index(value) / last if last else 0.5
    if part.high == part.low:
        return 0.5
    if part.log:
        return math.log(value / part.low) / math.log(part.high / part.low)
    return (value - part.low) / (part.high - part.low)


def _brief(value: Any) -> str:
    """A choice as a label; a list, such as the layers of a tower, without its brackets."""
    return "-".join(map(shown, value)) if isinstance(value, list) and value else shown(value)


def _best_section(
    study: SweepStudy, best: FrozenTrial | None, tested: RunFolder | None
) -> Section | None:
    if best is None:
        return None
    first = next((t for t in study.trials() if t.user_attrs.get("as_configured")), None)
    before = settings_of(first) if first is not None else {}
    rows = []
    for key, value in settings_of(best).items():
        found = [Cell(key), Cell(shown(value), before.get(key) != value)]
        rows.append((*found, *([Cell(shown(before[key]))] if before else [])))
    header = ("Setting", f"Trial {best.number}", *(["As configured"] if before else []))
    tables = [Table("Settings of the best trial", header, tuple(rows))]
    lead = f"Trial {best.number}, {decimal(best.value)} on validation."
    if tested is not None:
        metrics = tested.read_json("metrics.json", {})
        name = study.metric.removeprefix("val/")
        stem = name.rpartition("@")[0] or name
        values = [
            (key, decimal(value))
            for key, value in metrics.items()
            if key.startswith(("val/", "test/"))
            and stem in key
            and "baselines" not in key
            and "/parts/" not in key
        ]
        tables.append(Table("Trained anew and tested once", (), rows_of_text(values)))
        lead += f" The run lies in {tested.path.name}, with a report of its own."
    return Section("best", "Best settings", lead, (Tables(tuple(tables)),))


def _trials_section(
    study: SweepStudy, ranked: list[FrozenTrial], trials: list[FrozenTrial]
) -> Section:
    header = ("Trial", _metric(study), "Epochs", "Training", *map(_short, study.space))
    rows = [tuple(map(Cell, cells(trial, study.space))) for trial in ranked[:_ROWS]]
    blocks: list[Block] = []
    if rows:
        more = f", the best {_ROWS} of {len(ranked)}" if len(ranked) > _ROWS else ""
        blocks.append(Table(f"Finished trials{more}", header, tuple(rows), 0))
    for state, title in ((TrialState.FAIL, "Failed trials"), (TrialState.PRUNED, "Pruned trials")):
        found = [trial for trial in trials if trial.state == state]
        items = tuple((f"Trial {t.number}", f"{reason(t)} ({_settings_words(t)})") for t in found)
        if items:
            blocks.append(Terms(f"{title}, and why", items))
    return Section("trials", "Trials", "trials.csv has all of them.", tuple(blocks))


def _short(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def _settings_words(trial: FrozenTrial) -> str:
    return ", ".join(f"{_short(key)} {shown(v)}" for key, v in settings_of(trial).items())


def _repeat_section(settings: SweepSettings, record: dict[str, Any]) -> Section:
    rows = [
        ("Sampler", settings.sampler),
        ("Pruner", settings.pruner),
        ("Trials at a time", str(record.get("jobs", MISSING))),
        ("Threads of each", str(record.get("threads", MISSING))),
        ("Started", moment(record.get("started"))),
        ("Finished", moment(record.get("finished"))),
        ("Growth of the sweep's own memory", f"{decimal(record.get('memory_growth_mb'), 1)} MB"),
    ]
    if record.get("git_commit"):
        rows.append(("Git commit", str(record["git_commit"])[:12]))
    versions = [(str(name), str(value)) for name, value in (record.get("versions") or {}).items()]
    tables = (
        Table("Record", (), rows_of_text(rows)),
        Table("Versions", (), rows_of_text(versions)),
    )
    plain = settings.to_json()
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    blocks = (
        Code("Command", without_credentials(str(record.get("command", "")))),
        Tables(tables),
        Code("Space and overrides", without_credentials(text), folded=True),
    )
    lead = "One job at a time draws the same trials again; several depend on which ends first."
    return Section("repeat", "How to repeat it", lead, blocks)
