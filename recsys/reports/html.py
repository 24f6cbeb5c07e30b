"""report.html of a run."""

from recsys.runs import RunFolder


def write_report(run: RunFolder) -> None:
    """Placeholder until the pictures stand."""
