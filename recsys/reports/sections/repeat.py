"""Section of what is needed to repeat a run."""

import yaml

from recsys.privacy import without_credentials
from recsys.reports.blocks import Block, Code, Section, Table, Tables, rows_of_text
from recsys.reports.facts import CHOSEN, RunFacts
from recsys.reports.formats import MISSING, moment, whole
from recsys.runs.record import RunRecord


def repeat_section(facts: RunFacts) -> Section | None:
    """Command, seed, versions, fingerprints and configuration."""
    record = facts.record
    blocks: list[Block] = []
    if record.command:
        blocks.append(Code("Command", without_credentials(record.command.strip())))
    chosen = [
        (f"Chosen from the data: {key.removeprefix(CHOSEN)}", f"{value:.4g}")
        for key, value in facts.metrics.items()
        if key.startswith(CHOSEN)
    ]
    tables = [Table("Record", (), rows_of_text(_record_rows(record) + chosen))]
    if record.versions:
        tables.append(Table("Versions", (), rows_of_text(list(record.versions.items()))))
    blocks.append(Tables(tuple(tables)))
    config = yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True)
    blocks.append(Code("config.yaml", without_credentials(config), folded=True))
    lead = (
        "The same data, command and versions, on the same kind of machine, give the same numbers."
    )
    return Section("repeat", "How to repeat it", lead, tuple(blocks))


def _record_rows(record: RunRecord) -> list[tuple[str, str]]:
    commit = (record.git_commit or "")[:12]
    if commit and record.git_dirty:
        commit += ", with changes that are not committed"
    memory = record.peak_memory_mb
    cells = {
        "Fingerprint of the data": record.data_fingerprint,
        "Fingerprint of the split": record.split_fingerprint,
        "Monitored metric": record.monitor,
        "Git commit": commit,
        "Processor": record.hardware.get("processor"),
        "GPUs": ", ".join(map(str, record.hardware.get("gpus") or ())),
        "Cores": record.hardware.get("cores"),
        "Threads of torch": record.threads,
        "Highest memory of the process": f"{whole(memory)} MB" if memory else None,
    }
    seed = MISSING if record.seed is None else str(record.seed)
    rows = [("Seed", seed), ("Finished", moment(record.finished))]
    return rows + [(label, str(value)) for label, value in cells.items() if value]
