"""Section of what is needed to repeat a run."""

from typing import Any

import yaml

from recsys.privacy import without_credentials
from recsys.reports.blocks import Block, Code, Section, Table, Tables, rows_of_text
from recsys.reports.facts import RunFacts
from recsys.reports.formats import MISSING, moment, whole


def repeat_section(facts: RunFacts) -> Section | None:
    """Command, seed, versions, fingerprints and configuration."""
    record = facts.record
    blocks: list[Block] = []
    if record.get("command"):
        blocks.append(Code("Command", without_credentials(str(record["command"]).strip())))
    tables = [Table("Record", (), rows_of_text(_record_rows(record)))]
    versions = [(str(name), str(value)) for name, value in (record.get("versions") or {}).items()]
    if versions:
        tables.append(Table("Versions", (), rows_of_text(versions)))
    blocks.append(Tables(tuple(tables)))
    config = yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True)
    blocks.append(Code("config.yaml", without_credentials(config), folded=True))
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
