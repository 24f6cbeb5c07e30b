"""`recsys train`: composes settings, trains, and prints the run folder on its last line."""

from recsys.config.composition import command_line
from recsys.tasks.lifecycle import rerun, resume_run, run_training


def train_command(arguments: list[str], program: str = "recsys train") -> int:
    """Trains once, or (-m) many times; returns the exit code."""
    command_line(arguments, run_training, {"train.resume": resume_run, "rerun": rerun})
    return 0
