"""What a bundle says of the run that it comes from."""

from recsys.privacy import for_others
from recsys.runs.folder import RunFolder


def provenance(run: RunFolder) -> dict[str, object]:
    """Metrics, data, split, seed, configuration and versions; no credentials, no local paths."""
    record, report = run.read_json("run.json"), run.read_json("data_report.json")
    facts = {key: value for key, value in report.items() if key != "phases"}
    return {
        "model": record["model"],
        "metrics": run.read_json("metrics.json"),
        "data": facts | {"name": record["data"]},
        "split": record["split"],
        "seed": record["seed"],
        "config": for_others(run.read_config()),
        "versions": record["versions"],
        "git_commit": record["git_commit"],
    }
